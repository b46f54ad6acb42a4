"""Channel estimation from pilots: linear operators in time and frequency, with their error's variance.

Every estimator returns estimates that are uncorrelated with their error, as those of least mean-square error
are: least squares is scaled, one real factor a resource element. Then the received signal is the estimate
times the symbol plus noise of variance N0 + `error_variance`, whatever the SNR and the speed.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from channels.ofdm.correlation import components
from channels.propagation.base import Statistics
from channels.spec import OfdmSpec

# The delays that ls-cp takes for possible reach this share of the prefix beyond both of its ends, for the
# band's edges' sake, and directions weaker than this share of the strongest are left out: what a path
# inside the prefix loses is below -50 dB of its power
_MARGIN, _WEAKEST = 1 / 32, 1e-4


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
        """Mean-square error at noise variances `no` [slots].

        [slots, streams, OFDM symbols, subcarriers], float64: the mean over realisations, exact for the
        model's statistics.
        """
        ...


def build_estimator(ofdm: OfdmSpec, statistics: Statistics, frequencies: Tensor) -> Estimator | None:
    """Build the estimator that `ofdm.csi` names; None for perfect CSI."""
    if ofdm.csi == "perfect":
        return None
    if ofdm.csi == "lmmse":
        return LmmseEstimator(ofdm, statistics, frequencies)
    return LeastSquaresEstimator(ofdm, statistics, frequencies)


class LeastSquaresEstimator:
    """Least squares at the pilots, smoothed or interpolated along frequency, then interpolated along time.

    Along frequency, `ls-cp` projects on the responses of delays that the cyclic prefix covers, which takes
    away most of the noise and needs no statistics; `ls-linear` and `ls-nearest` interpolate between the
    pilots of a comb. Along time, `ls-cp` and `ls-linear` are linear.

    The scale and the error variance follow from the Doppler and delay spread: with observations
    h + n, weights a (time) and b (frequency), the estimate's correlation with the channel is
    S = sum a b E[h* h'], its power Q + N0 |a|^2 |b|^2 with Q = sum a a' b b' E[h'* h''], so the best real
    factor is S / (Q + N0 |a|^2 |b|^2) and the error that is left 1 - S^2 / (Q + N0 |a|^2 |b|^2), both
    relative to a stream's power.
    """

    def __init__(self, spec: OfdmSpec, statistics: Statistics, frequencies: Tensor) -> None:
        self._spec, streams = spec, spec.num_streams
        combs = [slice(stream, None, streams) for stream in range(streams)]
        if spec.csi == "ls-cp":
            along = [prefix_weights(spec, frequencies, frequencies[comb]) for comb in combs]
        else:
            weights = nearest_weights if spec.csi == "ls-nearest" else linear_weights
            k = torch.arange(spec.num_subcarriers, dtype=torch.float64)
            along = [weights(k[comb].contiguous(), k) for comb in combs]
        self._frequency = torch.stack(along)
        in_time = nearest_weights if spec.csi == "ls-nearest" else linear_weights
        symbols = torch.arange(spec.num_ofdm_symbols, dtype=torch.float64)
        pilots = symbols[list(spec.pilot_symbols)]
        self._time = in_time(pilots, symbols)
        self._noise_gain = (
            self._time.square().sum(1)[:, None] * self._frequency.abs().square().sum(2)[:, None, :]
        )
        self._correlation = torch.zeros_like(self._noise_gain)
        self._power = torch.zeros_like(self._noise_gain)
        time_s, pilots_s = symbols * spec.symbol_duration_s, pilots * spec.symbol_duration_s
        a = self._time.to(torch.complex128)
        for part in components(statistics):
            at_pilots = (a * part.in_time(pilots_s - time_s[:, None])).sum(1)
            among_pilots = a @ part.in_time(pilots_s - pilots_s[:, None]) @ a.mH
            wanted = part.responses(frequencies)
            estimated = torch.stack(
                [b.to(wanted) @ wanted[comb] for b, comb in zip(self._frequency, combs, strict=True)]
            )
            in_frequency = (wanted.conj() * estimated) @ part.powers.to(wanted)
            power = estimated.abs().square() @ part.powers
            self._correlation += (at_pilots[:, None] * in_frequency[:, None, :]).real
            self._power += among_pilots.diagonal().real[:, None] * power[:, None, :]

    def interpolate(self, ls: Tensor) -> Tensor:
        """Interpolate without scaling; arguments and result as `estimate`'s."""
        frequency, time = self._frequency.to(ls), self._time.to(ls)
        return torch.einsum("tp,lfk,srlpk->srltf", time, frequency, ls)

    def estimate(self, ls: Tensor, no: Tensor) -> Tensor:
        """See `Estimator`."""
        scale = self._correlation / self._observed(no)
        return self.interpolate(ls) * scale.to(ls.device, ls.real.dtype).unsqueeze(1)

    def error_variance(self, no: Tensor) -> Tensor:
        """See `Estimator`."""
        # The difference first, which keeps small errors
        missed = (self._power - self._correlation.square()).clamp_min(0)
        observed = self._observed(no)
        relative = (missed + (observed - self._power)) / observed
        return relative.to(no.device) / self._spec.num_streams

    def _observed(self, no: Tensor) -> Tensor:
        """Power of the unscaled estimates over the stream's: [slots, streams, symbols, subcarriers]."""
        return self._power + no.to("cpu", torch.float64)[:, None, None, None] * self._noise_gain


