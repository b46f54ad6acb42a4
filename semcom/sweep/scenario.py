"""Scenario files: images × systems × link × budget × grid, seeds, stop rules; validated before any work."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from semcom.metrics.registry import default_metrics, metric_names
from semcom.sweep import mcs, parts
from semcom.sweep.grid import MOST_POINTS, Grid
from semcom.sweep.imports import callable_at, is_import, search_in
from semcom.sweep.problems import (
    Problem,
    ScenarioError,
    Source,
    from_validation,
    key_paths,
    nearest,
    read_source,
)
from semcom.yaml_files import shown

NAME = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$"
"""Of runs, which are folders: no dot in front, no separators."""
Importable = "registered name, or module:callable where imports are allowed"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SystemSpec(_Model):
    """One system under test. Its label is its key in `systems`."""

    system: str | None = Field(default=None, description=f"{Importable}; the label if left out")
    options: dict[str, Any] = Field(default={}, description="keyword arguments of the system")
    grid: Grid = Field(default={}, description="axes that only this system has")


class BudgetSpec(_Model):
    """What one message may spend: exactly one of the three."""

    bpp: float | None = Field(
        default=None, gt=0, description="bits on the wire per pixel, packet headers included"
    )
    cbr: float | None = Field(
        default=None, gt=0, description="channel uses / (3·H·W), pilots, CRC and parity included"
    )
    channel_uses: int | None = Field(default=None, gt=0, description="complex resource elements")

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if sum(value is not None for value in (self.bpp, self.cbr, self.channel_uses)) != 1:
            raise ValueError("give exactly one of bpp, cbr and channel_uses")
        return self


class StopSpec(_Model):
    """When a point is finished: at `trials`, or earlier by the first of the other rules that holds.

    Rules are checked after every trial, on the trials before it in order, so that batches don't matter. Only
    `seconds` depends on the machine: how many trials a point gets by it is not repeatable.
    """

    trials: int = Field(
        default=1, ge=1, description="at most; a trial is one channel realisation of one message"
    )
    min_trials: int = Field(default=1, ge=1, description="before any other rule is asked")
    packet_errors: int | None = Field(default=None, ge=1, description="lost packets of all classes")
    seconds: float | None = Field(default=None, gt=0, description="computing time of the point")
    seconds_per_task: float = Field(
        default=600.0,
        gt=0,
        description="after which encoding and sending a batch, or decoding and measuring a picture, is ended "
        "and its points fail",
    )
    half_width: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default={}, description="of the 95 % interval, per metric or `bler`; all must be reached"
    )


class Scenario(_Model):
    """A whole sweep. Every field of link, budget and options may become an axis of `grid`."""

    name: str = Field(pattern=NAME)
    description: str = ""
    seed: int = Field(default=0, ge=0)
    images: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="files, folders, glob patterns, or sample:NAME"
    )
    systems: Annotated[dict[str, SystemSpec], Field(min_length=1)]
    link: dict[str, Any] = Field(default={}, description="`kind`, `mcs` and the fields of that link")
    budget: BudgetSpec
    grid: Grid
    stop: StopSpec = StopSpec()
    metrics: tuple[str, ...] = Field(default_factory=default_metrics, description=Importable)
    pictures: int = Field(default=4, ge=0, description="images whose reconstructions are kept for looking at")

    @property
    def link_kind(self) -> str:
        """Kind of link."""
        return str(self.link.get("kind", "digital"))


def load(source: str | Path | Mapping[str, Any] | Scenario, allow_imports: bool = False) -> Scenario:
    """A checked scenario.

    Args:
        source: path of a YAML file, name of a ready-made scenario, the same as a mapping, or a scenario.
        allow_imports: whether `module:callable` may name a system, link, channel model or metric. That runs
            code: the module is looked for where Python looks, then beside the file, then in the working
            directory.

    Raises:
        ScenarioError: with file, line, key and nearest valid key of everything that is wrong.
    """
    if isinstance(source, Scenario):
        document, data = None, source.model_dump(mode="json")
    elif isinstance(source, Mapping):
        document, data = None, dict(source)
    else:
        document = _read(Path(source))
        data = document.data
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        raise ScenarioError(from_validation(error, key_paths(Scenario)), document) from error
    if (points := _num_points(scenario)) > MOST_POINTS:
        message = f"{points} points an image, more than the {MOST_POINTS} that a grid may have"
        raise ScenarioError([Problem(("grid",), message)], document)
    if allow_imports:
        beside = [] if document is None else [str(document.path.resolve().parent)]
        search_in([*beside, str(Path.cwd())])
    problems = list(_check(scenario, allow_imports))
    if problems:
        raise ScenarioError(problems, document)
    return scenario


def ready_made() -> dict[str, Path]:
    """The scenarios that come with the package, by name."""
    package = Path(__file__).resolve().parent.parent
    folders = (package / "scenarios", package.parent / "scenarios")
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def schema() -> dict[str, Any]:
    """JSON schema of scenario files, the digital link's fields included."""
    result = Scenario.model_json_schema()
    link = parts.link_model("digital")
    if link is not None:
        fields = link.model_json_schema()
        result["$defs"] |= fields.pop("$defs", {})
        fields["properties"]["kind"] = {
            "type": "string",
            "default": "digital",
            "examples": parts.link_names(),
        }
        fields["properties"][mcs.KEY] = mcs.SCHEMA
        result["properties"]["link"] = fields
    return result


