"""Information that LLRs carry about the bits of QAM symbols over AWGN, alone and added up.

The information of bit-interleaved coded modulation (Caire, Taricco and Biglieri, IEEE Trans. Inf. Theory 44,
1998) for the Gray labels of TS 38.211 §5.1. A receiver that combines transmissions adds the LLRs of each bit.
Sent again as the same symbol, a bit stays as near to its decision threshold as it was, so sums are followed
for each bit level and amplitude, as normal distributions whose means and variances add; for QPSK that is
adding SINRs, for other modulations it falls short of it.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_GRID_DB = np.arange(-50.0, 50.5, 0.5)
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(24)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def repeated_sinr(bits_per_symbol: int, sinrs: Floats) -> Floats:
    """SINR at which one transmission of a symbol carries as much as several do together.

    Args:
        bits_per_symbol: of the QAM.
        sinrs: linear, [transmissions, ...].
    """
    if len(sinrs) == 1:
        return sinrs[0]
    mean, variance = (_at(table, sinrs).sum(axis=2) for table in _moments(bits_per_symbol))
    information = normal_information(mean, variance).mean(axis=(0, 1))
    return _inverse(_alone(bits_per_symbol), information)


def repeated_sinr_of_sums(bits_per_symbol: int, sums: Floats, squares: Floats) -> Floats:
    """As `repeated_sinr`, of the sum of the transmissions' SINRs and of that of their squares, in any shape.

    The sum counts as coming from sums^2 / squares equal transmissions, a number between one and theirs.
    """
    if bits_per_symbol == 2:
        return sums
    db = 10 * np.log10(np.maximum(sums, 1e-12))
    number = sums**2 / np.maximum(squares, 1e-24)
    most = max(2, math.ceil(float(number.max()) - 1e-9))
    losses = [np.interp(db, _GRID_DB, _repetition_loss_db(bits_per_symbol, n)) for n in range(1, most + 1)]
    below = np.clip(number.astype(np.int64), 1, most - 1)
    low, high = (np.take_along_axis(np.stack(losses), i[None], axis=0)[0] for i in (below - 1, below))
    loss = low + (number - below) * (high - low)
    return np.asarray(sums * 10 ** (-loss / 10))


@cache
def _repetition_loss_db(bits_per_symbol: int, number: int) -> Floats:
    """What adding the LLRs of equal transmissions falls short of adding SINRs, over the grid of their sum."""
    sums = 10 ** (_GRID_DB / 10)
    together = repeated_sinr(bits_per_symbol, np.tile(sums / number, (number, 1)))
    return np.asarray(np.clip(10 * np.log10(sums / together), 0, None))


def bit_information(bits_per_symbol: int, sinr: Floats) -> Floats:
    """Mean information of a symbol's bits at a linear SINR, in bits a bit."""
    db = 10 * np.log10(np.maximum(sinr, 1e-12))
    return np.asarray(np.interp(db, _GRID_DB, _exact(bits_per_symbol)))


def level_information(bits_per_symbol: int, sinr: float) -> Floats:
    """Information of each bit level of an amplitude, the most reliable first, at a linear SINR: [levels]."""
    db = 10 * np.log10(max(sinr, 1e-12))
    return np.array([np.interp(db, _GRID_DB, level) for level in _by_level(bits_per_symbol)])


def sinr_of_information(bits_per_symbol: int, information: Floats) -> Floats:
    """The linear SINR at which a symbol's bits have this mean information."""
    return _inverse(_exact(bits_per_symbol), information)


def _inverse(rising: Floats, information: Floats) -> Floats:
    """Read the grid where a rising curve over it has these values, on a logarithmic scale."""
    curve = np.log(np.maximum(rising, 1e-12))
    db = np.interp(np.log(np.maximum(information, 1e-12)), curve, _GRID_DB)
    return np.asarray(10 ** (db / 10))


def _at(table: Floats, sinr: Floats) -> Floats:
    """Interpolate [levels, amplitudes, grid] to [levels, amplitudes, *shape of sinr]."""
    db = 10 * np.log10(np.maximum(sinr, 1e-12))
    return np.array([[np.interp(db, _GRID_DB, row) for row in level] for level in table])


def normal_information(mean: Floats, variance: Floats) -> Floats:
    """Of a bit whose LLR, counted positive where it is right, is normal with these moments."""
    llr = mean[..., None] + np.sqrt(variance)[..., None] * _NODES
    return np.asarray(1 - np.logaddexp(0, -llr) @ _WEIGHTS / np.log(2))


@cache
def _alone(bits_per_symbol: int) -> Floats:
    """Mean information of one transmission over the grid, its LLRs taken for normal."""
    return np.maximum.accumulate(normal_information(*_moments(bits_per_symbol)).mean(axis=(0, 1)))


@cache
def _exact(bits_per_symbol: int) -> Floats:
    """Mean information of one transmission over the grid."""
    return _by_level(bits_per_symbol).mean(axis=0)


@cache
def _by_level(bits_per_symbol: int) -> Floats:
    """Information of each level's bits over the grid, [levels, grid]."""
    llr = _llrs(bits_per_symbol)
    information = (1 - np.logaddexp(0, -llr) @ _WEIGHTS / np.log(2)).mean(axis=1)
    return np.asarray(np.maximum.accumulate(information, axis=1))


@cache
def _moments(bits_per_symbol: int) -> tuple[Floats, Floats]:
    """Mean and variance of the LLR of each bit level and amplitude over the grid."""
    llr = _llrs(bits_per_symbol)
    mean = llr @ _WEIGHTS
    return mean, np.maximum(llr**2 @ _WEIGHTS - mean**2, 0.0)


@cache
def _llrs(bits_per_symbol: int) -> Floats:
    """LLRs, counted positive where they are right, [levels, amplitudes, grid, nodes of the noise].

    Real and imaginary parts are alike, so that one amplitude-shift keying tells both; so are both signs.
    """
    levels = bits_per_symbol // 2
    labels = (np.arange(2**levels)[:, None] >> np.arange(levels - 1, -1, -1)) & 1
    signs, amplitudes = 1 - 2 * labels, np.zeros(2**levels)
    for level in range(levels - 1, -1, -1):
        amplitudes = signs[:, level] * (2.0 ** (levels - 1 - level) - amplitudes)
    amplitudes /= np.sqrt(2 * np.mean(amplitudes**2))
    sigma = np.sqrt(10 ** (-_GRID_DB / 10) / 2)[:, None]
    positive = amplitudes > 0
    y = amplitudes[positive, None, None] + sigma * _NODES
    log_likelihood = -((y[..., None] - amplitudes) ** 2) / (2 * sigma[..., None] ** 2)
    rows = []
    for level in range(levels):
        one = labels[:, level] == 1
        llr = np.logaddexp.reduce(log_likelihood[..., one], axis=-1) - np.logaddexp.reduce(
            log_likelihood[..., ~one], axis=-1
        )
        rows.append(llr * np.where(one[positive], 1, -1)[:, None, None])
    return np.stack(rows)
