"""The enhancer as its eight-bit copy will run it, differentiable: it learns to live with the rounding.

Activations are rounded to the codes of `semcom.receiver.int8`, and the gradient passes as if they were not.
Weights stay exact: rounding them, with a scale per channel, costs nothing that can be measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcom.models.rrdb import RESIDUAL_SCALE, SLOPE, DenseBlock, RRDBNet
from semcom.receiver.enhancer import Enhancer
from semcom.receiver.int8 import LEVELS, OUTER, unit_of, zero_point_of


def as_integers(enhancer: Enhancer, ranges: Mapping[str, Tensor]) -> Enhancer:
    """The enhancer with its parameters, and activations rounded.

    Args:
        enhancer: to be trained.
        ranges: what `semcom.receiver.int8.observe` returned for it.
    """
    result = Enhancer(num_blocks=0)
    result.trunk = _RoundedTrunk(enhancer.trunk, ranges)  # type: ignore[assignment]
    return result


class _RoundedTrunk(nn.Module):
    """`Int8Trunk` in floating point.

    Args:
        trunk: whose parameters it uses.
        ranges: of its activations.
    """

    def __init__(self, trunk: RRDBNet, ranges: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.trunk, self.conv_first = trunk, trunk.conv_first
        self._dense = [[_Codes(spans) for spans in block] for block in ranges["dense"]]
        self._outer = {name: _Codes(span[None]) for name, span in zip(OUTER, ranges["outer"], strict=True)}

    def forward(self, x: Tensor) -> Tensor:
        """[B,in_channels,h,w] → [B,3,4h,4w]."""
        trunk = self.trunk
        shallow = y = self.conv_first(x)
        for block, codes in zip(trunk.body, self._dense, strict=True):
            inner = y
            for dense, own in zip(block.dense, codes, strict=True):  # type: ignore[arg-type]
                inner = _dense(dense, inner, own)
            y = y + RESIDUAL_SCALE * inner
        y = shallow + trunk.conv_body(self._rounded("conv_body", y))
        y = F.leaky_relu(trunk.conv_up1(self._rounded("conv_up1", y)), SLOPE)
        y = F.leaky_relu(trunk.conv_up2(self._rounded("conv_up2", y)), SLOPE)
        y = F.leaky_relu(trunk.conv_hr(self._rounded("conv_hr", y)), SLOPE)
        result: Tensor = trunk.conv_last(y if trunk.amplify is None else trunk.amplify(y, x))
        return result

    def _rounded(self, layer: str, x: Tensor) -> Tensor:
        return self._outer[layer].rounded(x)


class _Codes:
    """Codes of some activations that are concatenated.

    Args:
        spans: [N,2] lowest and highest value of each.
    """

    def __init__(self, spans: Tensor) -> None:
        self._zero = zero_point_of(spans)
        self._units = [unit_of(span, self._zero) for span in spans]

    def rounded(self, x: Tensor, index: int = 0) -> Tensor:
        """Values of the codes of activation `index`."""
        result: Tensor = _Rounding.apply(x, self._units[index], self._zero)
        return result


def _dense(block: DenseBlock, x: Tensor, codes: _Codes) -> Tensor:
    features = [codes.rounded(x)]
    for i, conv in enumerate(block.convs[:-1], 1):
        y = F.leaky_relu(conv(torch.cat(features, 1)), SLOPE)
        features.append(codes.rounded(y, i))
    return x + RESIDUAL_SCALE * block.convs[-1](torch.cat(features, 1))


class _Rounding(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, unit: float, zero_point: int) -> Tensor:
        return (x / unit).round_().clamp_(-zero_point, LEVELS - zero_point).mul_(unit)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient, None, None
