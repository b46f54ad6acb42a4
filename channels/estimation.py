"""Channel estimation from pilots: linear operators in time and frequency, with their error's variance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from channels.spec import ChannelSpec, OfdmSpec

# (LS estimates [slots, rx, streams, pilot symbols, pilots a symbol], noise variance [slots]) ->
# (H [slots, rx, streams, OFDM symbols, subcarriers], error variance [slots, streams, symbols, subcarriers])
Estimator = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def build_estimator(channel: ChannelSpec, ofdm: OfdmSpec) -> Estimator:
    """Build the estimator that `ofdm.csi` names."""
    return LeastSquaresEstimator(ofdm)


class LeastSquaresEstimator:
    """Least squares at the pilots, interpolated over the grid: first along frequency, then along time.

    The error variance is that of the noise through the same interpolation, exact where the channel is linear
    between pilots; what the interpolation misses of a faster channel isn't in it.
    """

    def __init__(self, spec: OfdmSpec) -> None:
        self._num_streams = spec.num_streams
        weights = linear_weights if spec.csi == "ls-linear" else nearest_weights
        subcarriers = torch.arange(spec.num_subcarriers, dtype=torch.float32)
        combs = [subcarriers[stream :: spec.num_streams].contiguous() for stream in range(spec.num_streams)]
        self._frequency = torch.stack([weights(comb, subcarriers) for comb in combs])
        pilots = torch.tensor(spec.pilot_symbols, dtype=torch.float32)
        self._time = weights(pilots, torch.arange(spec.num_ofdm_symbols, dtype=torch.float32))

    def __call__(self, ls: Tensor, no: Tensor) -> tuple[Tensor, Tensor]:
        """Interpolate; see `Estimator`."""
        frequency = self._frequency.to(ls.device, ls.dtype)
        time = self._time.to(ls.device, ls.dtype)
        h = torch.einsum("tp,lfk,srlpk->srltf", time, frequency, ls)
        noise_gain = time.real.square().sum(1)[:, None] * frequency.real.square().sum(2)[:, None, :]
        # A comb's pilots are stronger by the number of streams
        return h, no[:, None, None, None] * noise_gain / self._num_streams


def nearest_weights(known: Tensor, wanted: Tensor) -> Tensor:
    """Weights [wanted, known] that pick the nearest of the known positions."""
    nearest = (wanted[:, None] - known[None, :]).abs().argmin(dim=1)
    return torch.nn.functional.one_hot(nearest, len(known)).float()


def linear_weights(known: Tensor, wanted: Tensor) -> Tensor:
    """Weights [wanted, known] of linear interpolation, and extrapolation at the ends."""
    if len(known) == 1:
        return torch.ones(len(wanted), 1)
    right = torch.searchsorted(known, wanted).clamp(1, len(known) - 1)
    left = right - 1
    fraction = (wanted - known[left]) / (known[right] - known[left])
    weights = torch.zeros(len(wanted), len(known))
    rows = torch.arange(len(wanted))
    weights[rows, left] = 1 - fraction
    weights[rows, right] += fraction
    return weights
