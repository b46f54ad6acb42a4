"""The semantic system: transmitter and receiver of one profile behind the `System` contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from semcom.air_quality import PART, AirQuality
from semcom.chooser import BASE_BYTES, Choice, Situation, choices
from semcom.contracts import Budget
from semcom.message import Message, ReceivedMessage, Reconstruction
from semcom.networks.captioner import Captioner
from semcom.networks.deepjscc import DeepJSCC
from semcom.networks.efficientnet import EfficientNetLite0
from semcom.networks.enhancer import Enhancer
from semcom.networks.key_transform import KeyTransform
from semcom.networks.mgdd import MultimodalDecoder
from semcom.networks.pseudo_words import PseudoWordEncoder, PseudoWordReader
from semcom.networks.sam import TinySegmenter, published_sam
from semcom.networks.u2net import U2NetP
from semcom.options import SemanticOptions
from semcom.profile import Profile
from semcom.receiver import adapters as lora
from semcom.receiver.analog import STREAM
from semcom.receiver.chain import Receiver
from semcom.receiver.fixed_point import in_fixed_point
from semcom.receiver.quantization import Quantization, quantise_decoder, quantise_enhancer, resolved
from semcom.streams import header, tables, words
from semcom.streams.caption import CaptionCoder
from semcom.streams.key import LatentTables
from semcom.streams.tables import StreamTables
from semcom.transmitter import analog, captions
from semcom.transmitter.captions import CaptionEncoder, Describer, HubCaptioner, PhotoCaptioner
from semcom.transmitter.chain import Transmitter
from semcom.transmitter.features import FeatureExtractor
from semcom.transmitter.regions import RegionSelector
from semcom.transmitter.search import SenderSearch
from semcom.transmitter.segmenter import Segmenter
from semcom.transmitter.split import KeyShares

if TYPE_CHECKING:
    from semcom.latent.spec import Component
    from semcom.networks.latent_diffusion import LatentGenerator

ANALOG_ADAPTERS = "enhancer_adapters_analog"
"""Part of a profile; without it the enhancer reads analog pictures as it is."""
READER = "word_reader"
"""Part of a latent profile that turns pseudo-words into tokens for its UNet."""


class SemanticSystem:
    """Encodes and decodes with the models of a profile, built when first needed and only the end that is.

    `announce` is told what a search at the sender is doing; set it for a progress display.

    Args:
        profile: name of a shipped profile or path of a folder; instead of the options' one.
        options: see `SemanticOptions`.
        wishes: any field of `SemanticOptions`, instead of what `options` say.

    Raises:
        ProfileError: the profile cannot be used.
        ValueError: an option is unknown or out of range.
    """

    def __init__(
        self, profile: str | Path | None = None, options: SemanticOptions | None = None, **wishes: Any
    ) -> None:
        named = {} if profile is None else {"profile": profile}
        self.options = (options or SemanticOptions()).updated(**named, **wishes)
        self._parts = _Parts(Profile.open(self.options.profile, self.options.set))
        self.announce: Callable[[str], object] = _say_nothing
        self._parts.check(self.options)

    def with_options(self, **changes: Any) -> SemanticSystem:
        """The same system with some options changed; networks that both use are shared.

        Raises:
            ValueError: as for a new system.
        """
        options = self.options.updated(**changes)
        if (options.profile, options.set) != (self.options.profile, self.options.set):
            return SemanticSystem(options=options)
        other = object.__new__(SemanticSystem)
        other.options, other._parts, other.announce = options, self._parts, self.announce
        other._parts.check(options)
        return other

    @property
    def profile(self) -> Profile:
        """That the models come from."""
        return self._parts.profile

    @cached_property
    def transmitter(self) -> Transmitter:
        """Raises `ValueError` where the captioner or the SAM checkpoint cannot be loaded."""
        parts = self._parts
        sender = CaptionEncoder(parts.coder, parts.describer(self.options))
        selector = parts.selector(self.options)
        options = self.options
        told: tuple[object, ...] = options.steps, options.decoder_seed, options.quantization, options.adapters
        told += (options.device,) if options.realism == 1 else (options.device, options.realism)
        search = SenderSearch(
            parts.float_enhancer,
            parts.transform,
            parts.tables,
            parts.stream_tables,
            lambda received: self.receiver.decode(received).image,
            f"{parts.profile.digest} {told}",
            lambda stage: self.announce(stage),
        )
        return Transmitter(
            selector,
            parts.transform,
            parts.tables,
            parts.stream_tables,
            sender,
            parts.extractor,
            parts.words,
            parts.shares,
            search,
        )

    @cached_property
    def receiver(self) -> Receiver:
        """At the precision that the options name."""
        parts, options = self._parts, self.options
        transform = in_fixed_point(parts.transform)
        here = options.device == "cpu" and parts.profile.latent is None
        level = self.precision if here else resolved(Quantization.AUTO)  # analog pictures: on the CPU
        reads_values = partial(parts.analog, level, options.adapters)
        coders = parts.tables, parts.stream_tables, parts.coder
        if parts.profile.latent is not None:
            generator = parts.generator(self.precision, options.device, options.adapters)
            first = parts.networks(resolved(Quantization.AUTO, options.device), False, options.device)
            return Receiver(
                first[0], None, transform, *coders, options, generator=generator, analog=reads_values
            )
        enhancer, decoder = parts.networks(self.precision, options.adapters, options.device)
        return Receiver(enhancer, decoder, transform, *coders, options, analog=reads_values)

    @property
    def precision(self) -> Quantization:
        """What the option comes to on this machine with this profile."""
        if self.profile.latent is None:
            return resolved(self.options.quantization, self.options.device)
        from semcom.latent.loading import precision_of

        return precision_of(self.profile.latent, self.options.quantization, self.options.device)

    def over_the_air(
        self, known: Situation, fixed: Mapping[str, int]
    ) -> Iterator[tuple[Choice, SemanticSystem]]:
        """Ways to spend a budget in channel uses and what sends so, the best first (`semcom.chooser`).

        Captions and pseudo-words that nobody asked for are left out: they win nothing at any rate. None where
        the profile has no table to choose by; a base's table says nothing of what another generator makes.

        Args:
            known: of the channel.
            fixed: MCSs that the user fixed: what has no MCS is no choice then.
        """
        if PART not in self.profile or self.profile.latent is not None:
            return
        quality, asked = AirQuality.from_tensors(self.profile.tensors(PART)), self.options
        bases = BASE_BYTES if asked.base == "auto" else (asked.base_bytes or 0,)
        unasked = {"caption": "none", "num_words": 0}
        plain = {name: value for name, value in unasked.items() if name not in asked.model_fields_set}
        key = asked.objective, bases, repr(sorted(fixed.items())), repr(known)
        if key not in self._parts.choices:  # the same for every picture of a size
            self._parts.choices[key] = choices(quality, asked.objective, known, bases, fixed)
        for choice in self._parts.choices[key]:
            if asked.mode in ("auto", choice.mode) and not (choice.mode == "analog" and fixed):
                digital = {} if asked.base == "off" else {"base": choice.base_bytes, "card": False}
                yield choice, self.with_options(mode=choice.mode, **plain, **digital)

    def encode(self, image: Tensor, budget: Budget) -> Message:
        """See `semcom.contracts.System`. An analog picture takes a budget in channel uses."""
        if self.options.mode == "analog":
            return analog.encode(self._parts.codec, image, budget, STREAM)
        message = self.transmitter.encode(image, budget, self.options)
        return message if self.options.delivery == "erase" else _keeping(message)

    def decode(self, received: ReceivedMessage) -> Reconstruction:
        """See `semcom.contracts.System`."""
        return self.receiver.decode(received)


class _Parts:
    """The models of a profile, each built once."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._built: dict[object, Any] = {}
        self.choices: dict[object, list[Choice]] = {}

    def check(self, options: SemanticOptions) -> None:
        """Raises `ProfileError` where the profile lacks what the options need, or the machine the device."""
        check_device(options.device)
        for part in (
            tables.PART,
            "key_tables",
            "key_transform",
            "backbone",
            "vocabulary",
            "pseudo_words",
            "saliency",
        ):
            self.profile.require(part)
        for part in ("decoder", "enhancer", "enhancer_ranges"):
            self.profile.require(part)
        if options.caption == captions.BACKGROUND and options.captioner is None:
            self.profile.require("captioner")
        if self.profile.latent is not None:
            from semcom.latent.loading import located

            located(self.profile.name, self.profile.latent)

    @cached_property
    def tables(self) -> LatentTables:
        stored = self.profile.tensors("key_tables")
        return LatentTables(stored["sets"].long().numpy(), stored["symbols"].long().numpy())

    @cached_property
    def stream_tables(self) -> StreamTables:
        return StreamTables.from_tensors(self.profile.tensors(tables.PART))

    @cached_property
    def transform(self) -> KeyTransform:
        return self.profile.build("key_transform", KeyTransform)

    @cached_property
    def backbone(self) -> EfficientNetLite0:
        return self.profile.build("backbone", EfficientNetLite0)

    @cached_property
    def extractor(self) -> FeatureExtractor:
        return FeatureExtractor(self.backbone)

    @cached_property
    def coder(self) -> CaptionCoder:
        return CaptionCoder.from_tensors(self.profile.tensors("vocabulary"))

    @cached_property
    def words(self) -> PseudoWordEncoder:
        return self.profile.build("pseudo_words", PseudoWordEncoder)

    @cached_property
    def shares(self) -> KeyShares:
        """The profile's table, or a quarter at every rate."""
        if "key_shares" not in self.profile:
            return KeyShares((0.0,), (0.25,))
        table = self.profile.tensors("key_shares")
        return KeyShares(table["bpp"].tolist(), table["share"].tolist())

    def networks(
        self, level: Quantization, adapters: bool, device: str
    ) -> tuple[Enhancer, MultimodalDecoder]:
        """The receiver's networks at a precision, each with its adapters where the profile has them."""
        key = level, adapters, device
        if key not in self._built:
            self._built[key] = receiver_networks(self.profile, level, adapters, device)
        networks: tuple[Enhancer, MultimodalDecoder] = self._built[key]
        return networks

    @cached_property
    def codec(self) -> DeepJSCC:
        """Of analog pictures: that of the profile `deepjscc`."""
        return Profile.open("deepjscc").build("codec", DeepJSCC)

    def analog(self, level: Quantization, adapters: bool) -> tuple[DeepJSCC, Enhancer]:
        """What reads an analog picture: the codec, and the enhancer with adapters of the stage `analog`."""
        if ("analog", level, adapters) not in self._built:
            enhancer = self.profile.build("enhancer", Enhancer)
            if adapters and ANALOG_ADAPTERS in self.profile:
                lora.load(enhancer, self.profile.tensors(ANALOG_ADAPTERS))
            ranges = self.profile.tensors("enhancer_ranges")
            self._built["analog", level, adapters] = quantise_enhancer(enhancer, level, ranges)
        return self.codec, self._built["analog", level, adapters]

    def generator(self, level: Quantization, device: str, adapters: bool) -> LatentGenerator:
        """Of a profile with published models."""
        from semcom.latent.loading import load

        key = "generator", level, device, adapters
        if key not in self._built:
            spec, reader = self.profile.latent, None
            assert spec is not None
            if READER in self.profile:
                reader = self.profile.build(READER, PseudoWordReader)
            self._built[key] = load(self.profile.name, spec, level, device, reader, adapters)
        generator: LatentGenerator = self._built[key]
        return generator

    def published(self, name: Component) -> Path | None:
        """Where an optional published model of the profile is; None where it has none or none is here."""
        if self.profile.latent is None:
            return None
        from semcom.latent.sources import Found, locate

        source = self.profile.latent.models.get(name)
        found = None if source is None else locate(self.profile.name, name, source)
        return found.folder if isinstance(found, Found) else None

    def float_enhancer(self) -> Enhancer:
        """The receiver's as it was trained, for a search at the sender to look through."""
        return self.profile.build("enhancer", Enhancer)

    def selector(self, options: SemanticOptions) -> RegionSelector:
        """With a segmenter where the profile or the user has one."""
        checkpoint = options.sam_checkpoint or self.published("segmenter")
        if ("selector", checkpoint) not in self._built:
            self._built["selector", checkpoint] = self._selector(checkpoint)
        selector: RegionSelector = self._built["selector", checkpoint]
        return selector

    def describer(self, options: SemanticOptions) -> Describer | None:
        """What finds words, where words are wished; None where the profile has nothing that does."""
        wish, source = options.caption, options.captioner or self.published("captioner")
        if wish not in (captions.AUTO, captions.BACKGROUND):
            return None
        if source is None and wish == captions.AUTO and "captioner" not in self.profile:
            return None
        if ("describer", source) not in self._built:
            self._built["describer", source] = (
                PhotoCaptioner(
                    self.backbone, self.profile.build("captioner", Captioner), self.coder.vocabulary
                )
                if source is None
                else HubCaptioner(source)
            )
        describer: Describer = self._built["describer", source]
        return describer

    def _selector(self, checkpoint: Path | None) -> RegionSelector:
        saliency = self.profile.build("saliency", U2NetP)
        if checkpoint is not None:
            return RegionSelector(saliency, self.extractor, Segmenter(published_sam(checkpoint)))
        if "segmenter" not in self.profile:
            return RegionSelector(saliency)
        sam = self.profile.build("segmenter", TinySegmenter).sam(self.backbone)
        return RegionSelector(saliency, self.extractor, Segmenter(sam))


