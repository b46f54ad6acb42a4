"""The radio chain: grids become waveforms, suffer, and become grids again.

The grid is simulated in the frequency domain. Where a radio isn't ideal, the transmitted grid is modulated,
impaired and demodulated before the channel, the received one after it: exact for a transmitter without
memory, and for a receiver as long as what lies between (the channel within the cyclic prefix) is one
coefficient a resource element. Each stream has a transmit chain of its own, all receive antennas share one
oscillator. The receiver's noise is that of its band.

The power that `snr_db` counts is what leaves the amplifier, distortion included; what a back-off costs in
output power or efficiency isn't in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from channels.impairments.amplifier import Nonlinearity, bussgang, clip, rapp
from channels.impairments.converter import convert
from channels.impairments.mixer import mix
from channels.impairments.phase_noise import phases
from channels.impairments.spec import RadioSpec
from channels.spec import OfdmSpec

# A nonlinear signal is wider than its band: at this many times the FFT's rate little of it folds back
_OVERSAMPLING = 4


@dataclass(frozen=True)
class Impaired:
    """A grid behind a chain, and what in truth became of it."""

    grid: Tensor
    gain: Tensor
    """What the grid is multiplied by in the mean, [slots, symbols]: compression, common phase error."""
    evm_squared: Tensor
    """[slots]: power of what else it differs by, over the signal's."""
    papr_db: Tensor | None = None
    """[slots], of the transmitter: mean over symbols of each one's peak over the mean power."""


class RadioChain:
    """The chains of both ends.

    Args:
        radio: what is impaired.
        ofdm: the grid.
        carrier_hz: that oscillators are scaled to.
        frequencies: baseband frequencies of the subcarriers, [num_subcarriers] Hz.
    """

    def __init__(self, radio: RadioSpec, ofdm: OfdmSpec, carrier_hz: float, frequencies: Tensor) -> None:
        self._radio, self._ofdm, self._carrier_hz = radio, ofdm, carrier_hz
        self._bins = (frequencies / (ofdm.subcarrier_spacing_khz * 1e3)).round().long()
        self._size = ofdm.effective_fft_size
        self._ramp = torch.exp(2j * math.pi * frequencies * -radio.timing_offset_ns * 1e-9).to(
            torch.complex64
        )
        self._nonlinear: list[Nonlinearity] = []
        if radio.clipping_db is not None:
            self._nonlinear.append(partial(clip, level_db=radio.clipping_db))
        if radio.pa_backoff_db is not None:
            amplifier = partial(rapp, backoff_db=radio.pa_backoff_db, smoothness=radio.pa_smoothness)
            self._nonlinear.append(amplifier)
        self._output_power = bussgang(self._distorted)[1] if self._nonlinear else 1.0

    def transmit(self, grid: Tensor) -> Impaired:
        """Send grids [slots, streams, symbols, subcarriers] of unit mean energy a stream."""
        size = self._size * _OVERSAMPLING
        wave = self.modulate(grid, size)
        power = wave.detach().abs().square()
        # The end of a burst's last slot may be silent: nan, and no part of the mean
        papr_db = (10 * (power.amax(-1) / power.mean(-1)).log10()).flatten(1).nanmean(dim=1)
        sent = grid
        if self._nonlinear:
            sent = self.demodulate(self._distorted(wave) / self._output_power**0.5, size)
        gain, evm_squared = _compared(sent, grid, (1, 2, 3))
        return Impaired(sent, gain[:, None].expand(-1, grid.shape[2]), evm_squared, papr_db)

    def receive(self, grid: Tensor, seeds: Sequence[int], slots: Sequence[int]) -> Impaired:
        """Receive grids [slots, rx, symbols, subcarriers]; `seeds` and `slots` are the time of each."""
        radio, received = self._radio, grid
        moving = radio.phase_noise is not None or radio.cfo_hz
        if moving or radio.iq_gain_db or radio.iq_phase_deg or radio.adc_bits is not None:
            wave = self.modulate(grid, self._size)
            if moving:
                turns = torch.stack([self._phase(s, slot) for s, slot in zip(seeds, slots, strict=True)])
                wave = wave * torch.exp(1j * turns).to(wave)[:, None]
            if radio.iq_gain_db or radio.iq_phase_deg:
                wave = mix(wave, radio.iq_gain_db, radio.iq_phase_deg)
            if radio.adc_bits is not None:
                wave = convert(wave, radio.adc_bits)
            received = self.demodulate(wave, self._size)
        gain, evm_squared = _compared(received, grid, (1, 3))
        return Impaired(received * self.ramp.to(grid), gain, evm_squared)

    @property
    def ramp(self) -> Tensor:
        """What a window that opens early multiplies the subcarriers by, [subcarriers]."""
        return self._ramp

    def modulate(self, grid: Tensor, size: int) -> Tensor:
        """Waveforms [..., size] of symbols [..., subcarriers], of the grid's mean energy as mean power."""
        bins = grid.new_zeros(*grid.shape[:-1], size)
        bins[..., self._bins % size] = grid
        return torch.fft.ifft(bins, norm="ortho") * (size / len(self._bins)) ** 0.5

    def demodulate(self, wave: Tensor, size: int) -> Tensor:
        """Undo `modulate`; what lies outside the band is filtered off."""
        bins = torch.fft.fft(wave, norm="ortho")[..., self._bins % size]
        return bins * (len(self._bins) / size) ** 0.5

    def _distorted(self, wave: Tensor) -> Tensor:
        for function in self._nonlinear:
            wave = function(wave)
        return wave

    def _phase(self, seed: int, slot: int) -> Tensor:
        """Of the oscillator in the window of each symbol of a slot: [symbols, FFT size] radians."""
        from channels.randomness import derive_seed

        rate_hz = self._size * self._ofdm.subcarrier_spacing_khz * 1e3
        begin_s = torch.arange(self._ofdm.num_ofdm_symbols) * self._ofdm.symbol_duration_s
        begin = ((begin_s + self._ofdm.cyclic_prefix_s) * rate_hz).round().long()
        at = begin[:, None] + torch.arange(self._size)
        total = torch.zeros(at.shape, dtype=torch.float64)
        if self._radio.phase_noise is not None:
            count = int(at[-1, -1]) + 1
            drawn = phases(
                self._radio.phase_noise, self._carrier_hz, rate_hz, count, derive_seed(seed, _PHASE, slot)
            )
            total = drawn[at]
        time_s = at / rate_hz + slot * self._ofdm.slot_duration_s
        return total + 2 * math.pi * self._radio.cfo_hz * time_s


_PHASE = 2


def _compared(found: Tensor, wanted: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Gain that explains most of a grid by another, over `dims`, and what is left over it a slot."""
    power = wanted.abs().square().sum(dims, keepdim=True)
    gain = (found * wanted.conj()).sum(dims, keepdim=True) / power.clamp_min(1e-20)
    error = (found - gain * wanted).abs().square().flatten(1).sum(1)
    evm_squared = error / (gain * wanted).abs().square().flatten(1).sum(1).clamp_min(1e-20)
    return gain.flatten(1).squeeze(1) if len(dims) == 3 else gain.flatten(1), evm_squared
