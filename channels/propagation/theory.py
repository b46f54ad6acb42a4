"""Closed forms: what the simulated curves are compared with."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.special import eval_genlaguerre


def square_qam_ber(bits_per_symbol: int, snr: float, mean_erfc: Callable[[float, float], float]) -> float:
    """Exact bit error rate of Gray-labelled square QAM (Cho and Yoon, IEEE Trans. Commun. 50(7), 2002).

    Args:
        bits_per_symbol: 2, 4, 6 or 8.
        snr: Es/N0, linear.
        mean_erfc: E[erfc(sqrt(a g snr))] over the channel's power g: `awgn_erfc` or `rayleigh_erfc`.
    """
    side = 2 ** (bits_per_symbol // 2)
    total = 0.0
    for k in range(1, bits_per_symbol // 2 + 1):
        for i in range(int((1 - 2.0**-k) * side)):
            sign = (-1) ** math.floor(i * 2 ** (k - 1) / side)
            weight = 2 ** (k - 1) - math.floor(i * 2 ** (k - 1) / side + 0.5)
            total += sign * weight * mean_erfc((2 * i + 1) ** 2 * 3 / (2 * (side**2 - 1)), snr) / side
    return total / (bits_per_symbol // 2)


def awgn_erfc(a: float, snr: float) -> float:
    """erfc(sqrt(a snr))."""
    return math.erfc(math.sqrt(a * snr))


def rayleigh_erfc(a: float, snr: float) -> float:
    """E[erfc(sqrt(a g snr))] for exponential g of mean one (Proakis, Digital Communications, §13.3)."""
    return 1 - math.sqrt(a * snr / (1 + a * snr))


def rayleigh_mimo_capacity(num_antennas: int, snr: float) -> float:
    """Ergodic capacity in bit/s/Hz of n x n independent Rayleigh fading without channel knowledge at the
    sender.

    E[log2 det(I + snr/n H H^H)] as Telatar's integral over the eigenvalue density (Eur. Trans. Telecommun.
    10(6), 1999, Theorem 2).
    """
    eigenvalue = np.linspace(1e-6, 60.0, 60_001)
    density = sum(eval_genlaguerre(k, 0, eigenvalue) ** 2 for k in range(num_antennas)) * np.exp(-eigenvalue)
    return float(np.trapezoid(np.log2(1 + snr * eigenvalue / num_antennas) * density, eigenvalue))
