"""The engine: keeps the workers busy, shares what can be shared, and writes down what is finished.

    group ─► transmit ─► what arrived ─┬─ seen before: its metrics
                                       └─ new: reconstruct ─► metrics ─► rows ─► shard

Only this process knows the store. Which worker did what, and when, changes nothing but the time it takes.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from types import FrameType
from typing import Any, Generic, TypeVar

from semcom.sweep.canonical import canonical
from semcom.sweep.executors import SweepExecutor
from semcom.sweep.executors.base import Abort
from semcom.sweep.plan import Group, Plan
from semcom.sweep.rounds import Outcome, Point, Round, trials_per_round
from semcom.sweep.scenario import StopSpec
from semcom.sweep.stopping import by_column, finished
from semcom.sweep.store import Store, added_up
from semcom.sweep.tally import Tally
from semcom.sweep.worker import (
    Arrival,
    Encoding,
    Failure,
    Reconstructed,
    Transmitted,
    prepare,
    reconstruct,
    transmit,
)
from semcom.sweep.writer import Writer

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

DEFAULT_BATCH = 64
Columns = tuple[tuple[str, str], ...]
Wanted = tuple[str, Columns, bool]
"""A received message's key, (name, column) of the metrics of its picture, whether to keep the picture."""


@dataclass
class RunStatistics:
    """What a run did; `decoded` counts reconstructions computed, `reused` those that were known already."""

    points: int = 0
    skipped: int = 0
    failed: int = 0
    encoded: int = 0
    sent: int = 0
    decoded: int = 0
    reused: int = 0
    interrupted: bool = False
    warnings: list[str] = field(default_factory=list)


