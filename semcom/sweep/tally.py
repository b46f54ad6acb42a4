"""Exact sums. Values are counted in units of 1e-9 as integers, so that adding up in any order, in any
pieces, on any machine gives the same digits, and the variance has no cancellation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from semcom.intervals import Losses, student_t

UNIT = 10**9


@dataclass
class Sums:
    """Sum and sum of squares of one quantity, in units of 1e-9 and 1e-18, over `trials` trials."""

    total: int = 0
    squares: int = 0
    trials: int = 0

    def add(self, value: float) -> None:
        """Adds one value. Raises ValueError if it is not finite."""
        if not math.isfinite(value):
            raise ValueError(f"not a finite number: {value}")
        units = value * UNIT if isinstance(value, int) else round(value * UNIT)
        self.total += units
        self.squares += units * units
        self.trials += 1

    def merge(self, other: Sums) -> None:
        """Adds what another has added up."""
        self.total += other.total
        self.squares += other.squares
        self.trials += other.trials


@dataclass
class Tally:
    """Number of trials and sums of every quantity over them.

    Quantities are `pixels`, `channel_uses`, `bits.STREAM`, `packets.CLASS`, `lost.CLASS`, `packets` and
    `lost` of all classes, `mcs.CLASS` where it is adapted, and the metrics by column. A metric that was asked
    for later may have been measured on fewer trials than were simulated.
    """

    trials: int = 0
    sums: dict[str, Sums] = field(default_factory=dict)

    def add(self, values: Mapping[str, float]) -> None:
        """Adds one trial."""
        self.trials += 1
        self.add_measured(values)

    def add_measured(self, values: Mapping[str, float]) -> None:
        """Adds metrics of a trial that was counted before."""
        for name, value in values.items():
            self.sums.setdefault(name, Sums()).add(value)

    def merge(self, other: Tally) -> None:
        """Adds other trials."""
        self.trials += other.trials
        self.merge_measured(other)

    def merge_measured(self, other: Tally) -> None:
        """Adds metrics of trials that were counted before."""
        for name, sums in other.sums.items():
            self.sums.setdefault(name, Sums()).merge(sums)

    def covers(self, name: str) -> bool:
        """Whether a quantity was measured on every trial."""
        return name in self.sums and self.sums[name].trials == self.trials

    def total(self, name: str) -> float:
        """Sum of a quantity over the trials."""
        return self.sums[name].total / UNIT if name in self.sums else 0.0

    def mean(self, name: str) -> float:
        """Mean of a quantity over the trials on which it was measured."""
        return self.sums[name].total / (UNIT * self.sums[name].trials)

    def variance(self, name: str) -> float:
        """Unbiased variance of a quantity; at least two trials."""
        sums = self.sums[name]
        n = sums.trials
        return max(0, n * sums.squares - sums.total**2) / (n * (n - 1) * UNIT**2)

    def half_width(self, name: str) -> float | None:
        """Half of the 95 % interval of a mean (Student's t); None for fewer than two trials."""
        n = self.sums[name].trials if name in self.sums else 0
        return None if n < 2 else student_t(n - 1) * math.sqrt(self.variance(name) / n)

    def losses(self, suffix: str = "") -> Losses:
        """Lost packets of all classes, or of the class in `suffix` (".base")."""
        squares = self.sums[f"lost{suffix}"].squares / UNIT**2
        return Losses(self.total(f"lost{suffix}"), self.total(f"packets{suffix}"), squares, self.trials)
