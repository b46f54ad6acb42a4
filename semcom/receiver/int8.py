"""Eight-bit trunk: the enhancer's convolutions on integers, 4 to 8 times as fast on a CPU with VNNI.

    x ─► quantise (uint8, one scale per concatenated segment) ─► int8 convolution (oneDNN) ─► float32

Weights have one scale per output channel. The segments of a dense block (its input, then each layer's
features) differ in range, but an integer convolution knows one input scale: each segment is stored in
its own units and the units are folded into the weights. The residual stream, the first convolution
and the last one stay in float32.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from semcom.networks.enhancer import Enhancer
from semcom.networks.rrdb import RESIDUAL_SCALE, RRDB, SLOPE, DenseBlock, NearestUpConv, RRDBNet

LEVELS = 255
"""Highest code."""
_ZERO_POINTS = range(43, 129, 5)  # 43: leaky-ReLU features, [-a/5, a]; 128: a symmetric residual stream


class Int8Conv(nn.Module):
    """A 3×3 convolution of uint8 segments, float32 out.

    Args:
        weight: [out,in,3,3] float.
        bias: [out] float.
        units: value of one step, per input segment.
        widths: channels per input segment.
        zero_point: the code of 0, common to the segments.
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
        folded = weight.detach() * steps.view(1, -1, 1, 1)
        self.scales = (folded.abs().amax((1, 2, 3)) / 127).clamp_min(1e-12)
        codes = (folded / self.scales.view(-1, 1, 1, 1)).round().to(torch.int8)
        self.zeros = torch.zeros(len(codes), dtype=torch.int32)
        self.bias = None if bias is None else bias.detach().float().clone()
        self.zero_point = zero_point
        self.packed = torch.ops.onednn.qconv_prepack(
            codes, self.scales, 1.0, zero_point, [1, 1], [1, 1], [1, 1], 1, [1, weight.shape[1], 32, 32]
        )

    def forward(self, codes: Tensor) -> Tensor:
        """[B,in,h,w] uint8 → [B,out,h,w] float32."""
        result: Tensor = torch.ops.onednn.qconv2d_pointwise(
            codes, 1.0, self.zero_point, self.packed, self.scales, self.zeros, self.bias,
            [1, 1], [1, 1], [1, 1], 1, 1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return result


def to_codes(
    x: Tensor, unit: float, zero_point: int, slope: float = 1.0, after: Tensor | None = None
) -> Tensor:
    """uint8 codes of a leaky ReLU's output, rounded and saturated.

    Args:
        x: [B,C,h,w] float32.
        unit: value of one step.
        zero_point: the code of 0.
        slope: of the leaky ReLU; 1 for none.
        after: [B,A,h,w] uint8 that the codes are appended to.

    Returns:
        [B,A+C,h,w], channels last.
    """
    # Imported here because numba takes a second to load and only this kind of decoding needs it.
    from semcom.receiver.int8_kernel import append

    batch, _, height, width = x.shape
    known = x.new_empty((batch, 0, height, width), dtype=torch.uint8) if after is None else after
    codes = append(
        _by_pixel(known), _by_pixel(x), np.float32(slope), np.float32(1 / unit), np.float32(zero_point)
    )
    return torch.from_numpy(codes).view(batch, height, width, -1).permute(0, 3, 1, 2)


def _by_pixel(x: Tensor) -> NDArray[Any]:
    """[B,C,h,w] → [B·h·w,C]; no copy where channels are last."""
    return x.permute(0, 2, 3, 1).flatten(0, 2).numpy()


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
            codes = to_codes(conv(codes), unit, self.zero_point, SLOPE, after=codes)
        return self.convs[-1](codes).mul_(RESIDUAL_SCALE).add_(x)


class _Int8RRDB(nn.Module):
    def __init__(self, block: RRDB, ranges: Tensor) -> None:
        super().__init__()
        self.dense = nn.Sequential(
            *(Int8DenseBlock(d, r) for d, r in zip(block.dense, ranges, strict=True))  # type: ignore[arg-type]
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.dense(x)
        return result.mul_(RESIDUAL_SCALE).add_(x)


class _Int8Layer(nn.Module):
    """One convolution outside the dense blocks, with its own input range."""

    def __init__(self, conv: nn.Conv2d | NearestUpConv, span: Tensor, upsample: bool) -> None:
        super().__init__()
        self.zero_point, self.upsample = zero_point_of(span[None]), upsample
        self.unit = unit_of(span, self.zero_point)
        self.conv = Int8Conv(conv.weight, conv.bias, [self.unit], [conv.weight.shape[1]], self.zero_point)

    def forward(self, x: Tensor, slope: float = 1.0) -> Tensor:
        """Of x after a leaky ReLU."""
        codes = to_codes(x, self.unit, self.zero_point, slope)
        if self.upsample:
            codes = codes.repeat_interleave(2, -1).repeat_interleave(2, -2)
        return self.conv(codes.contiguous(memory_format=torch.channels_last))


class Int8Trunk(nn.Module):
    """`RRDBNet` on integers; same input and output.

    Args:
        trunk: trained.
        ranges: what `observe` returned for it.
    """

    def __init__(self, trunk: RRDBNet, ranges: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.conv_first, self.amplify, self.conv_last = trunk.conv_first, trunk.amplify, trunk.conv_last
        self.body = nn.Sequential(
            *(_Int8RRDB(b, r) for b, r in zip(trunk.body, ranges["dense"], strict=True))  # type: ignore[arg-type]
        )
        outer = dict(zip(OUTER, ranges["outer"], strict=True))
        self.conv_body = _Int8Layer(trunk.conv_body, outer["conv_body"], upsample=False)
        self.conv_up1 = _Int8Layer(trunk.conv_up1, outer["conv_up1"], upsample=True)
        self.conv_up2 = _Int8Layer(trunk.conv_up2, outer["conv_up2"], upsample=True)
        self.conv_hr = _Int8Layer(trunk.conv_hr, outer["conv_hr"], upsample=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B,in_channels,h,w] → [B,3,4h,4w]."""
        shallow = self.conv_first(x)
        y = self.conv_body(self.body(shallow)).add_(shallow)
        y = self.conv_up2(self.conv_up1(y), SLOPE)
        y = self.conv_hr(y, SLOPE)
        y = F.leaky_relu_(y, SLOPE)
        result: Tensor = self.conv_last(y if self.amplify is None else self.amplify(y, x))
        return result


OUTER = ("conv_body", "conv_up1", "conv_up2", "conv_hr")
"""Layers outside the dense blocks that run on integers."""


@torch.inference_mode()
def observe(enhancer: Enhancer, crops: Sequence[tuple[Tensor, Tensor, Tensor, Tensor]]) -> dict[str, Tensor]:
    """Value ranges of the trunk's activations on calibration crops.

    Args:
        enhancer: trained, float32.
        crops: what the enhancer takes: (hci [1,3,h,w], quality [1], detail [1,1,h,w],
            texture [1,3,h,w]).

    Returns:
        `dense` [blocks,3,5,2] and `outer` [4,2]: lowest and highest value over the crops.
    """
    trunk = enhancer.trunk
    seen: dict[nn.Module, Tensor] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        segments = inputs[0].split([64, *[32] * ((inputs[0].shape[1] - 64) // 32)], 1)
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
    return min(
        _ZERO_POINTS, key=lambda zero: float(torch.tensor([unit_of(s, zero) for s in ranges]).log().sum())
    )
