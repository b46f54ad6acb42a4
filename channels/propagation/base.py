"""What a channel model is: from a seed to path gains, and from those to frequency responses on the OFDM grid.

Every model has unit mean power per antenna pair, so `snr_db` means what it says. A realisation is a function
of its seed alone: it is drawn on the CPU, on its own, whatever else is drawn before or beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Statistics:
    """What a receiver may know of a channel beforehand; the prior of LMMSE estimation."""

    delays_s: Tensor
    """[num_paths] seconds."""
    powers: Tensor
    """[num_paths], summing to one."""
    max_doppler_hz: float
    """Of a Jakes spectrum on every path."""
    line_of_sight_power: float = 0.0
    """The part of the first path's power that doesn't fade: a line of sight, with a single Doppler shift."""
    line_of_sight_doppler_hz: float = 0.0


class ChannelModel(Protocol):
    """Draws channel realisations."""

    def impulse_responses(self, seeds: Sequence[int], num_steps: int, step_s: float) -> tuple[Tensor, Tensor]:
        """Draw the realisations of `seeds` at `num_steps` instants `step_s` seconds apart.

        Returns:
            Path gains [len(seeds), num_rx, num_tx, num_paths, num_steps], complex64, and path delays in
            seconds [len(seeds), num_paths], float32, or [1, num_paths] where all realisations share them.
            A realisation doesn't depend on the other seeds, and more steps extend it.
        """
        ...

    def statistics(self) -> Statistics:
        """Return the power-delay profile and the Doppler spread."""
        ...

    def transmit_correlation(self) -> Tensor:
        """E[h_i* h_j] between transmit antennas, the mean over receive antennas: [tx, tx], complex128.

        Its diagonal has mean one. Only asked for where antennas outnumber streams.
        """
        ...


def random_array_correlation(num_antennas: int, power: float) -> Tensor:
    """Correlation of a row of antennas where a path of a random horizontal angle has `power`, the rest none.

    Half-wavelength spacing, angle uniform on the circle: J0(pi |i - j|) between antennas (Clarke, Bell Syst.
    Tech. J. 47(6), 1968). [num_antennas, num_antennas], complex128.
    """
    places = torch.arange(num_antennas, dtype=torch.float64)
    bessel = torch.special.bessel_j0(math.pi * (places[:, None] - places))
    return (power * bessel + (1 - power) * torch.eye(num_antennas, dtype=torch.float64)).to(torch.complex128)


def frequency_response(gains: Tensor, delays: Tensor, frequencies: Tensor) -> Tensor:
    """Turn path gains [..., rows, paths] and delays [..., paths] into H [..., rows, frequencies].

    Leading dimensions broadcast; each is a matrix product of its own, so that a realisation's numbers don't
    depend, to the last bit, on what is computed beside it.
    """
    phases = np.exp(-2j * np.pi * delays.numpy()[..., :, None].astype(np.float64) * frequencies.numpy())
    return torch.from_numpy(np.matmul(gains.numpy(), phases.astype(np.complex64)))
