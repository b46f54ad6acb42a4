"""Confidence intervals: the one place where a 95 % comes from.

mean over pictures          Student's t
difference of two systems   Student's t of the differences picture by picture (paired)
packet error rate           Wilson, with the effective number of packets (design effect)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, stdev

from channels.links.report import wilson_interval

CONFIDENCE = 0.95
_MIN_TRIALS_FOR_SPREAD = 10


@lru_cache(maxsize=4096)
def student_t(degrees_of_freedom: int) -> float:
    """Two-sided 95 % quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, 0.5 + CONFIDENCE / 2))


def half_width(values: Sequence[float]) -> float | None:
    """Half of the 95 % interval of the mean of independent values; None for fewer than two."""
    if len(values) < 2:
        return None
    return student_t(len(values) - 1) * stdev(values) / math.sqrt(len(values))


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences.

    Attributes:
        mean: of the differences.
        half_width: of its 95 % interval; None where there are fewer than two pairs.
    """

    mean: float
    half_width: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval is on one side of zero: the difference is more than chance."""
        return self.half_width is not None and abs(self.mean) > self.half_width


def paired_difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """Of two systems on the same pictures over the same fades, `ours` minus `theirs`, pair by pair.

    >>> difference = paired_difference([0.11, 0.14, 0.12], [0.15, 0.19, 0.15])
    >>> f"{difference.mean:.3f} ± {difference.half_width:.3f}", difference.excludes_zero
    ('-0.040 ± 0.025', True)

    Raises:
        ValueError: the two have not the same number of values, or none.
    """
    if len(ours) != len(theirs) or not ours:
        raise ValueError(f"pairs need as many values on both sides, not {len(ours)} and {len(theirs)}")
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    return Difference(fmean(differences), half_width(differences))


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
    return wilson(rate, min(effective, packets))


def wilson(rate: float, trials: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson score interval (JASA, 1927) of a rate seen in `trials` trials, which need not be whole."""
    return wilson_interval(rate * trials, trials, confidence)
