"""Bookkeeping of points in the middle of being simulated: which trials are out, what to add up in order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from semcom.sweep.plan import Group
from semcom.sweep.rows import STAGES, Row
from semcom.sweep.scenario import StopSpec
from semcom.sweep.stopping import finished, has_early_rule
from semcom.sweep.tally import Tally
from semcom.sweep.worker import Failure, Job


@dataclass
class Outcome:
    """One trial on its way to being complete; complete once `metrics` or `failure` is there."""

    counts: Mapping[str, int] = field(default_factory=dict)
    received: str | None = None
    metrics: Mapping[str, float] | None = None
    failure: Failure | None = None
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    @property
    def complete(self) -> bool:
        """Nothing more is coming."""
        return self.metrics is not None or self.failure is not None


@dataclass
class Point:
    """A point that is not finished: what earlier runs and rounds added up.

    Attributes:
        lacking: columns of metrics that were asked for after trials had been simulated. Those trials are sent
            and decoded again, with the same seeds, for these metrics only.
        caught_up: trials from the first on that have them.
    """

    id: str
    snr_db: float
    tally: Tally
    seconds: float
    lacking: tuple[str, ...] = ()
    caught_up: int = 0

    @property
    def behind(self) -> int:
        """Trials that lack metrics."""
        return self.tally.trials - self.caught_up if self.lacking else 0

    @property
    def next_trial(self) -> int:
        """The first trial to send."""
        return self.caught_up if self.behind else self.tally.trials


class Round:
    """Some trials of some points of one group that are out together.

    Args:
        group: of the points.
        points: to simulate; all lack the same metrics, or none does.
        number: trials of each, at most.
        metrics: column by name of all metrics wanted.
    """

    def __init__(
        self, group: Group, points: Sequence[Point], number: int, metrics: Mapping[str, str]
    ) -> None:
        self.group, self.points = group, points
        lacking = points[0].lacking if points[0].behind else tuple(metrics.values())
        self.metrics = {name: column for name, column in metrics.items() if column in lacking}
        self.jobs = [
            Job(point.id, point.snr_db, trial, group.seed_of(point.snr_db, trial))
            for point in points
            for trial in range(point.next_trial, point.next_trial + (min(number, point.behind) or number))
        ]
        self.outcomes = [Outcome() for _ in self.jobs]

    @property
    def complete(self) -> bool:
        """Every trial has an outcome."""
        return all(outcome.complete for outcome in self.outcomes)

    def settle(self, rule: StopSpec) -> tuple[list[Row], list[Point], dict[str, Failure]]:
        """Adds up each point's trials in order, up to its first missing or failed one or its last needed one.

        Returns:
            Rows to store, points that need more trials, and failures by point.
        """
        rows, unfinished, failures = [], [], {}
        by_point: dict[str, list[Outcome]] = {}
        for job, outcome in zip(self.jobs, self.outcomes, strict=True):
            by_point.setdefault(job.point, []).append(outcome)
        for point in self.points:
            row, failure = self._add_up(point, by_point[point.id], rule)
            if row.tally.trials:
                rows.append(row)
            if failure is not None:
                failures[point.id] = failure
            elif point.behind or not finished(rule, point.tally, point.seconds):
                unfinished.append(point)
        return rows, unfinished, failures

    def _add_up(self, point: Point, outcomes: list[Outcome], rule: StopSpec) -> tuple[Row, Failure | None]:
        again = bool(point.behind)
        row = Row(point.id, self.group.description(point.snr_db), point.next_trial, None)
        row.metrics = tuple(sorted(self.metrics.values()))
        for outcome in outcomes:
            if not again and finished(rule, point.tally, point.seconds):
                break
            if outcome.failure is not None:
                return row, outcome.failure
            if outcome.metrics is None:
                break
            values = {column: outcome.metrics[column] for column in row.metrics}
            measured = {column: value for column, value in values.items() if not math.isnan(value)}
            try:
                trial = Tally()
                trial.add({**outcome.counts, **measured})
            except ValueError as error:
                return row, Failure("metrics", str(error), "")
            if point.next_trial == 0:
                row.received = outcome.received
            row.tally.merge(trial)
            for stage, seconds in outcome.seconds.items():
                row.seconds[stage] += seconds
            if again:
                point.tally.merge_measured(Tally(0, {name: trial.sums[name] for name in measured}))
                point.caught_up += 1
            else:
                point.tally.merge(trial)
                point.seconds += sum(outcome.seconds.values())
        return row, None


def trials_per_round(rule: StopSpec, points: Sequence[Point], batch: int) -> int:
    """Trials of each point to send next: as many as fit, but not far beyond what an early stop would need."""
    fitting = max(1, batch // len(points))
    if points[0].behind:
        return fitting
    done = min(point.tally.trials for point in points)
    most = min(rule.trials - done, fitting)
    return min(most, max(rule.min_trials, done, 1)) if has_early_rule(rule) else most
