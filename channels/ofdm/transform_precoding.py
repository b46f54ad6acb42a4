"""DFT-s-OFDM: a DFT over the data subcarriers of each OFDM symbol (TS 38.211 §6.3.1.4), one layer.

What the equaliser leaves on the subcarriers, the inverse DFT averages: with biased estimates of least mean-
square error, of which each keeps the share b_k = SINR_k / (1 + SINR_k) of its symbol, all symbols of an
OFDM symbol have the SINR b / (1 - b) with b the mean of b_k.
"""

from __future__ import annotations

import torch
from torch import Tensor


class TransformPrecoding:
    """Of slots whose data resource elements lie at `order`: [num_data_res], symbol by symbol."""

    def __init__(self, order: Tensor, num_subcarriers: int) -> None:
        subcarriers = (order % num_subcarriers).unflatten(
            0, (len(torch.unique(order // num_subcarriers)), -1)
        )
        # Place of each data RE among its symbol's, from the lowest subcarrier up
        self._rank = subcarriers.argsort(dim=1).argsort(dim=1)

    def spread(self, symbols: Tensor) -> Tensor:
        """Symbols [slots, data REs, 1] to what their resource elements carry, of the same energy."""
        ranked = torch.fft.fft(self._by_symbol(symbols), norm="ortho")
        return ranked.take_along_dim(self._rank.expand_as(ranked), 2).flatten(1)[..., None]

    def despread(self, estimates: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Unbiased estimates and error variances on the resource elements to those of the symbols."""
        kept = 1 / (1 + variance)
        mean = self._by_symbol(kept).mean(-1, keepdim=True)
        ordered = self._by_symbol(estimates * kept).gather(2, self._order.expand(len(estimates), -1, -1))
        symbols = torch.fft.ifft(ordered, norm="ortho") / mean
        noise = ((1 - mean) / mean).clamp_min(1e-9).expand_as(symbols.real)
        return symbols.flatten(1)[..., None], noise.flatten(1)[..., None]

    def sinr(self, sinr: Tensor) -> Tensor:
        """SINRs of the symbols from those of the resource elements, both [slots, data REs, 1]."""
        mean = self._by_symbol(sinr / (1 + sinr)).mean(-1, keepdim=True)
        return (mean / (1 - mean).clamp_min(1e-9)).expand(-1, -1, self._rank.shape[1]).flatten(1)[..., None]

    @property
    def _order(self) -> Tensor:
        return self._rank.argsort(dim=1)[None]

    def _by_symbol(self, values: Tensor) -> Tensor:
        return values[..., 0].unflatten(1, self._rank.shape)
