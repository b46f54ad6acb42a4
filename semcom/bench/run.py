"""Runs a benchmark on the sweep engine: every operating point at its SNRs, and nothing twice.

RUN/bench.json      operating points
RUN/shards …        results, as of any sweep; the same command continues after an interruption
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from semcom.bench.document import document
from semcom.bench.operating_points import OperatingPoint, operating_points
from semcom.bench.spec import PERFECT, BenchSpec
from semcom.provenance import provenance
from semcom.sweep.engine import DEFAULT_BATCH, Engine
from semcom.sweep.executors import make_executor
from semcom.sweep.plan import Group, Plan, find_photos
from semcom.sweep.progress import progress
from semcom.sweep.result import SweepResult
from semcom.sweep.scenario import Scenario
from semcom.sweep.scenario import load as load_scenario
from semcom.sweep.store import Store, write_atomically

AXIS = "operating_point"


class BenchPlan(Plan):
    """A plan in which every operating point has SNRs of its own.

    Args:
        scenario: with an axis `operating_point` for each system.
        points: what its values mean.
    """

    def __init__(self, scenario: Scenario, points: list[OperatingPoint]) -> None:
        super().__init__(scenario)
        self._snrs = {(point.system, point.name): point.snrs_db for point in points}

    def __len__(self) -> int:
        return len(self.photos) * sum(map(len, self._snrs.values()))

    def groups(self) -> Iterator[Group]:
        """As of any plan, at fewer SNRs, and picture by picture.

        Systems remember what they tried with the last picture, and metrics the features of the last original.
        """
        groups = sorted(super().groups(), key=lambda group: group.photo.name)
        for group in groups:
            yield replace(group, snrs_db=self._snrs[group.scene.label, group.scene.labels[AXIS]])


def run(
    spec: BenchSpec,
    folder: str | Path,
    *,
    command: str,
    executor: str = "processes",
    workers: int | None = None,
    threads: int = 1,
    shown: bool = False,
    announce: Callable[[str], object] = lambda message: None,
) -> dict[str, Any]:
    """Simulates what is not there yet and returns the document, see `semcom.bench.document`.

    Args:
        spec: what to run.
        folder: of the run, made or continued.
        command: that is written into the document.
        executor: `serial`, `processes` or `ray`, as for sweeps.
        workers: default one per core divided by `threads`.
        threads: of every worker.
        shown: a progress bar on stderr.
        announce: told what happens before that.

    Raises:
        ValueError: a system, metric or link is wrong.
    """
    start = time.perf_counter()
    store = Store(folder)
    store.create()
    photos = find_photos(spec.images)
    points = operating_points(spec, photos, store.folder / "bench.json", announce)
    plan = BenchPlan(load_scenario(_scenario(spec, points)), points)
    for photo in plan.photos[: spec.pictures]:
        copy = store.pictures / f"original-{photo.sha256}{Path(photo.path).suffix.lower()}"
        if not copy.exists():
            write_atomically(copy, Path(photo.path).read_bytes())
    pool = make_executor(executor, workers, threads, None)
    try:
        with progress(spec.name, len(plan), shown) as advance:
            engine = Engine(plan, store, pool, provenance(), batch=DEFAULT_BATCH, advance=advance)
            statistics = engine.run()
    finally:
        pool.shutdown()
    for warning in statistics.warnings:
        warnings.warn(warning, stacklevel=2)
    if statistics.interrupted:
        sys.stderr.write("interrupted; the same command continues\n")
    wall = _add_seconds(store.folder / "wall_seconds", time.perf_counter() - start)
    result = SweepResult(folder)
    return document(spec, points, result, [photo.name for photo in plan.photos], command, wall)


def _scenario(spec: BenchSpec, points: list[OperatingPoint]) -> dict[str, Any]:
    """The benchmark for the engine: an axis per system, whose values are its operating points."""
    systems = {}
    for label, system in spec.systems.items():
        variants = {
            point.name: {f"budget.{spec.budgets.unit}": point.budget}
            | {f"link.classes.{name}.mcs": index for name, index in point.mcs.items()}
            for point in points
            if point.system == label
        }
        systems[label] = {
            "system": system.system or label,
            "options": system.options,
            "grid": {AXIS: variants},
        }
    return {
        "name": spec.name,
        "seed": spec.seed,
        "images": list(spec.images),
        "systems": systems,
        "link": {"kind": PERFECT} if spec.link is None else spec.link,
        "budget": {spec.budgets.unit: spec.budgets.values[0]},
        "grid": {"snr_db": list(spec.snrs_db)},
        "stop": {"trials": spec.trials},
        "metrics": list(spec.metrics),
        "pictures": spec.pictures,
    }


def _add_seconds(file: Path, seconds: float) -> float:
    """Running time of all the calls that it took."""
    total = seconds + (float(file.read_text()) if file.exists() else 0.0)
    write_atomically(file, str(total).encode())
    return total