def _read(path: Path) -> Source:
    known = ready_made()
    if not os.path.lexists(path):
        if str(path) not in known:
            message = f"{shown(str(path))}: no such file; ready-made: {', '.join(known)}"
            raise ScenarioError([Problem((), message, nearest(path.name, known))])
        path = known[str(path)]
    source = read_source(path)
    if "budgets" in source.data and "budget" not in source.data:
        raise ScenarioError([Problem((), f"{path}: this is a benchmark file: semcom bench run {path}")])
    return source


def _num_points(scenario: Scenario) -> int:
    """Of one image, counted without making any."""
    common = math.prod(len(axis) for axis in scenario.grid.values())
    return sum(
        common * math.prod(len(axis) for axis in system.grid.values()) for system in scenario.systems.values()
    )


def _check(scenario: Scenario, allow_imports: bool) -> Iterator[Problem]:
    """What pydantic cannot see: link fields, options, metrics, and that every axis leads to a valid point."""
    for index, metric in enumerate(scenario.metrics):
        yield from _check_name(("metrics", index), "metric", metric, metric_names(), allow_imports)
    for name in scenario.stop.half_width:
        if name not in (*scenario.metrics, "bler"):
            known = (*scenario.metrics, "bler")
            yield Problem(("stop", "half_width", name), f"unknown metric {name!r}", nearest(name, known))
    yield from _check_name(
        ("link", "kind"), "kind of link", scenario.link_kind, parts.link_names(), allow_imports
    )
    if "snr_db" not in scenario.grid:
        yield Problem(("grid",), "the axis 'snr_db' is missing", nearest("snr_db", scenario.grid))
    yield from _check_link(scenario.link, ("link",), allow_imports)
    for label, spec in scenario.systems.items():
        yield from _check_system(scenario, label, spec, allow_imports)


def _add_channel(name: str) -> None:
    parts.import_channel({"channel": {"model": name}})


_CHECKS: dict[str, Callable[[str], object]] = {"metric": parts.metric, "channel model": _add_channel}


def _check_name(
    location: tuple[str | int, ...], what: str, name: str, registered: Sequence[str], allow_imports: bool
) -> Iterator[Problem]:
    """Whether something of that name can be had, by import only where that is allowed."""
    if name in registered:
        return
    if not is_import(name):
        yield Problem(location, f"unknown {what} {name!r}", nearest(name, registered))
    elif not allow_imports:
        yield Problem(
            location,
            f"{name!r} would import and run code: allow it with --allow-imports (allow_imports=True in "
            "Python) if you trust this file",
        )
    else:
        try:
            _CHECKS.get(what, callable_at)(name)
        except ValueError as error:
            yield Problem(location, str(error))


