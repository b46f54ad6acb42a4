"""The one JSON document of a benchmark: provenance, what was compared, and a row per operating point and SNR.

Like CompressAI's result files it has `name`, `description` and `results`; a row has plain field names
(`system`, `snr_db`, `cbr`, `bpp`, `bler`, `psnr`, …), and `columns` turns rows into CompressAI's lists.
Intervals are 95 %: `METRIC_half_width` over images, `bler_low` and `bler_high`. All systems meet the same
fades, so that `differences` are paired: for each metric that a row is the best of its system in, what it has
more than every other system's best at the same budget and SNR, picture by picture, and half of the interval
of the mean. A point that some image could not be simulated at stands in `missing` with the reason, never as
a number.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from semcom.bench.operating_points import AXIS, OperatingPoint
from semcom.bench.spec import BenchSpec
from semcom.intervals import paired_difference
from semcom.provenance import provenance
from semcom.sweep.result import SweepResult

if TYPE_CHECKING:
    import pandas as pd


class PairedDifference(BaseModel):
    """Mean over the pictures of a difference between two systems over the same fades."""

    mean: float
    half_width: float | None = Field(description="of the 95 % interval; null for one picture")


class Row(BaseModel):
    """One system at one operating point and SNR, over all images. Metrics are fields by their name."""

    model_config = ConfigDict(extra="allow")

    system: str
    budget: float = Field(description="what a picture might spend, in `budget_unit`")
    mcs: dict[str, int] = Field(description="per protection class; empty: what the link says, or none")
    mcs_choice: str = Field(
        description="`envelope`, `auto` (chosen for each picture), `fixed`, or `none` for analog systems"
    )
    best_for: list[str] = Field(description="metrics in which no other MCS tried was better here")
    differences: dict[str, dict[str, PairedDifference]] = Field(
        default={}, description="metric and other system to this row's value minus that of the other's best"
    )
    snr_db: float | None = Field(description="null without a channel")
    images: int
    trials: int = Field(description="over all images")
    bpp: float = Field(description="bits on the wire per pixel, packet headers included")
    cbr: float | None = Field(description="channel uses / (3·H·W) spent; null without a channel")
    bler: float | None = Field(default=None, description="packets lost / sent")


class Missing(BaseModel):
    """A system that has no complete result at a budget and SNR."""

    system: str
    budget: float
    snr_db: float | None
    reason: str


class Document(BaseModel):
    """The whole file."""

    name: str
    description: str
    command: str
    commit: str | None
    versions: dict[str, str]
    cores: int | None
    wall_seconds: float = Field(description="of all calls that it took")
    seconds: dict[str, float] = Field(description="computing time per stage, over all workers")
    images: list[str]
    budget_unit: str
    metrics: dict[str, str] = Field(description="name to `higher` or `lower`, which is better")
    link: dict[str, Any] | None
    trials: int
    results: list[Row]
    missing: list[Missing]


def document(
    spec: BenchSpec,
    points: Sequence[OperatingPoint],
    result: SweepResult,
    images: Sequence[str],
    command: str,
    wall_seconds: float,
) -> dict[str, Any]:
    """The document of a run as plain data."""
    rows = _rows(spec, points, result, len(images))
    return Document(
        name=spec.name,
        description=spec.description,
        command=command,
        wall_seconds=wall_seconds,
        seconds=result.seconds(),
        images=list(images),
        budget_unit=spec.budgets.unit,
        metrics={name: "higher" if result.higher_is_better(name) else "lower" for name in spec.metrics},
        link=spec.link,
        trials=spec.trials,
        results=[Row(**row) for row in rows],
        missing=_missing(spec, points, rows, result),
        **provenance(),
    ).model_dump(mode="json")


def read(path: Path) -> dict[str, Any]:
    """The document in a file.

    Raises:
        ValueError: it is none, or cannot be read.
    """
    try:
        data: dict[str, Any] = json.loads(path.read_bytes())
        Document.model_validate(data)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        raise ValueError(f"{path}: is no document of a benchmark ({reason})") from error
    return data


def best_rows(data: Mapping[str, Any], metric: str) -> list[dict[str, Any]]:
    """One row per system, budget and SNR: the envelope in that metric."""
    return [row for row in data["results"] if metric in row["best_for"]]


def columns(data: Mapping[str, Any], system: str, metric: str, **where: float) -> dict[str, list[Any]]:
    """Rows of a system's envelope as lists by field, as CompressAI's `results` have them.

    Args:
        data: a document.
        system: label.
        metric: that decides the envelope.
        where: values of `budget` or `snr_db`.
    """
    rows = [
        row
        for row in best_rows(data, metric)
        if row["system"] == system and all(row[key] == value for key, value in where.items())
    ]
    rows.sort(key=lambda row: (row["budget"], row["snr_db"] or 0.0))
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _rows(
    spec: BenchSpec, points: Sequence[OperatingPoint], result: SweepResult, num_images: int
) -> list[dict[str, Any]]:
    by_name = {(point.system, point.name): point for point in points}
    rows = []
    for raw in result.summary().to_dict("records") if len(result.to_pandas()) else []:
        point = by_name.get((raw["system"], raw.pop(AXIS)))
        if point is None or raw["images"] < num_images or raw["trials"] < num_images * spec.trials:
            continue
        values = {name: value for name, value in raw.items() if not _is_nan(value)}
        choice = spec.systems[raw["system"]].mcs if spec.link is not None else "fixed"
        head = {"system": raw["system"], "budget": point.budget, "mcs": dict(point.mcs), "mcs_choice": choice}
        row = {**head, "best_for": [], "differences": {}, **values}
        if spec.link is None:
            row |= {"snr_db": None, "cbr": None}
        rows.append(row)
    labels = list(spec.systems)
    rows.sort(
        key=lambda row: (labels.index(row["system"]), row["budget"], row["snr_db"] or 0.0, str(row["mcs"]))
    )
    _mark_best(rows, spec.metrics, result)
    _compare(rows, spec.metrics, result)
    return rows


def _mark_best(rows: list[dict[str, Any]], metrics: Sequence[str], result: SweepResult) -> None:
    groups = defaultdict(list)
    for row in rows:
        groups[row["system"], row["budget"], row["snr_db"]].append(row)
    for group in groups.values():
        for metric in metrics:
            measured = [row for row in group if metric in row]
            if measured:
                pick = max if result.higher_is_better(metric) else min
                pick(measured, key=itemgetter(metric))["best_for"].append(metric)


def _compare(rows: list[dict[str, Any]], metrics: Sequence[str], result: SweepResult) -> None:
    """Writes `differences` into the best rows of every place."""
    if not rows:
        return
    by_image = result.to_pandas().set_index(["system", AXIS, "snr_db"]).sort_index()
    for metric in metrics:
        places = defaultdict(list)
        for row in rows:
            if metric in row["best_for"]:
                places[row["budget"], row["snr_db"]].append(row)
        for place in places.values():
            values = {row["system"]: _values(by_image, row, metric) for row in place}
            for row in place:
                ours = values[row["system"]]
                row["differences"][metric] = {
                    other: asdict(paired_difference([ours[i] for i in ours], [theirs[i] for i in ours]))
                    for other, theirs in values.items()
                    if other != row["system"] and theirs.keys() == ours.keys()
                }


def _values(by_image: pd.DataFrame, row: Mapping[str, Any], metric: str) -> dict[str, float]:
    """A metric by image."""
    name = OperatingPoint(row["system"], row["budget"], row["mcs"], ()).name
    part = by_image.loc[[(row["system"], name, row["snr_db"] or 0.0)]]
    return dict(zip(part["image"], part[metric], strict=True))


def _missing(
    spec: BenchSpec,
    points: Sequence[OperatingPoint],
    rows: Sequence[Mapping[str, Any]],
    result: SweepResult,
) -> list[Missing]:
    planned = {(point.system, point.budget, snr_db) for point in points for snr_db in point.snrs_db}
    reasons: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for record in result.failures().values():
        point = record["point"]
        budget = next(iter(point["budget"].values()))
        reasons[point["system"], budget, point["snr_db"]].append(record["reason"])
    complete = {(row["system"], row["budget"], row["snr_db"]) for row in rows}
    missing = []
    for label in spec.systems:
        for budget in spec.budgets.values:
            for snr_db in spec.snrs_db:
                shown = None if spec.link is None else snr_db
                if (label, budget, shown) in complete:
                    continue
                place = (label, budget, snr_db)
                idle = "not simulated yet" if place in planned else "no MCS leaves enough bytes for a message"
                why = reasons.get(place, [idle])
                reason = why[0] if len(why) == 1 else f"{len(why)} pictures, for example: {why[0]}"
                missing.append(Missing(system=label, budget=budget, snr_db=shown, reason=reason))
    return missing


def _is_nan(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
