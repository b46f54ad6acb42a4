"""The semantic system: transmitter and receiver of one profile behind the `System` contract."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from semcom.contracts import Budget
from semcom.message import Message, ReceivedMessage, Reconstruction
from semcom.networks.captioner import Captioner
from semcom.networks.efficientnet import EfficientNetLite0
from semcom.networks.enhancer import Enhancer
from semcom.networks.key_transform import KeyTransform
from semcom.networks.mgdd import MultimodalDecoder
from semcom.networks.pseudo_words import PseudoWordEncoder
from semcom.networks.sam import published_sam, tiny_sam
from semcom.networks.u2net import U2NetP
from semcom.profile import Profile
from semcom.receiver import adapters as lora
from semcom.receiver.chain import ReceiveOptions, Receiver
from semcom.receiver.quantization import Quantization, quantise_decoder, quantise_enhancer
from semcom.streams.caption import CaptionCoder
from semcom.streams.key import LatentTables
from semcom.transmitter import captions
from semcom.transmitter.captions import CaptionEncoder, Describer, HubCaptioner, PhotoCaptioner
from semcom.transmitter.chain import TransmitOptions, Transmitter
from semcom.transmitter.features import FeatureExtractor
from semcom.transmitter.regions import RegionSelector
from semcom.transmitter.segmenter import Segmenter
from semcom.transmitter.split import KeyShares


class SemanticSystem:
    """Encodes and decodes with the models of a profile.

    Args:
        profile: name of a shipped profile or path of a folder.
        options: what the transmitter sends, for every picture.
        captioner: hub id or folder of an image-to-text model instead of the profile's captioner.
        receive: steps and seed of the decoder.
        quantization: precision of the receiver's networks.
        adapters: use the profile's LoRA adapters: the decoder's, tuned through erasures and noise, and
            those that make up for NF4. False is for ablations.
        sam_checkpoint: file of a published `vit_b`, `vit_l` or `vit_h`, instead of the profile's segmenter.

    Raises:
        ProfileError: the profile cannot be used.
        ValueError: the captioner or the SAM checkpoint cannot be loaded.
    """

    def __init__(
        self,
        profile: str | Path = "tiny",
        options: TransmitOptions | None = None,
        captioner: str | None = None,
        sam_checkpoint: str | Path | None = None,
        receive: ReceiveOptions | None = None,
        quantization: str = "int8",
        adapters: bool = True,
    ) -> None:
        opened = Profile.open(profile)
        stored = opened.tensors("key_tables")
        tables = LatentTables(stored["sets"].long().numpy(), stored["symbols"].long().numpy())
        self.options = options or TransmitOptions()
        transform = opened.build("key_transform", KeyTransform)
        backbone = opened.build("backbone", EfficientNetLite0)
        extractor = FeatureExtractor(backbone)
        selector = _selector(opened, extractor, sam_checkpoint)
        coder = CaptionCoder.from_tensors(opened.tensors("vocabulary"))
        describer = _describer(opened, backbone, self.options.caption, captioner, coder)
        words = opened.build("pseudo_words", PseudoWordEncoder)
        sender = CaptionEncoder(coder, describer)
        shares = _key_shares(opened)
        self.transmitter = Transmitter(selector, transform, tables, sender, extractor, words, shares)
        level = Quantization(quantization)
        enhancer, decoder = _networks(opened, level, adapters)
        self.receiver = Receiver(enhancer, decoder, transform, tables, coder, receive or ReceiveOptions())

    def encode(self, image: Tensor, budget: Budget) -> Message:
        """See `semcom.message.System`."""
        return self.transmitter.encode(image, budget, self.options)

    def decode(self, received: ReceivedMessage) -> Reconstruction:
        """See `semcom.message.System`."""
        return self.receiver.decode(received)


def _key_shares(profile: Profile) -> KeyShares:
    """The profile's table, or a quarter at every rate."""
    if "key_shares" not in profile:
        return KeyShares((0.0,), (0.25,))
    table = profile.tensors("key_shares")
    return KeyShares(table["bpp"].tolist(), table["share"].tolist())


def _networks(profile: Profile, level: Quantization, adapters: bool) -> tuple[Enhancer, MultimodalDecoder]:
    """The receiver's networks at a precision, each with its adapters where the profile has them."""
    decoder = profile.build("decoder", MultimodalDecoder)
    if adapters and "decoder_adapters" in profile:
        lora.load(decoder, profile.tensors("decoder_adapters"))
    enhancer = profile.build("enhancer", Enhancer)
    enhancer = quantise_enhancer(enhancer, level, profile.tensors("enhancer_ranges"))
    decoder = quantise_decoder(decoder, level)
    if adapters and level is Quantization.NF4:
        for part, network in (("enhancer_adapters_nf4", enhancer), ("decoder_adapters_nf4", decoder)):
            if part in profile:
                lora.load(network, profile.tensors(part))
    return enhancer, decoder


def _selector(
    profile: Profile, extractor: FeatureExtractor, sam_checkpoint: str | Path | None
) -> RegionSelector:
    """With a segmenter where the profile or the user has one."""
    saliency = profile.build("saliency", U2NetP)
    if sam_checkpoint is None and "segmenter" not in profile:
        return RegionSelector(saliency)
    sam = tiny_sam(profile) if sam_checkpoint is None else published_sam(sam_checkpoint)
    return RegionSelector(saliency, extractor, Segmenter(sam))


def _describer(
    profile: Profile, backbone: EfficientNetLite0, wish: str, captioner: str | None, coder: CaptionCoder
) -> Describer | None:
    """What finds words, where words are wished; None where the profile has nothing that does."""
    if wish not in (captions.AUTO, captions.BACKGROUND):
        return None
    if captioner is not None:
        return HubCaptioner(captioner)
    if wish == captions.AUTO and "captioner" not in profile:
        return None
    return PhotoCaptioner(backbone, profile.build("captioner", Captioner), coder.vocabulary)