def _check_system(scenario: Scenario, label: str, spec: SystemSpec, allow_imports: bool) -> Iterator[Problem]:
    kind, place = spec.system or label, ("systems", label)
    wrong = list(_check_name(place, "system", kind, parts.system_names(), allow_imports))
    if wrong:
        yield from wrong
        return
    if parts.runs_programs(kind) and not allow_imports:
        yield Problem(
            place,
            f"system {kind!r} runs the programs that its options name: allow it with --allow-imports "
            "(allow_imports=True in Python) if you trust this file",
        )
        return
    model = parts.options_model(kind)
    if model is not None:
        try:
            model.model_validate(spec.options)
        except ValidationError as error:
            yield from from_validation(error, model.model_fields, (*place, "options"))
    for prefix, grid in ((("grid",), scenario.grid), ((*place, "grid"), spec.grid)):
        for name, axis in grid.items():
            for variant, settings in axis.settings(name):
                where = (*prefix, name) if variant is None else (*prefix, name, variant)
                for path, value in settings.items():
                    location = where if variant is None else (*where, path)
                    if path == "link.kind" and isinstance(value, str):
                        yield from _check_name(
                            location, "kind of link", value, parts.link_names(), allow_imports
                        )
                    yield from _check_setting(scenario, model, location, path, value, allow_imports)


def _check_setting(
    scenario: Scenario,
    options: type[BaseModel] | None,
    location: tuple[str | int, ...],
    path: str,
    value: Any,
    allow_imports: bool,
) -> Iterator[Problem]:
    head, _, rest = path.partition(".")
    if path == "snr_db":
        if location[-2:] != ("grid", "snr_db") or len(location) != 2:
            yield Problem(location, "snr_db is an axis of the top-level grid only")
        elif isinstance(value, bool) or not isinstance(value, int | float):
            yield Problem(location, f"must be numbers in dB, not {shown(value)}")
    elif head == "link" and rest:
        link = assign(scenario.link, rest, value)
        for problem in _check_link(link, ("link",), allow_imports, together=False):
            hint = problem.nearest and nearest(path, _axis_paths(scenario, options))
            yield Problem(location, problem.message, hint)
    elif head == "budget" and rest in BudgetSpec.model_fields:
        try:
            BudgetSpec.model_validate({rest: value})
        except ValidationError as error:
            yield from (Problem(location, p.message) for p in from_validation(error, ()))
    elif head == "options" and rest:
        if options is not None and rest not in options.model_fields:
            hint = nearest(rest, options.model_fields)
            yield Problem(location, f"unknown option {rest!r}", hint and f"options.{hint}")
    else:
        yield Problem(location, f"unknown field {path!r}", nearest(path, _axis_paths(scenario, options)))


def _check_link(
    link: Mapping[str, Any], prefix: tuple[str | int, ...], allow_imports: bool, together: bool = True
) -> Iterator[Problem]:
    """Problems of a link; without `together` those that other axes may still cure are left out."""
    model = parts.link_model(str(link.get("kind", "digital")))
    if model is None:
        return
    own = parts.channel_model(link)
    if own is not None:
        wrong = list(_check_name((*prefix, "channel", "model"), "channel model", own, (), allow_imports))
        if wrong:
            yield from wrong
            return
    spec = None
    try:
        spec = model.model_validate({key: link[key] for key in link if key not in ("kind", mcs.KEY)})
    except ValidationError as error:
        kept = [item for item in error.errors() if together or item["type"] != "value_error"]
        if kept:
            problems = from_validation(error, [*key_paths(model), mcs.KEY], prefix)
            yield from (p for p, item in zip(problems, error.errors(), strict=True) if item in kept)
    if link.get(mcs.KEY) is not None:
        try:
            mcs.resolved(link[mcs.KEY], spec if together else None)
        except ValueError as error:
            yield Problem((*prefix, mcs.KEY), str(error).removeprefix("mcs: "))


def assign(tree: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of nested mappings with the field at a dotted path set."""
    head, _, rest = path.partition(".")
    if not rest:
        return {**tree, head: value}
    below = tree.get(head)
    return {**tree, head: assign(below if isinstance(below, Mapping) else {}, rest, value)}


def _axis_paths(scenario: Scenario, options: type[BaseModel] | None) -> list[str]:
    link = parts.link_model(scenario.link_kind)
    return [
        "snr_db",
        *(f"link.{path}" for path in ([*key_paths(link), mcs.KEY] if link else ())),
        *(f"budget.{name}" for name in BudgetSpec.model_fields),
        *(f"options.{name}" for name in (options.model_fields if options else ())),
    ]


def to_yaml(scenario: Scenario) -> str:
    """The scenario as a file that loads as itself."""
    return yaml.safe_dump(scenario.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
