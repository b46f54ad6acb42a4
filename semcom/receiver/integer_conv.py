"""3×3 convolutions of eight-bit codes whose sums are the exact integers on every processor.

oneDNN multiplies unsigned codes by signed weights. Without VNNI (AVX2, the first AVX-512) it does so by
VPMADDUBSW, which adds the products of each two neighbouring input channels in 16 bits and saturates:
255·(a+b) fits while weights of one sign sum to at most 128. The scale of an output channel is chosen so that
they do, with VNNI too, and the sums come out as plain integers: scaling them is left to the caller, whose
rounding is then the same everywhere. Where oneDNN has no such operator the same integers are computed in
float64.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcom.receiver.precision import Quantization

LARGEST_PAIR = 128
"""Of weights of one sign of input channels 2i and 2i+1: 255 · 128 < 2¹⁵."""
_LARGEST = 127
_STRIP = 2**15  # pixels that the float64 path holds at once, times 9 taps and the channels


class IntegerConv(nn.Module):
    """A 3×3 convolution, uint8 codes in, sums of integers out.

    Args:
        weight: [out,in,3,3] float, in units of the codes' steps.
        zero_point: the code of 0.

    Attributes:
        scales: [out] float32; a sum times its channel's scale is the convolution's value.
        weight: [out,in,3,3] int8.

    Raises:
        ValueError: a pair of weights could saturate: never with scales from `safe_scales`.
    """

    def __init__(self, weight: Tensor, zero_point: int) -> None:
        super().__init__()
        exact = weight.detach().double()
        scales = safe_scales(exact)
        self.scales, self.zero_point = scales.float(), zero_point
        self.weight = (exact / scales.view(-1, 1, 1, 1)).round().to(torch.int8)
        if int(pairs(self.weight.double()).max()) > LARGEST_PAIR:
            raise ValueError(
                "weights of neighbouring channels sum to more than 128: their products may saturate"
            )
        self._kernel = _OneDNN(self.weight, zero_point) if has_integer_kernels() else None

    def forward(self, codes: Tensor) -> Tensor:
        """[B,in,h,w] uint8, channels last → [B,out,h,w] float32: integers, rounded once from 2²⁴ on."""
        if self._kernel is not None:
            return self._kernel(codes)
        return in_float64(codes, self.weight, self.zero_point)


def safe_scales(weight: Tensor) -> Tensor:
    """[out] scales for weights [out,in,3,3] such that neighbours of one sign sum to at most 128.

    Rounding adds at most a half to each of two weights, so 127 before is 128 after.
    """
    return pairs(weight).amax((1, 2, 3)).clamp_min(1e-12) / _LARGEST


def pairs(weight: Tensor) -> Tensor:
    """[out,⌈in/2⌉,3,3]: of each two neighbouring input channels the larger of what is positive, and negative.

    A single weight is never larger, so no weight exceeds its pair.
    """
    even = F.pad(weight, (0, 0, 0, 0, 0, weight.shape[1] % 2)).unflatten(1, (-1, 2))
    return torch.maximum(even.clamp_min(0).sum(2), (-even).clamp_min(0).sum(2))


def in_float64(codes: Tensor, weight: Tensor, zero_point: int) -> Tensor:
    """What `IntegerConv` computes, without integer instructions: exact, as no partial sum reaches 2⁵³."""
    height, width = codes.shape[-2:]
    centred = F.pad(codes.double() - zero_point, (1, 1, 1, 1))
    rows = max(1, _STRIP // width)
    strips = [
        F.conv2d(centred[..., top : min(top + rows, height) + 2, :], weight.double())
        for top in range(0, height, rows)
    ]
    return torch.cat(strips, 2).float().contiguous(memory_format=torch.channels_last)


@cache
def has_integer_kernels() -> bool:
    """Whether oneDNN has the operator here, and is exact at the largest sums that the scales allow."""
    weight = torch.tensor([127, 1, 64, 64, -127, -1, -64, -64] * 8).repeat(32, 1)  # pairs of 128
    weight[1::2] *= -1
    kernel = weight.view(32, 64, 1, 1).expand(-1, -1, 3, 3).to(torch.int8).contiguous()
    codes = torch.full((1, 64, 8, 8), 255, dtype=torch.uint8)
    codes[:, 32:] = torch.arange(8, dtype=torch.uint8) * 36
    codes = codes.contiguous(memory_format=torch.channels_last)
    try:
        found = _OneDNN(kernel, 43)(codes)
    except (AttributeError, NotImplementedError, RuntimeError):  # no such operator, or no kernel for it
        return False
    return torch.equal(found, in_float64(codes, kernel, 43))


def auto_precision() -> Quantization:
    """int8 where the integer kernels are there and exact, else fp32: never bf16, slow on most processors."""
    return Quantization.INT8 if has_integer_kernels() else Quantization.FP32


class _OneDNN:
    """The operator of PyTorch's x86 quantisation, with every scale 1."""

    def __init__(self, weight: Tensor, zero_point: int) -> None:
        out, channels = weight.shape[:2]
        self._ones, self._zeros = torch.ones(out), torch.zeros(out, dtype=torch.int32)
        self._zero_point = zero_point
        self._packed: Any = torch.ops.onednn.qconv_prepack(
            weight, self._ones, 1.0, zero_point, [1, 1], [1, 1], [1, 1], 1, [1, channels, 32, 32]
        )

    def __call__(self, codes: Tensor) -> Tensor:
        return cast(
            Tensor,
            torch.ops.onednn.qconv2d_pointwise(
                codes, 1.0, self._zero_point, self._packed, self._ones, self._zeros, None,
                [1, 1], [1, 1], [1, 1], 1, 1.0, 0, torch.float32, "none", [], "",
            ),
        )  # fmt: skip
