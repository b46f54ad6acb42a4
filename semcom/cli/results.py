"""Results on a terminal: small tables of at most 80 columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semcom.sweep.compare import Comparison
    from semcom.sweep.result import SweepResult

WIDTH = 80
_MOST_ROWS, _LONGEST_CELL = 40, 24
_MINUS_NAN = "–"


def layout(heads: Sequence[str], rows: Sequence[Sequence[str]], optional: int = 0) -> str:
    """Columns side by side, the first to the left, numbers to the right.

    Args:
        heads: of the columns.
        rows: as long as `heads` each.
        optional: so many columns at the end are left out, the last first, where all are wider than 80.
    """
    shown, keep = [[_cut(cell) for cell in row] for row in (heads, *rows[:_MOST_ROWS])], len(heads)
    widths = [max(len(row[i]) for row in shown) for i in range(len(heads))]
    while optional and sum(widths[:keep]) + 2 * (keep - 1) > WIDTH:
        keep, optional = keep - 1, optional - 1
    lines = []
    for row in shown:
        cells = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row[:keep], widths, strict=False))
        ]
        lines.append("  ".join(cells).rstrip()[:WIDTH])
    if len(rows) > _MOST_ROWS:
        lines.append(f"… and {len(rows) - _MOST_ROWS} more rows")
    if keep < len(heads):
        lines += textwrap.wrap(f"not shown: {', '.join(heads[keep:])}", WIDTH)
    return "\n".join(lines)


def plus_minus(value: float, half_width: float | None, digits: int = 3) -> str:
    """`0.331 ± 0.012`; `–` for what was not measured."""
    if value is None or math.isnan(value):
        return _MINUS_NAN
    text = f"{value:.{digits}f}"
    if half_width is None or math.isnan(half_width):
        return text
    return f"{text} ± {half_width:.{digits}f}"


def short(axis: str) -> str:
    """The last part of a dotted axis."""
    return {"snr_db": "SNR/dB", "num_subcarriers": "subcarriers"}.get(
        axis.rsplit(".", 1)[-1], axis.rsplit(".", 1)[-1]
    )


def sweep_table(result: SweepResult) -> str:
    """System, axes, MCS, packet error rate and metrics of every row of a run's summary."""
    summary = result.summary()
    axes = [axis for axis in result.axes if axis != "image"]
    mcs = mcs_by_point(result, axes)
    has_mcs, has_bler = any(mcs.values()), "bler" in summary
    metrics = result.contents.metrics
    heads = [
        *map(short, axes),
        *(["MCS"] if has_mcs else []),
        *(["BLER"] if has_bler else []),
        *result.metrics,
    ]
    rows = []
    for row in summary.to_dict("records"):
        where = [_text(row[axis]) for axis in axes]
        cells = [*where]
        if has_mcs:
            cells.append(mcs.get(tuple(where), ""))
        if has_bler:
            cells.append(plus_minus(row["bler"], None))
        for name in result.metrics:
            cells.append(plus_minus(row[name], row[f"{name}_half_width"], metrics[name].get("digits", 3)))
        rows.append(cells)
    text = layout(heads, rows, optional=len(result.metrics) - 1 if result.metrics else 0)
    images = int(summary["images"].min()) if len(summary) else 0
    if 1 < images < 5:
        text += f"\n{images} images: the intervals of means (±) say little"
    return text


def mcs_by_point(result: SweepResult, axes: Sequence[str]) -> dict[tuple[str, ...], str]:
    """MCSs of the classes as `1/4/9`, the most protected first, by the values of the axes.

    One index where all classes have the same.
    """
    from semcom.message import Protection
    from semcom.sweep.result import flat_fields

    found = {}
    for scene in result.contents.data["scenes"]:
        classes = scene["what"]["link"].get("classes")
        if not classes:
            continue
        order = [name.value for name in Protection if name.value in classes]
        ordered = [*order, *(name for name in classes if name not in order)]
        indices = [str(classes[name]["mcs"]) for name in ordered]
        text = indices[0] if len(set(indices)) == 1 else "/".join(indices)
        for snr_db in scene["snrs_db"]:
            fields = flat_fields(scene["what"] | {"snr_db": snr_db, "seed": scene["seed"]})
            fields |= {"system": scene["system"]} | scene["labels"]
            found[tuple(_text(fields.get(axis, math.nan)) for axis in axes)] = text
    return found


def bench_table(data: Mapping[str, Any]) -> str:
    """Of a benchmark's document: the rows that are the best of their system in some metric."""
    metrics = list(data["metrics"])
    heads = ["system", "SNR/dB", data["budget_unit"], "MCS", "BLER", *metrics]
    rows = []
    for row in data["results"]:
        if not row["best_for"] and row["mcs_choice"] == "envelope":
            continue
        indices = [str(index) for index in row["mcs"].values()]
        rows.append(
            [
                row["system"],
                _text(row["snr_db"]),
                _text(row["budget"]),
                indices[0] if len(set(indices)) == 1 else "/".join(indices),
                plus_minus(_number(row["bler"]), None),
                *(plus_minus(_number(row.get(name)), row.get(f"{name}_half_width")) for name in metrics),
            ]
        )
    return layout(heads, rows, optional=len(metrics) - 1)


def comparison_table(comparisons: Sequence[Comparison], names: tuple[str, str]) -> str:
    """A row a point and metric; the star marks a difference that is more than chance."""
    axes = list(comparisons[0].axes)
    heads = [*map(short, axes), "metric", *names, "difference", "images", ""]
    rows = [
        [
            *(_text(item.axes[axis]) for axis in axes),
            item.metric,
            f"{item.first:.4g}",
            f"{item.second:.4g}",
            plus_minus(item.difference.mean, item.difference.half_width),
            str(item.images),
            "*" if item.better else "",
        ]
        for item in comparisons
    ]
    return layout(heads, rows)


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return _MINUS_NAN
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _cut(text: str) -> str:
    from semcom.errors import printable

    clean = printable(text)
    return clean if len(clean) <= _LONGEST_CELL else clean[: _LONGEST_CELL - 1] + "…"
