"""Eight-bit trunk: the enhancer's convolutions on integers, 4 to 8 times as fast on a CPU with VNNI.

    x ─► quantise (uint8, one scale per concatenated segment) ─► int8 convolution (oneDNN) ─► float32

Weights have one scale per output channel, and sums are exact (`semcom.receiver.integer_conv`). The segments
of a dense block (its input, then each layer's features) differ in range, but an integer convolution knows one
input scale: each segment is stored in its own units and the units are folded into the weights. The residual
stream and the last convolution stay in float32.

Twelve blocks of rounding are chaotic: one float that rounds to another code at the beginning ends as noise of
the size of the rounding itself. So nothing before the last code may depend on the processor: the first
convolution is in fixed point, sums are integers, and what joins them is rounded one operation at a time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from semcom.networks.enhancer import Enhancer
from semcom.networks.rrdb import (
    CHANNELS,
    GROWTH,
    RESIDUAL_SCALE,
    RRDB,
    SLOPE,
    DenseBlock,
    NearestUpConv,
    RRDBNet,
)
from semcom.receiver.fixed_point import FixedPointConv
from semcom.receiver.integer_conv import IntegerConv

LEVELS = 255
"""Highest code."""
_ZERO_POINTS = range(43, 129, 5)  # 43: leaky-ReLU features, [-a/5, a]; 128: a symmetric residual stream


class Int8Conv(nn.Module):
    """A 3×3 convolution of uint8 segments.

    Args:
        weight: [out,in,3,3] float.
        bias: [out] float.
        units: value of one step, per input segment.
        widths: channels per input segment.
        zero_point: the code of 0, common to the segments.

    Attributes:
        integers: from codes to sums of integers.
        scale, offset: [out] float32; a sum times its scale, and the offset added, is the value.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        units: Sequence[float],
        widths: Sequence[int],
        zero_point: int,
    ) -> None:
        super().__init__()
        steps = torch.tensor([u for u, width in zip(units, widths, strict=True) for _ in range(width)])
        self.integers = IntegerConv(weight.detach() * steps.view(1, -1, 1, 1), zero_point)
        self.scale = self.integers.scales
        self.offset = torch.zeros(len(weight)) if bias is None else bias.detach().float().clone()

    def codes(
        self, codes: Tensor, unit: float, zero_point: int, slope: float, after: Tensor | None = None
    ) -> Tensor:
        """The values of [B,in,h,w] uint8 as codes; see `to_codes`."""
        return _append(self.integers(codes), self.scale / unit, self.offset / unit, zero_point, slope, after)

    def activated(self, codes: Tensor, slope: float) -> Tensor:
        """The values of [B,in,h,w] uint8 after a leaky ReLU, [B,out,h,w] float32."""
        kernel = _kernels().activated
        sums = self.integers(codes)
        return _as_picture(
            kernel(_by_pixel(sums), self.scale.numpy(), self.offset.numpy(), np.float32(slope)), sums
        )

    def added(self, codes: Tensor, x: Tensor, gain: float = 1.0) -> Tensor:
        """x [B,out,h,w] float32, and the values of [B,in,h,w] uint8 times a gain added."""
        scale, offset = gain * self.scale, gain * self.offset
        sums = _by_pixel(self.integers(codes))
        return _as_picture(_kernels().add_scaled(_by_pixel(x), sums, scale.numpy(), offset.numpy()), x)


def to_codes(x: Tensor, unit: float, zero_point: int) -> Tensor:
    """uint8 codes, rounded and saturated.

    Args:
        x: [B,C,h,w] float32.
        unit: value of one step.
        zero_point: the code of 0.

    Returns:
        [B,C,h,w], channels last.
    """
    channels = x.shape[1]
    return _append(x, torch.full((channels,), 1 / unit), torch.zeros(channels), zero_point, 1.0, None)


