"""Second-order statistics of a channel on the OFDM grid: what its estimates and their errors follow from.

A channel is the sum of a scattered part, whose paths all have the same Doppler spectrum, and perhaps a line
of sight; the correlation of each is a product, time by frequency.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from channels.propagation.base import Statistics


@dataclass(frozen=True)
class Component:
    """A part of a channel whose paths share their Doppler spectrum."""

    delays_s: Tensor
    """[paths], float64."""
    powers: Tensor
    """[paths], float64; those of all components sum to one."""
    max_doppler_hz: float
    scattered: bool
    """A Jakes spectrum up to `max_doppler_hz`; otherwise one line at that shift."""

    def in_time(self, lag_s: Tensor) -> Tensor:
        """E[h(t)* h(t + lag)] over the power: J0(2 pi f lag) or exp(2 pi i f lag), complex128."""
        phase = 2 * math.pi * self.max_doppler_hz * lag_s.double()
        if self.scattered:
            return torch.special.bessel_j0(phase).to(torch.complex128)
        return torch.exp(1j * phase)

    def responses(self, frequencies: Tensor) -> Tensor:
        """Frequency response of every path at unit gain: [frequencies, paths], complex128."""
        return torch.exp(-2j * math.pi * frequencies.double()[:, None] * self.delays_s)


def components(statistics: Statistics) -> Iterator[Component]:
    """Split a channel's statistics into its scattered part and its line of sight."""
    delays, powers = statistics.delays_s.double(), statistics.powers.double().clone()
    los = statistics.line_of_sight_power
    powers[0] -= los
    yield Component(delays, powers, statistics.max_doppler_hz, scattered=True)
    if los:
        line = torch.tensor([los], dtype=torch.float64)
        yield Component(delays[:1], line, statistics.line_of_sight_doppler_hz, scattered=False)
