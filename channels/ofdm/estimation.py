"""Channel estimation from pilots: linear operators in time and frequency, with their error's variance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from channels.propagation.base import Statistics
from channels.spec import OfdmSpec


class Estimator(Protocol):
    """Turns least-squares estimates at the pilots into estimates on the whole grid."""

    def estimate(self, ls: Tensor, no: Tensor) -> Tensor:
        """Estimate the channel.

        Args:
            ls: [slots, rx, streams, pilot symbols, pilots a symbol], complex.
            no: noise variance of each slot, [slots].

        Returns:
            [slots, rx, streams, OFDM symbols, subcarriers], complex.
        """
        ...

    def error_variance(self, no: Tensor) -> Tensor:
        """Mean-square error at noise variances `no` [slots]: [slots, streams, OFDM symbols, subcarriers]."""
        ...


def build_estimator(
    ofdm: OfdmSpec, statistics: Callable[[], Statistics], frequencies: Tensor
) -> Estimator | None:
    """Build the estimator that `ofdm.csi` names; None for perfect CSI."""
    if ofdm.csi == "perfect":
        return None
    if ofdm.csi == "lmmse":
        return LmmseEstimator(ofdm, statistics(), frequencies)
    return LeastSquaresEstimator(ofdm)


class LeastSquaresEstimator:
    """Least squares at the pilots, interpolated over the grid: first along frequency, then along time.

    The error variance is that of the noise through the same interpolation, exact where the channel is linear
    between pilots; what the interpolation misses of a faster channel isn't in it.
    """

    def __init__(self, spec: OfdmSpec) -> None:
        # A comb's pilots are stronger by the number of streams
        self._pilot_energy = spec.num_streams
        weights = linear_weights if spec.csi == "ls-linear" else nearest_weights
        subcarriers = torch.arange(spec.num_subcarriers, dtype=torch.float32)
        combs = [subcarriers[stream :: spec.num_streams].contiguous() for stream in range(spec.num_streams)]
        self._frequency = torch.stack([weights(comb, subcarriers) for comb in combs])
        pilots = torch.tensor(spec.pilot_symbols, dtype=torch.float32)
        self._time = weights(pilots, torch.arange(spec.num_ofdm_symbols, dtype=torch.float32))

    def estimate(self, ls: Tensor, no: Tensor) -> Tensor:
        """See `Estimator`."""
        frequency, time = self._frequency.to(ls.device, ls.dtype), self._time.to(ls.device, ls.dtype)
        return torch.einsum("tp,lfk,srlpk->srltf", time, frequency, ls)

    def error_variance(self, no: Tensor) -> Tensor:
        """See `Estimator`."""
        gain = self._time.square().sum(1)[:, None] * self._frequency.square().sum(2)[:, None, :]
        return no[:, None, None, None] * gain.to(no.device) / self._pilot_energy


class LmmseEstimator:
    """The linear estimator of least mean-square error, jointly over time and frequency.

    Its prior is the model's own: paths of known mean power, each with a Jakes spectrum of known width
    (wide-sense stationary, uncorrelated scattering), so the correlation is a Kronecker product, time by
    frequency. The eigenvectors of both factors diagonalise the filter, which makes it exact and cheap for
    any noise variance.
    """

    def __init__(self, spec: OfdmSpec, statistics: Statistics, frequencies: Tensor) -> None:
        self._pilot_energy, streams = spec.num_streams, spec.num_streams
        # A stream carries its share of the transmit energy
        time = jakes_correlation(statistics.max_doppler_hz, spec) / streams
        frequency = profile_correlation(statistics, frequencies)
        pilots = list(spec.pilot_symbols)
        self._time_values, time_vectors = torch.linalg.eigh(time[pilots][:, pilots])
        self._time_filter = time[:, pilots] @ time_vectors
        self._time_analysis = time_vectors.mH
        combs = [torch.arange(stream, spec.num_subcarriers, streams) for stream in range(streams)]
        pairs = [torch.linalg.eigh(frequency[comb][:, comb]) for comb in combs]
        self._frequency_values = torch.stack([values for values, _ in pairs])
        self._frequency_analysis = torch.stack([vectors.mH for _, vectors in pairs])
        self._frequency_filter = torch.stack(
            [frequency[:, comb] @ vectors for comb, (_, vectors) in zip(combs, pairs, strict=True)]
        )

    def estimate(self, ls: Tensor, no: Tensor) -> Tensor:
        """See `Estimator`."""
        analysed = torch.einsum(
            "qp,ljk,srlpk->srlqj", self._time_analysis.to(ls), self._frequency_analysis.to(ls), ls
        )
        weighted = analysed * self._weights(no).unsqueeze(1).to(ls)
        return torch.einsum(
            "tq,lfj,srlqj->srltf", self._time_filter.to(ls), self._frequency_filter.to(ls), weighted
        )

    def error_variance(self, no: Tensor) -> Tensor:
        """See `Estimator`."""
        time, frequency = self._time_filter.abs().square(), self._frequency_filter.abs().square()
        explained = torch.einsum("tq,lfj,slqj->sltf", time, frequency, self._weights(no).cpu())
        prior = 1 / self._pilot_energy
        return (prior - explained).clamp_min(0).to(no.device, no.dtype)

    def _weights(self, no: Tensor) -> Tensor:
        """Inverse covariance of the observations, diagonal: [slots, streams, pilot symbols, pilots]."""
        values = self._time_values[None, :, None] * self._frequency_values[:, None, :]
        noise = no.to("cpu", torch.float64)[:, None, None, None] / self._pilot_energy
        return 1 / (values.clamp_min(0) + noise)


def jakes_correlation(max_doppler_hz: float, spec: OfdmSpec) -> Tensor:
    """Correlation between OFDM symbols of a Jakes spectrum, J0(2 pi f t): [symbols, symbols], complex128."""
    t = torch.arange(spec.num_ofdm_symbols, dtype=torch.float64) * spec.symbol_duration_s
    return torch.special.bessel_j0(2 * torch.pi * max_doppler_hz * (t[:, None] - t[None, :])).to(
        torch.complex128
    )


def profile_correlation(statistics: Statistics, frequencies: Tensor) -> Tensor:
    """Correlation between subcarriers of a power-delay profile: [subcarriers, subcarriers], complex128."""
    phases = torch.exp(-2j * torch.pi * frequencies[:, None] * statistics.delays_s.double()[None, :])
    return (phases * statistics.powers.double()) @ phases.mH


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