class Bounded(OrderedDict[K, V], Generic[K, V]):
    """A mapping that forgets what was used longest ago.

    Args:
        limit: entries it keeps.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def __getitem__(self, key: K) -> V:
        self.move_to_end(key)
        return super().__getitem__(key)

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._limit:
            self.popitem(last=False)


class Engine:
    """Runs a plan into a store, resuming from what is there.

    Args:
        plan: what to simulate.
        store: created.
        executor: see `executors.make_executor`.
        provenance: goes into every shard.
        batch: trials in one call of the link, at most, unless a group has more points than that.
        cache: received messages whose metrics are remembered.
        advance: told the number of points that are finished or failed, as they come.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        executor: SweepExecutor,
        provenance: dict[str, Any],
        batch: int = DEFAULT_BATCH,
        cache: int = 20_000,
        advance: Callable[[int], object] = lambda points: None,
    ) -> None:
        self.statistics = RunStatistics()
        self._plan, self._executor = plan, executor
        self._rule = by_column(plan.scenario.stop, plan.columns)
        self._batch, self._advance = batch, advance
        self._writer = Writer(store, provenance)
        self._store = store
        self._window = 2 * executor.num_workers
        self._decoded: Bounded[str, dict[str, float]] = Bounded(cache)
        self._encodings: Bounded[str, list[Encoding]] = Bounded(5000)
        self._waiting: dict[Wanted, list[tuple[Round, Outcome]]] = defaultdict(list)
        self._decodes: deque[tuple[Group, Arrival, Wanted]] = deque()
        self._rounds: deque[Round] = deque()
        self._open: dict[int, Round] = {}
        self._out: dict[Future[Any], Callable[[Any], None]] = {}
        self._stopping = False

    def run(self) -> RunStatistics:
        """Simulates every point that is not finished.

        Ctrl-C (SIGINT) or SIGTERM ends the run after the tasks that are out, and what is finished is
        stored; a second one ends it at once.

        Raises:
            ValueError: a system or link cannot be built from its options.
            OSError: results cannot be written.
        """
        self._prepare_workers()
        with _interruptible(self._stop):
            rounds = self._new_rounds()
            try:
                while self._fill(rounds) or self._out:
                    done, _ = wait(self._out, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._out.pop(future)(future)
                    self._writer.flush_if_due()
                if not self._stopping:
                    self._writer.every_point_was_tried()
            finally:
                for unsettled in list(self._open.values()):
                    self._settle(unsettled, last=True)
                self._writer.flush()
        self.statistics.warnings = self._writer.warnings
        return self.statistics

    def _prepare_workers(self) -> None:
        """As many tasks per system as there are workers, so that all of them get ready at the same time."""
        scenes = {scene.label: scene for scene in self._plan.scenes()}.values()
        workers = range(self._executor.num_workers)
        tasks = [self._executor.submit(prepare, scene) for scene in scenes for _ in workers]
        for task in tasks:
            task.result()

    def _stop(self) -> None:
        if not self._stopping:
            print("stopping: what has begun is finished first; once more ends it at once", file=sys.stderr)
        self._stopping = self.statistics.interrupted = True

    def _fill(self, new: Iterator[Round]) -> bool:
        """Hands out tasks up to the window: reconstructions first, then open points, then new ones."""
        while len(self._out) < self._window and not self._stopping:
            if self._decodes:
                self._submit_decode(*self._decodes.popleft())
            else:
                upcoming = self._rounds.popleft() if self._rounds else next(new, None)
                if upcoming is None:
                    return False
                self._submit_transmit(upcoming)
        return not self._stopping

    def _new_rounds(self) -> Iterator[Round]:
        """Groups of the plan with what is stored already taken into account; each point once."""
        done, begun = stored_points(self._store, self._rule, tuple(self._plan.columns.values()))
        seen: dict[bytes, set[float]] = {}
        for group in self._plan.groups():
            known = seen.setdefault(sha256(group.head.encode()).digest()[:16], set())
            points, passed = [], 0
            for key, snr_db in zip(group.ids, group.snrs_db, strict=True):
                if snr_db in known or key in done:
                    passed += 1
                    self.statistics.skipped += snr_db not in known
                else:
                    points.append(begun.pop(key) if key in begun else Point(key, snr_db, Tally(), 0.0))
                known.add(snr_db)
            if passed:
                self._advance(passed)
            for alike in _by_lack(points):
                for start in range(0, len(alike), self._batch):
                    yield self._round(group, alike[start : start + self._batch])

    def _round(self, group: Group, points: list[Point]) -> Round:
        number = trials_per_round(self._rule, points, self._batch)
        return Round(group, points, number, self._plan.columns)

    def _submit_transmit(self, current: Round) -> None:
        self._open[id(current)] = current
        scene, photo = current.group.scene, current.group.photo
        key = canonical([scene.parts_key, scene.budget, photo.identity])
        known = tuple(self._encodings[key]) if key in self._encodings else ()
        future = self._executor.submit(transmit, scene, photo, tuple(current.jobs), known)
        self._out[future] = lambda done: self._transmitted(current, key, known, done)

    def _transmitted(
        self, current: Round, key: str, known: tuple[Encoding, ...], future: Future[Transmitted]
    ) -> None:
        error = future.exception()
        if error is not None:
            result = Transmitted(None, False, (_died("transmit", error),) * len(current.jobs), {})
        else:
            result = future.result()
        if result.new:
            assert result.encoding is not None
            self.statistics.encoded += 1
            self._encodings[key] = [*known, result.encoding]
        self.statistics.sent += len(current.jobs)
        share = {stage: seconds / len(current.jobs) for stage, seconds in result.seconds.items()}
        for job, outcome, arrival in zip(current.jobs, current.outcomes, result.arrivals, strict=True):
            outcome.seconds |= share
            if isinstance(arrival, Failure):
                outcome.failure = arrival
                continue
            outcome.counts, outcome.received = arrival.counts, arrival.key
            keep = current.group.keep_pictures and job.trial == 0
            self._look_up(current, outcome, arrival, keep)
        if current.complete:
            self._settle(current)

    def _look_up(self, current: Round, outcome: Outcome, arrival: Arrival, keep: bool) -> None:
        """Metrics of what arrived: known, on their way, or to be computed."""
        columns = tuple(current.metrics.items())
        draw = keep and not self._store.picture(arrival.key).exists()
        known = self._metrics_of(arrival.key)
        if not draw and all(column in known for _, column in columns):
            self.statistics.reused += 1
            outcome.metrics = known
            return
        wanted = (arrival.key, columns, draw)
        on_its_way = next((w for w in (wanted, (arrival.key, columns, True)) if w in self._waiting), None)
        if on_its_way is None:
            self._decodes.append((current.group, arrival, wanted))
        else:
            self.statistics.reused += 1
        self._waiting[on_its_way or wanted].append((current, outcome))

    def _metrics_of(self, key: str) -> dict[str, float]:
        if key not in self._decoded:
            return {}
        return self._decoded[key]

    def _submit_decode(self, group: Group, arrival: Arrival, wanted: Wanted) -> None:
        _, columns, draw = wanted
        future = self._executor.submit(
            reconstruct, group.scene, group.photo, arrival.received, dict(columns), draw
        )
        self._out[future] = lambda done: self._reconstructed(wanted, done)

    def _reconstructed(self, wanted: Wanted, future: Future[Reconstructed | Failure]) -> None:
        key = wanted[0]
        error = future.exception()
        result = future.result() if error is None else _died("decode", error)
        self.statistics.decoded += 1
        if isinstance(result, Reconstructed):
            self._decoded[key] = {**self._metrics_of(key), **result.metrics}
            if result.picture is not None:
                self._writer.picture(key, result.picture)
        for index, (current, outcome) in enumerate(self._waiting.pop(wanted)):
            if isinstance(result, Failure):
                outcome.failure = result
            else:
                outcome.metrics = result.metrics
                if index == 0:
                    outcome.seconds |= result.seconds
            if current.complete and id(current) in self._open:
                self._settle(current)

    def _settle(self, current: Round, last: bool = False) -> None:
        del self._open[id(current)]
        rows, unfinished, failures = current.settle(self._rule)
        self._writer.rows(rows)
        by_id = {point.id: point for point in current.points}
        for key, failure in failures.items():
            description = current.group.description(by_id[key].snr_db)
            self._writer.failure(key, description, current.group.names(), failure)
        if last:
            return
        for alike in _by_lack(unfinished):
            self._rounds.append(self._round(current.group, alike))
        finished_now = [key for key in by_id if key not in failures and all(key != p.id for p in unfinished)]
        self._writer.succeeded(finished_now)
        self.statistics.points += len(finished_now)
        self.statistics.failed += len(failures)
        self._advance(len(finished_now) + len(failures))


def stored_points(store: Store, rule: StopSpec, metrics: Sequence[str]) -> tuple[set[str], dict[str, Point]]:
    """Ids of the stored points that are finished, and the others with what they have.

    Args:
        store: of the run.
        rule: by columns, see `stopping.by_column`.
        metrics: columns that are wanted.
    """
    reach = store.reach()
    lacking = {key: found.lacking(metrics) for key, found in reach.items()}
    done = {key for key, found in reach.items() if found.trials >= rule.trials and not lacking[key]}
    begun: dict[str, Point] = {}
    if len(done) < len(reach):
        for key, row in added_up(store.rows(reach.keys() - done)).items():
            for name in lacking[key]:  # measured again from the first trial on
                row.tally.sums.pop(name, None)
            snr_db, seconds = json.loads(row.point)["snr_db"], sum(row.seconds.values())
            begun[key] = Point(key, snr_db, row.tally, seconds, lacking[key])
    finished_early = {
        key
        for key, point in begun.items()
        if not point.lacking and finished(rule, point.tally, point.seconds)
    }
    return done | finished_early, {key: begun[key] for key in begun.keys() - finished_early}


def _by_lack(points: Sequence[Point]) -> list[list[Point]]:
    """Points that lack the same metrics of trials that are stored, together."""
    alike: dict[tuple[str, ...], list[Point]] = {}
    for point in points:
        alike.setdefault(point.lacking if point.behind else (), []).append(point)
    return list(alike.values())


def _died(stage: str, error: BaseException) -> Failure:
    return Failure(stage, " ".join(f"{type(error).__name__}: {error}".split()), "")


@contextmanager
def _interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """The first SIGINT or SIGTERM calls `stop`, the second raises `Abort`, a KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if asked:
            raise Abort
        asked.append(number)
        stop()

    asked: list[int] = []
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
