"""Weights and arithmetic of the receiver at four precisions, chosen when it is built.

| level | enhancer's convolutions | decoder's linear layers | decoder's convolutions |
|---|---|---|---|
| auto | int8 where the integer kernels are exact and fast here, else fp32 | | |
| fp32 | float32 | float32 | float32 |
| bf16 | bfloat16 | bfloat16 | bfloat16 |
| int8 | int8 weights and activations, oneDNN | int8, bitsandbytes | int8 weights, float32 arithmetic |
| nf4 | NF4 weights, float32 arithmetic | NF4, bitsandbytes | NF4 weights, float32 arithmetic |

NF4 (QLoRA, arXiv 2305.14314) has sixteen levels in blocks of 64 weights. bitsandbytes has no
convolution, so a convolution's weights are expanded once, when the model is built. At NF4 the enhancer's
two upsampling convolutions stay in float32, and at both every convolution from or to less than 32
channels, such as the last one before the picture: they are a hundredth of the weights, and rounding them
shifts colours. LoRA adapters (`semcom.receiver.adapters`) make up for the rest of what NF4 loses.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TypeVar

import bitsandbytes as bnb
import torch
from torch import Tensor, nn

from semcom.networks.enhancer import Enhancer
from semcom.provenance import has_bf16
from semcom.receiver.int8 import with_int8_trunk
from semcom.receiver.integer_conv import auto_precision, has_integer_kernels
from semcom.receiver.precision import Quantization

__all__ = ["Quantization", "is_rounded", "quantise_decoder", "quantise_enhancer", "resolved", "round_to_nf4"]

_NARROW = 32  # channels
_NF4_BLOCK = 64  # weights
Module = TypeVar("Module", bound=nn.Module)


def resolved(level: Quantization, device: str = "cpu") -> Quantization:
    """The precision that a wish comes to on this machine; warns where it will be slow.

    See `auto_precision` for `auto`; on another device than the CPU it is float32.

    Raises:
        ValueError: int8, whose kernels are those of a CPU, on another device.
    """
    if device != "cpu":
        if level is Quantization.INT8:
            raise ValueError(f"quantization: int8 runs on the CPU; on {device} take nf4, bf16 or fp32")
        return Quantization.FP32 if level is Quantization.AUTO else level
    if level is Quantization.AUTO:
        return auto_precision()
    if level is Quantization.BF16 and not has_bf16():
        warnings.warn(
            "bf16: this processor has no bfloat16 instructions, so a picture takes about ten times as long "
            "as in fp32; take auto",
            stacklevel=2,
        )
    if level is Quantization.INT8 and not has_integer_kernels():
        warnings.warn(
            "int8: there are no integer kernels for this processor, so the same integers are computed in "
            "float64, more slowly than fp32; take auto",
            stacklevel=2,
        )
    return level


def quantise_enhancer(enhancer: Enhancer, level: Quantization, ranges: Mapping[str, Tensor]) -> Enhancer:
    """The enhancer at a precision; `ranges` are the profile's part `enhancer_ranges`."""
    if level is Quantization.INT8:
        return with_int8_trunk(enhancer, ranges)
    if level is Quantization.NF4:
        round_to_nf4(enhancer, nn.Conv2d)
    return enhancer.bfloat16() if level is Quantization.BF16 else enhancer


def quantise_decoder(decoder: Module, level: Quantization, device: str = "cpu") -> Module:
    """A decoder of linear layers and convolutions at a precision, changed in place.

    bitsandbytes packs its layers on the device; the rest is the caller's to move there.
    """
    if level is Quantization.BF16:
        return decoder.bfloat16()
    if level is Quantization.NF4:
        round_to_nf4(decoder, nn.Conv2d)
    if level is Quantization.INT8:
        _round_to_int8(decoder)
    if level in (Quantization.INT8, Quantization.NF4):
        _replace_linears(decoder, level, device)
    return decoder


def quantise_linears(module: nn.Module, level: Quantization) -> None:
    """Every linear layer in int8 or NF4 by bitsandbytes, in place, as a `quantization_config` does.

    A layer whose rows are no whole blocks of 64 stays as it is at NF4: the kernels of a CPU do not read it.
    """
    for name, child in module.named_children():
        if type(child) is nn.Linear and (level is Quantization.INT8 or child.in_features % _NF4_BLOCK == 0):
            setattr(module, name, _linear(child, level, "cpu"))
        else:
            quantise_linears(child, level)


def _replace_linears(module: nn.Module, level: Quantization, device: str) -> None:
    for name, child in module.named_children():
        if type(child) is nn.Linear and (level is Quantization.INT8 or is_rounded(child)):
            setattr(module, name, _linear(child, level, device))
        else:
            _replace_linears(child, level, device)


def _linear(layer: nn.Linear, level: Quantization, device: str) -> nn.Module:
    shape = (layer.in_features, layer.out_features, layer.bias is not None)
    quantised: nn.Module = (
        bnb.nn.Linear4bit(*shape, compute_dtype=torch.float32, quant_type="nf4")
        if level is Quantization.NF4
        else bnb.nn.Linear8bitLt(*shape, has_fp16_weights=False)
    )
    quantised.load_state_dict(layer.state_dict())
    return quantised.to(device).requires_grad_(False)  # bitsandbytes quantises on the way to a device


@torch.no_grad()
def _round_to_int8(module: nn.Module) -> None:
    """Gives the weights of convolutions the values that they have in int8, one scale per output channel."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d) and is_rounded(layer):
            scale = layer.weight.abs().amax((1, 2, 3), keepdim=True) / 127
            layer.weight.copy_((layer.weight / scale.clamp_min(1e-12)).round() * scale)


def is_rounded(layer: nn.Conv2d | nn.Linear) -> bool:
    """Whether the weight is rounded: it joins at least 32 channels with at least 32."""
    return min(layer.weight.shape[:2]) >= _NARROW


@torch.no_grad()
def round_to_nf4(module: nn.Module, *kinds: type[nn.Conv2d | nn.Linear]) -> None:
    """Gives weights of layers of these kinds the values that they have in NF4, in place.

    Narrow layers are left alone. A linear layer gets those that bitsandbytes computes with, its block
    scales in eight bits.
    """
    for layer in module.modules():
        if isinstance(layer, kinds) and is_rounded(layer):
            # As one row: bitsandbytes compiles a kernel for each shape whose last side is odd
            weight = layer.weight.flatten()
            packed = bnb.functional.quantize_4bit(
                weight, quant_type="nf4", compress_statistics=isinstance(layer, nn.Linear)
            )
            layer.weight.copy_(bnb.functional.dequantize_4bit(*packed).view_as(layer.weight))
