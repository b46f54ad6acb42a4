"""Oscillator phase noise: a stationary process with the pole-zero spectrum of a 3GPP mask.

Below one over the slot's duration the phase doesn't move within a slot, and the slot's own pilots see it;
there the process begins. Slots are independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from channels.impairments.spec import PhaseNoiseMask


@dataclass(frozen=True)
class _Mask:
    base_hz: float
    zeros: tuple[tuple[float, float], ...]
    poles: tuple[tuple[float, float], ...]
    level_db: float
    """dBc/Hz at zero offset."""


def _squares(*frequencies: float) -> tuple[tuple[float, float], ...]:
    return tuple((frequency, 2.0) for frequency in frequencies)


# (frequency, exponent) of zeros and poles: parameter sets A and B of R1-163984, and that of TR 38.803 §6.1.11
_MASKS: dict[PhaseNoiseMask, _Mask] = {
    "set-a": _Mask(30e9, _squares(1.8e6, 2.2e6, 40e6), _squares(0.1e6, 0.2e6, 8e6), -79.4),
    "set-b": _Mask(60e9, _squares(0.02e6, 6e6, 10e6), _squares(0.005e6, 0.4e6, 0.6e6), -70.0),
    "tr-38.803": _Mask(
        29.55e9, ((3e3, 2.37), (550e3, 2.7), (280e6, 2.53)), ((1.0, 3.3), (1.6e6, 3.3), (30e6, 1.0)), 32.0
    ),
}


def spectrum(mask: PhaseNoiseMask, offset_hz: Tensor, carrier_hz: float) -> Tensor:
    """Two-sided power spectral density in rad^2/Hz at offsets from the carrier, 20 dB a decade of carrier."""
    chosen, offset = _MASKS[mask], offset_hz.double().abs()
    density = torch.full_like(offset, 10 ** (chosen.level_db / 10) * (carrier_hz / chosen.base_hz) ** 2)
    for frequency, exponent in chosen.zeros:
        density = density * (1 + (offset / frequency) ** exponent)
    for frequency, exponent in chosen.poles:
        density = density / (1 + (offset / frequency) ** exponent)
    return density


def phases(mask: PhaseNoiseMask, carrier_hz: float, rate_hz: float, num_samples: int, seed: int) -> Tensor:
    """Phase in radians at `num_samples` instants at `rate_hz`, float64, a function of the seed."""
    white = torch.randn(num_samples, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    offset = torch.fft.rfftfreq(num_samples, 1 / rate_hz, dtype=torch.float64)
    shape = (spectrum(mask, offset, carrier_hz) * rate_hz).sqrt()
    shape[0] = 0
    return torch.fft.irfft(torch.fft.rfft(white) * shape, num_samples)
