"""Memoryless nonlinearities of the transmitter: envelope clipping and Rapp's amplifier.

What they do to a Gaussian signal, as OFDM's is, follows from Bussgang's theorem: output = gain x input +
distortion that is uncorrelated with the input.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

# The Rayleigh envelope of unit power beyond 6 has a probability of 1e-16
_ENVELOPE = torch.linspace(0, 6, 4001, dtype=torch.float64)
Nonlinearity = Callable[[Tensor], Tensor]


def clip(x: Tensor, level_db: float) -> Tensor:
    """Limit the envelope of a signal of unit power to `level_db` over it; phases stay."""
    most: float = 10 ** (level_db / 20)
    return x * (most / x.abs().clamp_min(1e-12)).clamp_max(1.0)


def rapp(x: Tensor, backoff_db: float, smoothness: float) -> Tensor:
    """Rapp's solid-state amplifier at an input of unit power: r / (1 + (r / A)^2p)^(1/2p), no phase shift.

    A^2 is `backoff_db` over the mean power (Rapp, Proc. 2nd European Conf. Satellite Commun., 1991).
    """
    saturation: float = 10 ** (backoff_db / 20)
    return x / (1 + (x.abs() / saturation) ** (2 * smoothness)) ** (1 / (2 * smoothness))


def bussgang(function: Nonlinearity) -> tuple[float, float]:
    """Gain and output power of a nonlinearity of the envelope, for a complex Gaussian input of unit power."""
    out = function(_ENVELOPE.to(torch.complex128)).real
    density = 2 * _ENVELOPE * torch.exp(-_ENVELOPE.square())
    gain = float(torch.trapezoid(out * _ENVELOPE * density, _ENVELOPE))
    power = float(torch.trapezoid(out.square() * density, _ENVELOPE))
    return gain, power


def evm(gain: float, power: float) -> float:
    """Error vector magnitude, linear, that Bussgang's decomposition says: all distortion, in band or not."""
    return math.sqrt(max(power - gain**2, 0.0)) / gain
