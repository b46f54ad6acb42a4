"""What notebooks and the command line call: run a scenario, load a run, merge runs.

Only `run` and `simulate` import or run anything that a scenario names; everything else reads data.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from semcom.files import read_limited
from semcom.picture.limits import MAX_FILE_BYTES
from semcom.provenance import provenance, unlike
from semcom.sweep.contents import Contents, is_run
from semcom.sweep.engine import DEFAULT_BATCH, Engine, stored_points
from semcom.sweep.executors import make_executor
from semcom.sweep.executors.base import Resources
from semcom.sweep.plan import Plan, find_photos
from semcom.sweep.progress import progress
from semcom.sweep.result import SweepResult
from semcom.sweep.scenario import Scenario, to_yaml
from semcom.sweep.scenario import load as load_scenario
from semcom.sweep.stopping import by_column
from semcom.sweep.store import Store, write_atomically

SCENARIO = "scenario.yaml"


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
    allow_imports: bool = False,
    part: tuple[int, int] = (1, 1),
) -> SweepResult:
    """Simulates every point of a scenario that is not finished yet.

    The result is the same, to the last digit, for any executor, number of workers, batch and order, and
    after any interruption, on machines of one kind with the same `threads`; with another number of threads
    or another processor, floating-point sums inside the models may round differently.

    Args:
        scenario: path of a YAML file, name of a ready-made scenario, the same as a mapping, or a `Scenario`.
        out: folder of the run; `runs/NAME` by default. A run that is there is resumed.
        images: instead of the scenario's.
        executor: `serial`, `processes`, `ray`, or one that a package registered.
        workers: default one per core divided by `threads`.
        threads: of every worker.
        address: of a Ray cluster, `auto` for a running one.
        batch: trials in one call of the link, at most.
        resume: with False, a folder that has results is an error.
        show_progress: default only on a terminal.
        allow_imports: whether `module:callable` in the scenario may name systems, links and metrics.
        part: (i, n) simulates every n-th image from the i-th on, for jobs of an array; `merge` puts parts
            together.

    Raises:
        ScenarioError: the scenario is wrong, see its message.
        ValueError: a system, link or executor cannot be made, the folder is no run but has a scenario, or
            results exist and `resume` is off.
        OSError: results cannot be written.
    """
    checked = load_scenario(scenario, allow_imports)
    if images:
        checked = checked.model_copy(update={"images": tuple(images)})
    if part != (1, 1):
        checked = _part(checked, *part)
    store = Store(out or Path("runs") / checked.name)
    if not resume and store.shard_paths():
        raise ValueError(f"{store.folder} has results; resume, or choose another folder")
    copy = store.folder / SCENARIO
    if copy.exists() and not is_run(store.folder):
        raise ValueError(f"{copy} is there, and {store.folder} is no run: choose another folder with --out")
    plan = Plan(checked)
    store.create()
    if not (isinstance(scenario, str | Path) and copy.exists() and copy.samefile(_file(scenario, copy))):
        write_atomically(copy, to_yaml(checked).encode())
    resources = Resources(workers, threads, address, checked.stop.seconds_per_task)
    return simulate(plan, store, executor, resources, batch=batch, show_progress=show_progress)


def _part(scenario: Scenario, number: int, count: int) -> Scenario:
    """Some of the images of a scenario. Raises ValueError where none is left."""
    photos = [photo.path for photo in find_photos(scenario.images)]
    if not 1 <= number <= count or not photos[number - 1 :: count]:
        raise ValueError(
            f"part {number}/{count}: there are {len(photos)} images, so 1/N to N/N with N up to that"
        )
    return scenario.model_copy(update={"images": tuple(photos[number - 1 :: count])})


def _file(scenario: str | Path, copy: Path) -> Path:
    return Path(scenario) if Path(scenario).exists() else copy.parent


def simulate(
    plan: Plan,
    store: Store,
    executor: str,
    resources: Resources,
    *,
    batch: int = DEFAULT_BATCH,
    show_progress: bool | None = None,
) -> SweepResult:
    """Simulates every point of a plan that a run's folder lacks. Arguments and errors as `run`."""
    contents = Contents.of(plan)
    changes = _changes(store, contents)
    contents.write(store.folder)
    _keep_originals(plan, store)
    pool = make_executor(executor, resources)
    how = {"executor": executor, "threads": resources.threads}
    shown = sys.stderr.isatty() if show_progress is None else show_progress
    try:
        with progress(plan.scenario.name, len(plan), shown) as advance:
            engine = Engine(plan, store, pool, provenance() | how, batch=batch, advance=advance)
            statistics = engine.run()
    finally:
        pool.shutdown()
    statistics.warnings[:0] = changes
    for warning in statistics.warnings:
        warnings.warn(warning, stacklevel=3)
    result = SweepResult(store.folder, contents)
    result.statistics = statistics
    return result