class LmmseEstimator:
    """The linear estimator of least mean-square error, jointly over time and frequency.

    Its prior is the model's own: paths of known mean power and one Doppler spectrum (wide-sense stationary,
    uncorrelated scattering), so the correlation is a Kronecker product, time by frequency. Eigenvectors in
    time, and in the space of the paths rather than of the subcarriers, diagonalise the filter, which makes it
    exact and cheap for any noise variance and bandwidth.
    """

    def __init__(self, spec: OfdmSpec, statistics: Statistics, frequencies: Tensor) -> None:
        self._streams = streams = spec.num_streams
        # A stream carries its share of the transmit energy
        time = time_correlation(statistics, spec) / streams
        pilots = list(spec.pilot_symbols)
        self._time_values, time_vectors = torch.linalg.eigh(time[pilots][:, pilots])
        self._time_filter = time[:, pilots] @ time_vectors
        self._time_analysis = time_vectors.mH
        phases = torch.exp(-2j * math.pi * frequencies[:, None] * statistics.delays_s.double())
        paths = phases * statistics.powers.double().sqrt()
        pairs = [torch.linalg.eigh(paths[s::streams].mH @ paths[s::streams]) for s in range(streams)]
        self._frequency_values = torch.stack([values.clamp_min(0) for values, _ in pairs])
        self._frequency_filter = torch.stack([paths @ vectors for _, vectors in pairs])
        self._frequency_analysis = torch.stack(
            [f[s::streams].mH for s, f in enumerate(self._frequency_filter)]
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
        values = self._frequency_values[:, None, :]
        explained = torch.einsum("tq,lfj,slqj->sltf", time, frequency, self._weights(no) * values)
        return (1 / self._streams - explained).clamp_min(0).to(no.device)

    def _weights(self, no: Tensor) -> Tensor:
        """Inverse covariance of the observations, diagonal: [slots, streams, pilot symbols, paths]."""
        values = self._time_values.clamp_min(0)[None, :, None] * self._frequency_values[:, None, :]
        # A comb's pilots are stronger by the number of streams
        return 1 / (values + no.to("cpu", torch.float64)[:, None, None, None] / self._streams)


def time_correlation(statistics: Statistics, spec: OfdmSpec) -> Tensor:
    """Correlation E[h(t) h(t')*] between the OFDM symbols of a slot: [symbols, symbols], complex128."""
    t = torch.arange(spec.num_ofdm_symbols, dtype=torch.float64) * spec.symbol_duration_s
    lags = t[:, None] - t[None, :]
    parts = [part.powers.sum() * part.in_time(lags) for part in components(statistics)]
    return torch.stack(parts).sum(0)


def nearest_weights(known: Tensor, wanted: Tensor) -> Tensor:
    """Weights [wanted, known] that pick the nearest of the known positions."""
    nearest = (wanted[:, None] - known[None, :]).abs().argmin(dim=1)
    return torch.nn.functional.one_hot(nearest, len(known)).double()


def linear_weights(known: Tensor, wanted: Tensor) -> Tensor:
    """Weights [wanted, known] of linear interpolation, and extrapolation at the ends."""
    if len(known) == 1:
        return torch.ones(len(wanted), 1, dtype=torch.float64)
    right = torch.searchsorted(known, wanted).clamp(1, len(known) - 1)
    left = right - 1
    fraction = (wanted - known[left]) / (known[right] - known[left])
    weights = torch.zeros(len(wanted), len(known), dtype=torch.float64)
    rows = torch.arange(len(wanted))
    weights[rows, left] = 1 - fraction
    weights[rows, right] += fraction
    return weights


def prefix_weights(spec: OfdmSpec, wanted: Tensor, known: Tensor) -> Tensor:
    """Weights [wanted, known] of the projection on delays inside the cyclic prefix, complex128.

    The responses of a fine grid of those delays span the space; frequencies are in Hz.
    """
    prefix = spec.cyclic_prefix_s
    span = float(known[-1] - known[0]) * prefix
    delays = torch.linspace(-_MARGIN, 1 + _MARGIN, math.ceil(2 * span) + 16, dtype=torch.float64) * prefix
    at_known, at_wanted = (torch.exp(-2j * math.pi * f[:, None] * delays) for f in (known, wanted))
    values, vectors = torch.linalg.eigh(at_known.mH @ at_known)
    strong = vectors[:, values > _WEAKEST * values[-1]]
    kept = values[values > _WEAKEST * values[-1]]
    return (at_wanted @ strong / kept) @ (at_known @ strong).mH
