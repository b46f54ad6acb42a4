"""Bookkeeping of points in the middle of being simulated: which trials are out, what to add up in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from semcom.seeds import derive
from semcom.sweep.plan import Group
from semcom.sweep.scenario import StopSpec
from semcom.sweep.stopping import finished, has_early_rule
from semcom.sweep.store import STAGES, Row
from semcom.sweep.tally import Tally
from semcom.sweep.worker import Failure, Job

_DECODE_STAGES = ("decode", "metrics")


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
    """A point that is not finished: what earlier runs and rounds added up."""

    id: str
    snr_db: float
    tally: Tally
    seconds: float

    def next_jobs(self, seed: int, number: int) -> list[Job]:
        """The next trials."""
        first = self.tally.trials
        return [
            Job(self.id, self.snr_db, trial, derive(seed, self.id, trial))
            for trial in range(first, first + number)
        ]


class Round:
    """Some trials of some points of one group that are out together.

    Args:
        group: of the points.
        points: to simulate.
        number: trials of each.
    """

    def __init__(self, group: Group, points: list[Point], number: int) -> None:
        self.group, self.points = group, points
        self.jobs = [job for point in points for job in point.next_jobs(group.seed, number)]
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
            row, failure, done = _add_up(self.group, point, by_point[point.id], rule)
            if row.tally.trials:
                rows.append(row)
            if failure is not None:
                failures[point.id] = failure
            elif not done:
                unfinished.append(point)
        return rows, unfinished, failures


def trials_per_round(rule: StopSpec, points: list[Point], batch: int) -> int:
    """Trials of each point to send next: as many as fit, but not far beyond what an early stop would need."""
    done = min(point.tally.trials for point in points)
    most = min(rule.trials - done, max(1, batch // len(points)))
    return min(most, max(rule.min_trials, done, 1)) if has_early_rule(rule) else most


def _add_up(
    group: Group, point: Point, outcomes: list[Outcome], rule: StopSpec
) -> tuple[Row, Failure | None, bool]:
    row = Row(point.id, group.description(point.snr_db), point.tally.trials, None)
    for outcome in outcomes:
        if finished(rule, point.tally, point.seconds):
            break
        if outcome.failure is not None:
            return row, outcome.failure, False
        if outcome.metrics is None:
            break
        try:
            trial = Tally()
            trial.add({**outcome.counts, **outcome.metrics})
        except ValueError as error:
            return row, Failure("metrics", str(error), ""), False
        if point.tally.trials == 0:
            row.received = outcome.received
        row.tally.merge(trial)
        point.tally.merge(trial)
        for stage, seconds in outcome.seconds.items():
            row.seconds[stage] += seconds
        point.seconds += sum(outcome.seconds.values())
    return row, None, finished(rule, point.tally, point.seconds)
