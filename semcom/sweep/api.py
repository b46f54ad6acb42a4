"""What notebooks and the command line call: run a scenario, load a run, merge runs."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semcom.files import read_limited
from semcom.picture.limits import MAX_FILE_BYTES
from semcom.provenance import provenance
from semcom.sweep.engine import DEFAULT_BATCH, Engine, stored_points
from semcom.sweep.executors import make_executor
from semcom.sweep.plan import Plan
from semcom.sweep.problems import Problem, ScenarioError
from semcom.sweep.progress import progress
from semcom.sweep.result import SweepResult
from semcom.sweep.scenario import Scenario, to_yaml
from semcom.sweep.scenario import load as load_scenario
from semcom.sweep.store import Store, write_atomically


def run(
    scenario: str | Path | Mapping[str, Any] | Scenario,
    out: str | Path | None = None,
    *,
    images: Sequence[str] = (),
    executor: str = "processes",
    workers: int | None = None,
    threads: int = 1,
    address: str | None = None,
    batch: int = DEFAULT_BATCH,
    resume: bool = True,
    show_progress: bool | None = None,
) -> SweepResult:
    """Simulates every point of a scenario that is not finished yet.

    The result is the same, to the last digit, for any executor, number of workers, batch and order, and
    after any interruption, on machines of one kind with the same `threads`; with another number of threads
    or another processor, floating-point sums inside the models may round differently.

    Args:
        scenario: path of a YAML file, name of a ready-made scenario, the same as a mapping, or a `Scenario`.
        out: folder of the run; `runs/NAME` by default. A run that is there is resumed.
        images: instead of the scenario's.
        executor: `serial`, `processes` or `ray`.
        workers: default one per core divided by `threads`.
        threads: of every worker.
        address: of a Ray cluster, `auto` for a running one.
        batch: trials in one call of the link, at most.
        resume: with False, a folder that has results is an error.
        show_progress: default only on a terminal.

    Raises:
        ScenarioError: the scenario is wrong, see its message.
        ValueError: a system, link or executor cannot be made, or results exist and `resume` is off.
        OSError: results cannot be written.
    """
    checked = load_scenario(scenario)
    if images:
        checked = checked.model_copy(update={"images": tuple(images)})
    plan = Plan(checked)
    store = Store(out or Path("runs") / checked.name)
    if not resume and store.shard_paths():
        raise ValueError(f"{store.folder} has results; resume, or choose another folder")
    store.create()
    write_atomically(store.folder / "scenario.yaml", to_yaml(checked).encode())
    _keep_originals(plan, store)
    how = {"executor": executor, "threads": threads}
    pool = make_executor(executor, workers, threads, address)
    shown = sys.stderr.isatty() if show_progress is None else show_progress
    try:
        with progress(checked.name, len(plan), shown) as advance:
            engine = Engine(plan, store, pool, provenance() | how, batch=batch, advance=advance)
            statistics = engine.run()
    finally:
        pool.shutdown()
    for warning in statistics.warnings:
        warnings.warn(warning, stacklevel=2)
    result = SweepResult(store.folder)
    result.statistics = statistics
    return result


def _keep_originals(plan: Plan, store: Store) -> None:
    for photo in plan.photos[: plan.scenario.pictures]:
        copy = store.pictures / f"original-{photo.sha256}{Path(photo.path).suffix.lower()}"
        if photo.sha256 is not None and not copy.exists():
            write_atomically(copy, read_limited(photo.path, MAX_FILE_BYTES))


def load(folder: str | Path) -> SweepResult:
    """The results of a run, finished or not. Raises ValueError if the folder holds none."""
    if not (Path(folder) / "shards").is_dir():
        raise ValueError(f"{folder} is no run: it has no folder 'shards'")
    return SweepResult(folder)


def merge(folders: Sequence[str | Path], out: str | Path) -> SweepResult:
    """Puts runs together in a new folder; trials that several have count once.

    Raises:
        ValueError: a folder is no run, or `out` has results already.
    """
    runs, target = [load(folder) for folder in folders], Store(out)
    if target.shard_paths():
        raise ValueError(f"{out} has results; choose another folder")
    target.create()
    for run_ in runs:
        source = run_.store
        for path in (*source.shard_paths(), *source.pictures.glob("[!.]*.*")):
            copy = target.folder / path.relative_to(source.folder)
            if not copy.exists():
                write_atomically(copy, path.read_bytes())
    done = target.reach()
    failures = {
        key: record for run_ in runs for key, record in run_.store.failures().items() if key not in done
    }
    target.write_failures(failures)
    first = runs[0].store.folder / "scenario.yaml"
    if first.exists():
        write_atomically(target.folder / "scenario.yaml", first.read_bytes())
    return SweepResult(out)


def status(folder: str | Path) -> dict[str, Any]:
    """Points of a run's scenario: total, finished, begun, pending, and failures with their reasons."""
    result = load(folder)
    path = result.store.folder / "scenario.yaml"
    if not path.exists():
        raise ScenarioError([Problem((), f"{path} is missing")])
    plan = Plan(load_scenario(path))
    done, begun = stored_points(result.store, plan.scenario.stop)
    ids = [key for group in plan.groups() for key in group.ids]
    failures = {key: record for key, record in result.store.failures().items() if key not in done}
    counts = {
        "points": len(ids),
        "finished": sum(key in done for key in ids),
        "begun": sum(key in begun for key in ids),
        "failed": sum(key in failures for key in ids),
    }
    counts["pending"] = counts["points"] - counts["finished"] - counts["failed"]
    return counts | {"failures": failures}
