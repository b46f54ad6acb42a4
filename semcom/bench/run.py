"""Runs a benchmark as a sweep: every operating point at its SNRs, and nothing twice.

RUN/bench.json      operating points
RUN/shards …        results, as of any sweep; the same command continues after an interruption
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from semcom.bench.document import document
from semcom.bench.operating_points import AXIS, OperatingPoint, operating_points
from semcom.bench.spec import AUTO, PERFECT, BenchSpec
from semcom.sweep import api
from semcom.sweep.executors.base import Resources
from semcom.sweep.plan import Group, Plan, Scene, find_photos
from semcom.sweep.result import SweepResult
from semcom.sweep.scenario import Scenario
from semcom.sweep.scenario import load as load_scenario
from semcom.sweep.store import Store, write_atomically


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
        """As of any plan, picture by picture.

        Systems remember what they tried with the last picture, and metrics the features of the last original.
        """
        yield from sorted(super().groups(), key=lambda group: group.photo.name)

    def snrs_of(self, scene: Scene) -> tuple[float, ...]:
        """SNRs of the operating point."""
        return self._snrs[scene.label, scene.labels[AXIS]]


def run(spec: BenchSpec, folder: str | Path, *, command: str, **how: Any) -> dict[str, Any]:
    """The document of `simulate`, see there."""
    return simulate(spec, folder, command=command, **how)[0]


def simulate(
    spec: BenchSpec,
    folder: str | Path,
    *,
    command: str,
    executor: str = "processes",
    workers: int | None = None,
    threads: int = 1,
    shown: bool = False,
    announce: Callable[[str], object] = lambda message: None,
    allow_imports: bool = False,
) -> tuple[dict[str, Any], SweepResult]:
    """Simulates what is not there yet; gives the document, see `semcom.bench.document`, and the sweep.

    Args:
        spec: what to run.
        folder: of the run, made or continued.
        command: that is written into the document.
        executor: as for sweeps.
        workers: default one per core divided by `threads`.
        threads: of every worker.
        shown: a progress bar on stderr.
        announce: told what happens before that.
        allow_imports: whether `module:callable` may name systems and metrics.

    Raises:
        ValueError: a system, metric or link is wrong.
    """
    start = time.perf_counter()
    load_scenario(_scenario(spec, _unchosen(spec)), allow_imports)  # before the MCSs take their time
    store = Store(folder)
    store.create()
    photos = find_photos(spec.images)
    points = operating_points(spec, photos, store.folder / "bench.json", announce)
    plan = BenchPlan(load_scenario(_scenario(spec, points), allow_imports), points)
    resources = Resources(workers, threads, None, plan.scenario.stop.seconds_per_task)
    result = api.simulate(plan, store, executor, resources, show_progress=shown)
    wall = _add_seconds(store.folder / "wall_seconds", time.perf_counter() - start)
    names = [photo.name for photo in plan.photos]
    return document(spec, points, result, names, command, wall), result


def _unchosen(spec: BenchSpec) -> list[OperatingPoint]:
    """The benchmark before any MCS is chosen, to be checked."""
    return [OperatingPoint(label, spec.budgets.values[0], {}, spec.snrs_db) for label in spec.systems]


def _scenario(spec: BenchSpec, points: list[OperatingPoint]) -> dict[str, Any]:
    """The benchmark for the engine: an axis per system, whose values are its operating points."""
    systems = {}
    for label, system in spec.systems.items():
        variants = {
            point.name: {f"budget.{spec.budgets.unit}": point.budget}
            | {f"link.classes.{name}.mcs": index for name, index in point.mcs.items()}
            | ({"link.mcs": AUTO} if system.mcs == AUTO else {})
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
