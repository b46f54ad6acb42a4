"""The semantic system: transmitter and receiver of one profile behind the `System` contract."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from semcom.message import Budget, Message, ReceivedMessage, Reconstruction
from semcom.models.key_bitstream import LatentTables
from semcom.models.key_transform import KeyTransform
from semcom.models.u2net import U2NetP
from semcom.profile import Profile
from semcom.receiver.chain import Receiver
from semcom.receiver.decoder import ResidualDecoder
from semcom.receiver.enhancer import Enhancer
from semcom.transmitter.chain import TransmitOptions, Transmitter
from semcom.transmitter.regions import RegionSelector


class SemanticSystem:
    """Encodes and decodes with the models of a profile.

    Args:
        profile: name of a shipped profile or path of a folder.
        options: what the transmitter sends, for every picture.

    Raises:
        ProfileError: the profile cannot be used.
    """

    def __init__(self, profile: str | Path = "tiny", options: TransmitOptions | None = None) -> None:
        opened = Profile.open(profile)
        stored = opened.tensors("key_tables")
        tables = LatentTables(stored["sets"].long().numpy(), stored["symbols"].long().numpy())
        self.options = options or TransmitOptions()
        transform = opened.build("key_transform", KeyTransform)
        selector = RegionSelector(opened.build("saliency", U2NetP))
        self.transmitter = Transmitter(selector, transform, tables)
        enhancer, decoder = opened.build("enhancer", Enhancer), opened.build("decoder", ResidualDecoder)
        self.receiver = Receiver(enhancer, decoder, transform, tables)

    def encode(self, image: Tensor, budget: Budget) -> Message:
        """See `semcom.message.System`."""
        return self.transmitter.encode(image, budget, self.options)

    def decode(self, received: ReceivedMessage) -> Reconstruction:
        """See `semcom.message.System`."""
        return self.receiver.decode(received)
