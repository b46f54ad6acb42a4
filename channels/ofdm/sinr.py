"""SINRs after equalisation: of the symbols of a burst, and of many bursts without sending a symbol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from channels.ofdm.front_end import OfdmFrontEnd
from channels.ofdm.receiver import post_equalisation_sinr, unbiased_error_variance
from channels.spec import LinkSpec

_SUBCARRIER_SAMPLES = 64
# Below this Doppler shift times slot duration, one sample a slot will do
_SLOW = 0.1
# Of the estimate's error, what is in phase with the channel changes the amplitude only and counts for less
_ERROR_AS_NOISE = 0.88


@dataclass(frozen=True)
class SampledSinr:
    """What the SINRs of some bursts follow from, whatever the power of their symbols."""

    _h: Tensor
    """[bursts, slots, symbols, subcarriers, rx, streams]."""
    _error: Tensor
    """Of the unbiased estimate, all streams: [bursts, 1, symbols, subcarriers]."""
    _no: Tensor
    """[bursts, 1, 1, 1], interference included."""

    def at(self, power: float | NDArray[np.float64] = 1.0) -> NDArray[np.float64]:
        """SINRs, linear, of symbols of mean energy `power`, one for all or [bursts]; pilots' energy is one.

        [bursts, num_slots * data symbols a slot, samples_a_data_symbol].
        """
        energy = torch.as_tensor(np.reshape(power, (-1, 1, 1, 1)), dtype=torch.float32)
        sinr = post_equalisation_sinr(self._h, self._error, self._no, energy, _ERROR_AS_NOISE)
        return sinr.flatten(-2).double().flatten(1, 2).numpy()


class SinrSampler:
    """SINRs of the unbiased LMMSE receiver on a thinned resource grid.

    At most 64 subcarriers are sampled, and one instant a slot where the channel moves slowly. The error of
    the channel estimate counts as noise (`post_equalisation_sinr`), 88 % of it, the share that fits QPSK to
    64-QAM best to the bit-exact link over TDL-C with least squares (`benchmarks/results/abstraction.json`).
    """

    def __init__(self, spec: LinkSpec, front_end: OfdmFrontEnd) -> None:
        ofdm = spec.ofdm
        self._front_end, self._streams = front_end, ofdm.num_streams
        self._data_symbols = [t for t in range(ofdm.num_ofdm_symbols) if t not in ofdm.pilot_symbols]
        step = -(-ofdm.num_subcarriers // _SUBCARRIER_SAMPLES)
        self._subcarriers = torch.arange(step // 2, ofdm.num_subcarriers, step)
        slow = front_end.statistics.max_doppler_hz * ofdm.slot_duration_s < _SLOW
        self._samples_a_slot = 1 if slow else ofdm.num_ofdm_symbols
        self.samples_a_data_symbol = len(self._subcarriers) * ofdm.num_streams

    def sinr(
        self, snr_db: Sequence[float], seeds: Sequence[int], first_slots: Sequence[int], num_slots: int
    ) -> NDArray[np.float64]:
        """SINRs of bursts of unit power: `sample(...).at(1.0)`."""
        return self.sample(snr_db, seeds, first_slots, num_slots).at()

    def sample(
        self, snr_db: Sequence[float], seeds: Sequence[int], first_slots: Sequence[int], num_slots: int
    ) -> SampledSinr:
        """Draw the channels of bursts, each at its own SNR."""
        snrs, which = np.unique(snr_db, return_inverse=True)
        no = self._front_end.noise_variance([float(snr) for snr in snrs])
        error = unbiased_error_variance(self._front_end.error_variance(no), self._streams)
        error = error[:, self._data_symbols][..., self._subcarriers].float()
        h = self._front_end.sampled_channels(
            seeds, first_slots, num_slots, self._samples_a_slot, self._subcarriers
        )
        if self._samples_a_slot > 1:
            h = h[..., self._data_symbols, :]
        return SampledSinr(
            h.permute(0, 1, 4, 5, 2, 3), error[which, None], no.float()[which, None, None, None]
        )