def _append(
    x: Tensor, scale: Tensor, offset: Tensor, zero_point: int, slope: float, after: Tensor | None
) -> Tensor:
    """`semcom.receiver.int8_kernel.append` on [B,C,h,w]."""
    batch, _, height, width = x.shape
    known = x.new_empty((batch, 0, height, width), dtype=torch.uint8) if after is None else after
    codes = _kernels().append(
        _by_pixel(known),
        _by_pixel(x),
        scale.numpy(),
        offset.numpy(),
        np.float32(slope),
        np.float32(zero_point),
    )
    return _as_picture(codes, x)


@cache
def _kernels() -> ModuleType:
    """Imported late: numba takes a second to load and only this kind of decoding needs it."""
    return import_module("semcom.receiver.int8_kernel")


def _by_pixel(x: Tensor) -> NDArray[Any]:
    """[B,C,h,w] → [B·h·w,C]; no copy where channels are last."""
    return x.permute(0, 2, 3, 1).flatten(0, 2).numpy()


def _as_picture(pixels: NDArray[Any], like: Tensor) -> Tensor:
    """[B·h·w,C] → [B,C,h,w], channels last."""
    batch, _, height, width = like.shape
    return torch.from_numpy(pixels).view(batch, height, width, -1).permute(0, 3, 1, 2)


