"""The enhancer as its eight-bit copy will run it, differentiable: it learns to live with the rounding.

What a convolution reads is rounded to the codes of `semcom.receiver.int8`, and the gradient passes as if it
were not. Weights stay exact: rounding them, with a scale per channel, costs nothing that can be measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from semcom.networks.enhancer import Enhancer
from semcom.networks.rrdb import DenseBlock
from semcom.receiver.int8 import LEVELS, OUTER, unit_of, zero_point_of


@contextmanager
def fake_quantised(enhancer: Enhancer, ranges: Mapping[str, Tensor]) -> Iterator[None]:
    """Within, the enhancer's activations are rounded.

    Args:
        enhancer: to be trained.
        ranges: what `semcom.receiver.int8.observe` returned for it.
    """
    trunk = enhancer.trunk
    rounded: list[tuple[nn.Module, Rounding]] = [
        (getattr(trunk, name), Rounding(span[None], [trunk.conv_body.in_channels]))
        for name, span in zip(OUTER, ranges["outer"], strict=True)
    ]
    blocks = [module for module in trunk.modules() if isinstance(module, DenseBlock)]
    for block, spans in zip(blocks, ranges["dense"].flatten(0, 1), strict=True):
        convs = [conv for conv in block.convs if isinstance(conv, nn.Conv2d)]
        widths = [convs[0].in_channels, *(conv.out_channels for conv in convs[:-1])]
        rounding = Rounding(spans, widths)
        rounded += [(conv, rounding) for conv in convs]
    with ExitStack() as hooks:
        for layer, rounding in rounded:
            hooks.callback(layer.register_forward_pre_hook(rounding).remove)
        yield


class Rounding:
    """Forward pre-hook that rounds what a layer reads: the first of some activations that are concatenated.

    Args:
        spans: [N,2] lowest and highest value of each.
        widths: channels of each.
    """

    def __init__(self, spans: Tensor, widths: Sequence[int]) -> None:
        self._zero = zero_point_of(spans)
        units = torch.tensor([unit_of(span, self._zero) for span in spans])
        self._units = units.repeat_interleave(torch.tensor(widths)).view(1, -1, 1, 1)

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        """What the layer is to read instead of [B,C,h,w]."""
        (x,) = inputs
        units = self._units[:, : x.shape[1]].to(x.device)
        with torch.no_grad():
            codes = (x / units).round_().clamp_(-self._zero, LEVELS - self._zero)
            error = (codes.mul_(units) - x).to(x.dtype)
        return x + error
