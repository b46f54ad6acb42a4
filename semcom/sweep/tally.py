"""Exact sums. Values are counted in units of 1e-9 as integers, so that adding up in any order, in any
pieces, on any machine gives the same digits, and the variance has no cancellation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import NormalDist

UNIT = 10**9
PSNR_OF_EQUALS_DB = 100.0
_CONFIDENCE = 0.95
_MIN_TRIALS_FOR_SPREAD = 10


@dataclass
class Sums:
    """Sum and sum of squares of one quantity, in units of 1e-9 and 1e-18."""

    total: int = 0
    squares: int = 0

    def add(self, value: float) -> None:
        """Adds one value. Raises ValueError if it is not finite."""
        if not math.isfinite(value):
            raise ValueError(f"not a finite number: {value}")
        units = value * UNIT if isinstance(value, int) else round(value * UNIT)
        self.total += units
        self.squares += units * units

    def merge(self, other: Sums) -> None:
        """Adds what another has added up."""
        self.total += other.total
        self.squares += other.squares


@dataclass
class Tally:
    """Number of trials and sums of every quantity over them.

    Quantities are `pixels`, `channel_uses`, `bits.STREAM`, `packets.CLASS`, `lost.CLASS`, `packets` and
    `lost` of all classes, and the metrics by name.
    """

    trials: int = 0
    sums: dict[str, Sums] = field(default_factory=dict)

    def add(self, values: Mapping[str, float]) -> None:
        """Adds one trial."""
        self.trials += 1
        for name, value in values.items():
            self.sums.setdefault(name, Sums()).add(value)

    def merge(self, other: Tally) -> None:
        """Adds other trials."""
        self.trials += other.trials
        for name, sums in other.sums.items():
            self.sums.setdefault(name, Sums()).merge(sums)

    def total(self, name: str) -> float:
        """Sum of a quantity over the trials."""
        return self.sums[name].total / UNIT if name in self.sums else 0.0

    def mean(self, name: str) -> float:
        """Mean of a quantity over the trials."""
        return self.sums[name].total / (UNIT * self.trials)

    def variance(self, name: str) -> float:
        """Unbiased variance of a quantity; at least two trials."""
        sums, n = self.sums[name], self.trials
        return (n * sums.squares - sums.total**2) / (n * (n - 1) * UNIT**2)

    def half_width(self, name: str) -> float | None:
        """Half of the 95 % interval of a mean (Student's t); None for fewer than two trials."""
        if self.trials < 2:
            return None
        return student_t(self.trials - 1) * math.sqrt(self.variance(name) / self.trials)


@dataclass(frozen=True)
class Losses:
    """Packet losses of the trials of one point, all with the same number of packets.

    Attributes:
        lost, packets: over all trials.
        lost_squares: sum over the trials of the squared number of lost packets.
        trials: number of bursts.
    """

    lost: float
    packets: float
    lost_squares: float
    trials: int

    @classmethod
    def of(cls, tally: Tally, suffix: str = "") -> Losses:
        """Of a tally, of all classes or of the class in `suffix` (".base")."""
        squares = tally.sums[f"lost{suffix}"].squares / UNIT**2
        return cls(tally.total(f"lost{suffix}"), tally.total(f"packets{suffix}"), squares, tally.trials)


def bler_interval(points: Sequence[Losses]) -> tuple[float, float]:
    """95 % Wilson interval of a packet error rate whose packets share a channel realisation.

    Packets of one burst fade together, so they say less than as many independent ones. The interval is
    computed with the effective number of packets, packets / design effect (Kish, Survey Sampling, 1965).
    The design effect comes from the spread between the trials (ratio estimator, Cochran, Sampling
    Techniques, 1977, §6.3); with fewer than ten trials, or none or all packets lost, a burst counts as one
    packet.
    """
    lost, packets = sum(p.lost for p in points), sum(p.packets for p in points)
    trials = sum(p.trials for p in points)
    rate, effective = lost / packets, float(trials)
    if 0 < rate < 1 and trials >= _MIN_TRIALS_FOR_SPREAD:
        residuals = sum(
            p.lost_squares - 2 * rate * p.lost * p.packets / p.trials + (rate * p.packets) ** 2 / p.trials
            for p in points
        )
        variance = trials / (trials - 1) * residuals / packets**2
        effective = rate * (1 - rate) / variance if variance > 0 else packets
    effective = min(effective, packets)
    return _wilson(rate, effective)


def _wilson(rate: float, trials: float) -> tuple[float, float]:
    """Wilson score interval (JASA, 1927) of a rate seen in `trials` trials, which need not be whole."""
    z = NormalDist().inv_cdf(0.5 + _CONFIDENCE / 2)
    scale = 1 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / scale
    half = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials)) / scale
    return (0.0 if rate == 0 else centre - half, 1.0 if rate == 1 else centre + half)


@lru_cache(maxsize=4096)
def student_t(degrees_of_freedom: int) -> float:
    """Two-sided 95 % quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, 0.5 + _CONFIDENCE / 2))
