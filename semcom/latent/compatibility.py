"""Whether the components of a latent profile fit together, from their configurations alone: before any weight
is read, and with both numbers named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from semcom.files import MIB, read_limited
from semcom.latent.sources import Found
from semcom.latent.spec import LatentSpec

CONDITIONING = (3, 4)
"""Channels that a ControlNet may look at: the first picture, and where its detail was received."""
_CONFIGS = {"scheduler": "scheduler_config.json", "tokenizer": "tokenizer_config.json"}
_CLASSES = {
    "unet": "UNet2DConditionModel",
    "vae": "AutoencoderKL",
    "controlnet": "ControlNetModel",
}


class MismatchError(ValueError):
    """Components that do not fit together; a line for each reason."""


def configurations(found: Mapping[str, Found]) -> dict[str, dict[str, Any]]:
    """What each component says of itself.

    Raises:
        MismatchError: a configuration is not readable.
    """
    configs = {}
    for name in found:
        if name in ("segmenter", "captioner"):
            continue
        path = found[name].folder / _CONFIGS.get(name, "config.json")
        try:
            config = json.loads(read_limited(path, MIB))
        except (OSError, ValueError) as error:
            raise MismatchError(f"{name}: {path}: not a configuration ({str(error)[:100]})") from error
        if not isinstance(config, dict):
            raise MismatchError(f"{name}: {path}: not a configuration (no mapping)")
        configs[name] = config
    return configs


def check(spec: LatentSpec, configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises `MismatchError` with everything that is wrong."""
    problems = list(_problems(spec, configs))
    if problems:
        raise MismatchError("\n".join(problems))


def scale_of(vae: Mapping[str, Any]) -> int:
    """Pixels along one side of a latent."""
    return int(2 ** (len(vae.get("block_out_channels", (0,))) - 1))


def _problems(spec: LatentSpec, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, wanted in _CLASSES.items():
        named = configs.get(name, {}).get("_class_name", wanted)
        if named != wanted:
            yield f"{name}: is a {named}, must be a {wanted}"
    unet, vae, text = (configs.get(name, {}) for name in ("unet", "vae", "text_encoder"))
    latent = vae.get("latent_channels", 4)
    for side in ("in_channels", "out_channels"):
        if unet.get(side, 4) != latent:
            yield f"latent channels: the vae has {latent}, the unet's {side} are {unet.get(side, 4)}"
    width, hidden = unet.get("cross_attention_dim", 1280), _hidden_size(text)
    if width != hidden:
        yield f"cross-attention width: the unet takes {width}, the text_encoder gives {hidden}"
    if unet.get("class_embed_type") or unet.get("addition_embed_type"):
        yield "unet: takes class or size embeddings (an SDXL?); only text conditions are given here"
    said = configs.get("scheduler", {}).get("prediction_type", "epsilon")
    if spec.prediction is not None and said != spec.prediction:
        yield f"prediction type: the profile says {spec.prediction}, the scheduler {said}"
    yield from _of_controlnet(unet, configs.get("controlnet"))


def _of_controlnet(unet: Mapping[str, Any], control: Mapping[str, Any] | None) -> Iterator[str]:
    if control is None:
        return
    for field, default in (
        ("in_channels", 4),
        ("cross_attention_dim", 1280),
        ("block_out_channels", [320, 640, 1280, 1280]),
        ("layers_per_block", 2),
    ):
        mine, other = control.get(field, default), unet.get(field, default)
        if mine != other:
            yield f"{field}: the controlnet has {mine}, the unet {other}"
    seen = control.get("conditioning_channels", 3)
    if seen not in CONDITIONING:
        given = " or ".join(map(str, CONDITIONING))
        yield f"conditioning channels: the controlnet has {seen}, given are {given}"


def _hidden_size(text: Mapping[str, Any]) -> Any:
    return text.get("hidden_size") or text.get("text_config", {}).get("hidden_size", 512)


def check_tokens(text_encoder: Mapping[str, Any], tokens: int, folder: Path) -> None:
    """Raises `MismatchError` where a tokenizer has tokens that the text encoder does not know."""
    known = text_encoder.get("vocab_size", 49408)
    if tokens > known:
        raise MismatchError(
            f"vocabulary: the tokenizer of {folder} has {tokens} tokens, the text_encoder {known}"
        )
