"""DeepJSCC as a system: latents straight onto the subcarriers, no bits, no packets, no cliff.

The budget decides how many values are sent, the most important channel first. The sender does not know the
SNR; the receiver knows how noisy each value is. The picture's size is part of the session, like the grant.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from semcom.baselines.loss import grey_picture, sane
from semcom.contracts import Budget
from semcom.message import Message, ReceivedMessage, Reconstruction
from semcom.networks.deepjscc import DeepJSCC
from semcom.profile import Profile
from semcom.transmitter import analog


class DeepJSCCSystem:
    """One network for every size, budget, SNR and channel.

    Args:
        profile: name of a shipped profile or path of a folder with a part `codec`.

    Raises:
        ProfileError: the profile cannot be used.
    """

    def __init__(self, profile: str | Path = "deepjscc") -> None:
        self.profile = Profile.open(profile)
        self._codec = self.profile.build("codec", DeepJSCC)

    def encode(self, image: Tensor, budget: Budget) -> Message:
        """As many values as the budget buys, of unit mean square.

        Args:
            image: [3,H,W] float in [0,1].
            budget: in channel uses: bytes buy no values.

        Raises:
            BudgetError: it buys fewer than two values per 16×16 pixels.
            ValueError: a budget in bytes, or a picture of another shape.
        """
        if image.ndim != 3 or image.shape[0] != 3:
            raise ValueError(f"image must be [3,H,W], not {list(image.shape)}")
        return analog.encode(self._codec, image, budget, "image")

    @torch.inference_mode()
    def decode(self, received: ReceivedMessage) -> Reconstruction:
        """The picture from noisy values; a grey one where they are none of the session's picture."""
        try:
            stream = received.analog("image")
            planes = stream.values[None].float(), stream.error_variance[None].float()
            picture = self._codec.receive(*planes, received.height, received.width)[0]
            return Reconstruction(sane(picture, received))
        except (KeyError, ValueError, RuntimeError, IndexError):
            return grey_picture(received)


SYSTEM = DeepJSCCSystem
