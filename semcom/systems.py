"""Systems by name: the keys of the command line and of scenario files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from semcom.contracts import System


def _semantic(
    profile: str = "tiny",
    key_area: float | None = None,
    key_share: float | None = None,
    card: bool = True,
    texture: bool = True,
    caption: str = "auto",
    captioner: str | None = None,
    points: Sequence[Sequence[float]] = (),
    boxes: Sequence[Sequence[float]] = (),
    key_class: str | None = None,
    mask: str | None = None,
    sam_checkpoint: str | None = None,
    num_words: int = 16,
    steps: int = 1,
    decoder_seed: int = 0,
    quantization: str = "int8",
    adapters: bool = True,
) -> System:
    from semcom.receiver.chain import ReceiveOptions
    from semcom.semantic import SemanticSystem
    from semcom.transmitter.chain import TransmitOptions
    from semcom.transmitter.prompts import load_mask, make_prompts

    options = TransmitOptions(
        key_area=key_area,
        key_share=key_share,
        key_mask=None if mask is None else load_mask(mask),
        prompts=make_prompts(points, boxes, key_class),
        card=card,
        texture=texture,
        caption=caption,
        num_words=num_words,
    )
    receive = ReceiveOptions(steps, decoder_seed)
    return SemanticSystem(profile, options, captioner, sam_checkpoint, receive, quantization, adapters)


def _classical(codec: str) -> System:
    from semcom.baselines.classical import classical

    return classical(codec)


def _deepjscc(profile: str = "deepjscc") -> System:
    from semcom.baselines.deepjscc import DeepJSCCSystem

    return DeepJSCCSystem(profile)


def _compressai(architecture: str, checkpoints: Sequence[str]) -> System:
    from semcom.baselines.compressai import CompressAISystem

    return CompressAISystem(architecture, checkpoints)


SYSTEMS: dict[str, Callable[..., System]] = {
    "semantic": _semantic,
    "jpeg": partial(_classical, "jpeg"),
    "jpeg2000": partial(_classical, "jpeg2000"),
    "webp": partial(_classical, "webp"),
    "avif": partial(_classical, "avif"),
    "jxl": partial(_classical, "jxl"),
    "hevc": partial(_classical, "hevc"),
    "deepjscc": _deepjscc,
    "compressai": _compressai,
}


def build(name: str, **options: Any) -> System:
    """A system by name with its options.

    Raises:
        ValueError: unknown name or option.
    """
    if name not in SYSTEMS:
        raise ValueError(f"unknown system {name!r}; known: {', '.join(SYSTEMS)}")
    try:
        return SYSTEMS[name](**options)
    except TypeError as error:
        raise ValueError(f"system {name}: {error}") from error