def _keeping(message: Message) -> Message:
    """The same message, whose fields of fixed length are wished with their errors."""
    fixed = (header.STREAM.name, words.STREAM.name)
    streams = (replace(s, delivery="bits") if s.name in fixed else s for s in message.streams)
    return replace(message, streams=tuple(streams))


def _say_nothing(stage: str) -> None:
    """Where nobody watches."""


def check_device(device: str) -> None:
    """Raises `ValueError` where this machine has no such device, before anything is loaded for it."""
    kind, _, number = device.partition(":")
    if kind == "cpu":
        return
    backend = getattr(torch, kind)
    if not backend.is_available() or int(number or 0) >= backend.device_count():
        raise ValueError(f"device: PyTorch {torch.__version__} sees no {device} here; take cpu")


def receiver_networks(
    profile: Profile, level: Quantization, adapters: bool, device: str = "cpu"
) -> tuple[Enhancer, MultimodalDecoder]:
    """The receiver's networks at a precision, each with its adapters where the profile has them."""
    decoder = profile.build("decoder", MultimodalDecoder)
    if adapters and "decoder_adapters" in profile:
        lora.load(decoder, profile.tensors("decoder_adapters"))
    enhancer = profile.build("enhancer", Enhancer)
    enhancer = quantise_enhancer(enhancer, level, profile.tensors("enhancer_ranges"))
    decoder = quantise_decoder(decoder, level, device)
    if adapters and level is Quantization.NF4:
        for part, network in (("enhancer_adapters_nf4", enhancer), ("decoder_adapters_nf4", decoder)):
            if part in profile:
                lora.load(network, profile.tensors(part))
    return enhancer.to(device), decoder.to(device)
