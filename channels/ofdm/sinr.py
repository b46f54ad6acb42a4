"""SINRs after equalisation, for many bursts at once, without sending a symbol."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from channels.ofdm.front_end import OfdmFrontEnd
from channels.spec import LinkSpec

_SUBCARRIER_SAMPLES = 64
# Below this Doppler shift times slot duration, one sample a slot will do
_SLOW = 0.1
# Of the estimate's error, what is in phase with the channel changes the amplitude only and counts for less
_ERROR_AS_NOISE = 0.88


class SinrSampler:
    """SINRs of the unbiased LMMSE receiver on a thinned resource grid.

    At most 64 subcarriers are sampled, and one instant a slot where the channel moves slowly. The error e of
    the channel estimate counts as noise: with r receive antennas the matched filter's output
    (h + e)^H (h x + n) has, beside |h|^2 x, power |h|^2 (N0 + E|e|^2) + r N0 E|e|^2. Of the middle term 88 %
    is counted, the share that fits QPSK to 64-QAM best to the bit-exact link over TDL-C with least squares
    (`benchmarks/results/abstraction.json`). The last term costs
    most at low SNR.
    """

    def __init__(self, spec: LinkSpec, front_end: OfdmFrontEnd) -> None:
        ofdm = spec.ofdm
        self._front_end, self._csi = front_end, ofdm.csi
        self._data_symbols = [t for t in range(ofdm.num_ofdm_symbols) if t not in ofdm.pilot_symbols]
        step = -(-ofdm.num_subcarriers // _SUBCARRIER_SAMPLES)
        self._subcarriers = torch.arange(step // 2, ofdm.num_subcarriers, step)
        slow = spec.channel.max_doppler_hz * ofdm.slot_duration_s < _SLOW
        self._samples_a_slot = 1 if slow else ofdm.num_ofdm_symbols
        self.samples_a_data_symbol = len(self._subcarriers) * ofdm.num_streams

    def sinr(
        self, snr_db: Sequence[float], seeds: Sequence[int], first_slots: Sequence[int], num_slots: int
    ) -> NDArray[np.float64]:
        """SINRs of bursts, linear: [bursts, num_slots * data symbols a slot, samples_a_data_symbol]."""
        snrs, which = np.unique(snr_db, return_inverse=True)
        no = torch.tensor([10 ** (-snr / 10) for snr in snrs], dtype=torch.float32)
        error = self._front_end.error_variance(no)[:, :, self._data_symbols][..., self._subcarriers]
        if self._csi == "lmmse":
            # As if the estimate were scaled to be unbiased, which changes nothing that matters: E|h|^2 a
            # stream is one over their number
            error = error / (1 - error * error.shape[1]).clamp_min(1e-6)
        error = error.sum(dim=1)[which, None]  # [bursts, 1, symbols, subcarriers]
        no = no[which, None, None, None]
        h = self._front_end.sampled_channels(
            seeds, first_slots, num_slots, self._samples_a_slot, self._subcarriers
        )
        if self._samples_a_slot > 1:
            h = h[..., self._data_symbols, :]
        power = (h.real.square() + h.imag.square()).sum(dim=(2, 3)).clamp_min(1e-12)
        noise = no + error * (_ERROR_AS_NOISE + no * h.shape[2] / power)
        sinr = power / noise if h.shape[2:4] == (1, 1) else _multiplexed(h, noise)
        return sinr.double().flatten(1, 2).numpy()


def _multiplexed(h: Tensor, noise: Tensor) -> Tensor:
    """Of the MMSE receiver: 1 / [(I + H^H H / N0)^-1]_kk - 1, [..., symbols, subcarriers * streams]."""
    h = h.permute(0, 1, 4, 5, 2, 3)
    gram = h.mH @ h / noise[..., None, None]
    eye = torch.eye(h.shape[-1], dtype=gram.dtype)
    residual = torch.linalg.inv(eye + gram).diagonal(dim1=-2, dim2=-1).real
    return (1 / residual - 1).clamp_min(0).flatten(-2)