def _changes(store: Store, now: Contents) -> list[str]:
    """What made earlier results of the same names, and is no longer: they are kept, but no longer shown."""
    store.reach()  # refuses results of older versions before any work
    try:
        before = Contents.read(store.folder)
    except ValueError:
        return []
    kept = "what was simulated with it is kept, but simulated again and no longer shown"
    return [f"{change}; {kept}" for change in before.changes(now)]


def _keep_originals(plan: Plan, store: Store) -> None:
    """Copies of pictures, and of nothing else that `images` may name."""
    from semcom.picture import images

    for photo in plan.photos[: plan.scenario.pictures]:
        copy = store.pictures / f"original-{photo.sha256}{Path(photo.path).suffix.lower()}"
        if photo.sha256 is None or copy.exists():
            continue
        try:
            images.load(photo.path)
        except images.ImageError:
            continue  # its points fail with the reason
        data = read_limited(photo.path, MAX_FILE_BYTES)
        if sha256(data).hexdigest() == photo.sha256:
            write_atomically(copy, data)


def load(folder: str | Path) -> SweepResult:
    """The results of a run, finished or not. Raises ValueError if the folder holds none."""
    if not is_run(Path(folder)):
        raise ValueError(f"{folder} is no run: it has no folder 'shards'")
    return SweepResult(folder)


def merge(folders: Sequence[str | Path], out: str | Path) -> SweepResult:
    """Puts runs together in a new folder; trials that several have count once.

    Runs of machines that do not compute alike are put together with a warning.

    Raises:
        ValueError: a folder is no run, `out` has results already, or the runs were made with other weights or
            code.
    """
    runs, target = [load(folder) for folder in folders], Store(out)
    if target.shard_paths():
        raise ValueError(f"{out} has results; choose another folder")
    contents = runs[0].contents
    for run_ in runs[1:]:
        contents = contents.together(run_.contents)
    made_by = [entry for run_ in runs for entry in run_.store.provenances()]
    for warning in unlike_machines(made_by):
        warnings.warn(warning, stacklevel=2)
    target.create()
    for run_ in runs:
        source = run_.store
        for path in (*source.shard_paths(), *source.pictures.glob("[!.]*.*")):
            copy = target.folder / path.relative_to(source.folder)
            if path.is_file() and not copy.exists():
                write_atomically(copy, path.read_bytes())
    contents.write(target.folder)
    done = target.reach()
    failures = {
        key: record for run_ in runs for key, record in run_.store.failures().items() if key not in done
    }
    target.write_failures(failures)
    first = runs[0].store.folder / SCENARIO
    if first.exists():
        write_atomically(target.folder / SCENARIO, first.read_bytes())
    return SweepResult(out, contents)


def unlike_machines(provenances: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each machine whose floating-point sums round otherwise than the first one's."""
    pairs = ((provenances[0], entry) for entry in provenances[1:])
    differences = {", ".join(unlike(one, other)): None for one, other in pairs}
    begin = "the runs are of unlike machines, whose pictures of the same message differ in a few last digits"
    return [f"{begin}: {difference}" for difference in differences if difference]


def status(folder: str | Path) -> dict[str, Any]:
    """Points of a run's plan: total, finished, begun, pending, and failures with their reasons."""
    result = load(folder)
    contents = result.contents
    columns = {name: described["column"] for name, described in contents.metrics.items()}
    rule = by_column(contents.stop, columns)
    done, begun = stored_points(result.store, rule, tuple(columns.values()))
    ids = list(contents.ids())
    failures = {key: record for key, record in result.store.failures().items() if key not in done}
    counts = {
        "points": len(ids),
        "finished": sum(key in done for key in ids),
        "begun": sum(key in begun for key in ids),
        "failed": sum(key in failures for key in ids),
    }
    counts["pending"] = counts["points"] - counts["finished"] - counts["failed"]
    return counts | {"failures": failures}