class Int8DenseBlock(nn.Module):
    """`DenseBlock` on integers.

    Args:
        block: trained.
        ranges: [5,2] lowest and highest value of the input and of each layer's features.
    """

    def __init__(self, block: DenseBlock, ranges: Tensor) -> None:
        super().__init__()
        self.zero_point = zero_point_of(ranges)
        self.units = [unit_of(span, self.zero_point) for span in ranges]
        convs = [conv for conv in block.convs if isinstance(conv, nn.Conv2d)]
        widths = [conv.in_channels for conv in convs]
        segments = [widths[0], *(b - a for a, b in itertools.pairwise(widths))]
        self.convs = nn.ModuleList(
            Int8Conv(conv.weight, conv.bias, self.units[: i + 1], segments[: i + 1], self.zero_point)
            for i, conv in enumerate(convs)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,h,w] float32 → [B,C,h,w] float32."""
        codes = to_codes(x, self.units[0], self.zero_point)
        for conv, unit in zip(self.convs[:-1], self.units[1:], strict=True):
            codes = cast(Int8Conv, conv).codes(codes, unit, self.zero_point, SLOPE, after=codes)
        return cast(Int8Conv, self.convs[-1]).added(codes, x, RESIDUAL_SCALE)


class _Int8RRDB(nn.Module):
    def __init__(self, block: RRDB, ranges: Tensor) -> None:
        super().__init__()
        self.dense = nn.Sequential(
            *(Int8DenseBlock(d, r) for d, r in zip(block.dense, ranges, strict=True))  # type: ignore[arg-type]
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.dense(x)
        return result.mul_(RESIDUAL_SCALE).add_(x)


class _Int8Layer:
    """What a convolution outside the dense blocks reads: codes in its own range."""

    def __init__(self, conv: nn.Conv2d | NearestUpConv, span: Tensor) -> None:
        self.zero_point = zero_point_of(span[None])
        self.unit = unit_of(span, self.zero_point)
        self.conv = Int8Conv(conv.weight, conv.bias, [self.unit], [conv.weight.shape[1]], self.zero_point)

    def codes(self, x: Tensor) -> Tensor:
        """Of [B,C,h,w] float32."""
        return to_codes(x, self.unit, self.zero_point)

    def codes_after(self, before: _Int8Layer, codes: Tensor) -> Tensor:
        """Of what another layer makes of its codes, after a leaky ReLU."""
        return before.conv.codes(codes, self.unit, self.zero_point, SLOPE)


class Int8Trunk(nn.Module):
    """`RRDBNet` on integers; same input and output.

    Args:
        trunk: trained.
        ranges: what `observe` returned for it.
    """

    def __init__(self, trunk: RRDBNet, ranges: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.conv_first = FixedPointConv(trunk.conv_first)
        self.amplify, self.conv_last = trunk.amplify, trunk.conv_last
        self.body = nn.Sequential(
            *(_Int8RRDB(b, r) for b, r in zip(trunk.body, ranges["dense"], strict=True))  # type: ignore[arg-type]
        )
        outer = dict(zip(OUTER, ranges["outer"], strict=True))
        self.outer = [_Int8Layer(getattr(trunk, name), outer[name]) for name in OUTER]

    def forward(self, x: Tensor) -> Tensor:
        """[B,in_channels,h,w] → [B,3,4h,4w]."""
        shallow = self.conv_first(x).float().contiguous(memory_format=torch.channels_last)
        body, up1, up2, hr = self.outer
        y = body.conv.added(body.codes(self.body(shallow)), shallow)
        codes = up2.codes_after(up1, _twice(up1.codes(y)))
        codes = hr.codes_after(up2, _twice(codes))
        y = hr.conv.activated(codes, SLOPE)
        result: Tensor = self.conv_last(y if self.amplify is None else self.amplify(y, x.float()))
        return result


def _twice(codes: Tensor) -> Tensor:
    """Each of [B,C,h,w] four times: [B,C,2h,2w], channels last."""
    doubled = codes.repeat_interleave(2, -1).repeat_interleave(2, -2)
    return doubled.contiguous(memory_format=torch.channels_last)


OUTER = ("conv_body", "conv_up1", "conv_up2", "conv_hr")
"""Layers outside the dense blocks that run on integers."""


@torch.inference_mode()
def observe(enhancer: Enhancer, crops: Sequence[tuple[Tensor, Tensor, Tensor, Tensor]]) -> dict[str, Tensor]:
    """Value ranges of the trunk's activations on calibration crops.

    Args:
        enhancer: trained, float32.
        crops: what the enhancer takes: (hci [1,3,h,w], quality [1], detail [1,9,h,w],
            texture [1,3,h,w]).

    Returns:
        `dense` [blocks,3,5,2] and `outer` [4,2]: lowest and highest value over the crops.
    """
    trunk = enhancer.trunk
    seen: dict[nn.Module, Tensor] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        segments = inputs[0].split([CHANNELS, *[GROWTH] * ((inputs[0].shape[1] - CHANNELS) // GROWTH)], 1)
        spans = torch.stack([_span(segment) for segment in segments])
        before = seen.get(module, spans)
        seen[module] = torch.stack(
            (torch.minimum(spans[:, 0], before[:, 0]), torch.maximum(spans[:, 1], before[:, 1])), 1
        )

    blocks = [[dense.convs[-1] for dense in rrdb.dense] for rrdb in trunk.body]  # type: ignore[union-attr]
    outer = [getattr(trunk, name) for name in OUTER]
    hooks = [m.register_forward_pre_hook(note) for m in [*itertools.chain(*blocks), *outer]]
    for crop in crops:
        enhancer(*crop)
    for hook in hooks:
        hook.remove()
    return {
        "dense": torch.stack([torch.stack([seen[m] for m in row]) for row in blocks]),
        "outer": torch.stack([seen[m][0] for m in outer]),
    }


def with_int8_trunk(enhancer: Enhancer, ranges: Mapping[str, Tensor]) -> Enhancer:
    """The enhancer with its trunk on integers."""
    result = Enhancer(num_blocks=0)
    result.trunk = Int8Trunk(enhancer.trunk, ranges)  # type: ignore[assignment]
    return result


def _span(x: Tensor) -> Tensor:
    low, high = torch.aminmax(x)
    return torch.stack((low.clamp_max(0), high.clamp_min(0)))


def unit_of(span: Tensor, zero_point: int) -> float:
    """Value of one step so that the range fits on both sides of the zero point."""
    return max(float(-span[0]) / zero_point, float(span[1]) / (LEVELS - zero_point), 1e-6)


def zero_point_of(ranges: Tensor) -> int:
    """The zero point whose steps are finest over all segments, by their geometric mean."""
    return min(_ZERO_POINTS, key=lambda zero: math.fsum(math.log(unit_of(span, zero)) for span in ranges))
