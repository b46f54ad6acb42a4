"""Small convolutions whose sums are exact, so that every processor and thread count gives the same floats.

A sum of floats depends on the order of adding, which is the kernel's, and on fused multiply-adds. Inputs and
weights are therefore rounded to whole multiples of powers of two, fine enough to lose nothing that float32
holds, and so few bits that float64 holds each product and each partial sum exactly.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from semcom.networks.key_transform import KeyTransform

_INPUT_STEP = 2.0**-18
_LARGEST_INPUT = 2.0**8  # more is cut off; 2²⁶ steps
_LARGEST_ROW = 2.0**26  # of an output channel's weights, magnitudes added, in their steps: 2²⁶ · 2²⁶ < 2⁵³


class FixedPointConv(nn.Module):
    """What a convolution computes, float64 out.

    Args:
        conv: trained, stride 1, zero padding.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        rows = conv.weight.detach().double()
        sums = rows.abs().sum((1, 2, 3), keepdim=True).clamp_min(1e-12)
        steps = torch.exp2(torch.frexp(sums / _LARGEST_ROW).exponent.double())
        bias = torch.zeros(len(rows)) if conv.bias is None else conv.bias.detach()
        self.register_buffer("weight", (rows / steps).round())
        self.register_buffer("scale", steps.view(-1, 1, 1) * _INPUT_STEP)
        self.register_buffer("bias", bias.double().view(-1, 1, 1))
        self.padding = conv.padding

    def forward(self, x: Tensor) -> Tensor:
        """[B,in,h,w] float → [B,out,h,w] float64."""
        steps = (
            (x.double() / _INPUT_STEP)
            .round_()
            .clamp_(-_LARGEST_INPUT / _INPUT_STEP, _LARGEST_INPUT / _INPUT_STEP)
        )
        sums = nn.functional.conv2d(steps, self.weight, padding=self.padding)  # type: ignore[arg-type]
        return sums.mul_(self.scale).add_(self.bias)  # type: ignore[arg-type]


def in_fixed_point(transform: KeyTransform) -> KeyTransform:
    """A copy for the receiver, whose `refine` gives the same on every processor."""
    copy = deepcopy(transform)
    copy.synthesis = nn.Sequential(
        *(FixedPointConv(layer) if isinstance(layer, nn.Conv2d) else layer for layer in copy.synthesis)
    )
    copy.restore = FixedPointConv(copy.restore)  # type: ignore[assignment]
    return copy
