"""Two runs, or two systems of one, on the same pictures: paired differences with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from semcom.intervals import Difference, paired_difference

if TYPE_CHECKING:
    import pandas as pd

    from semcom.sweep.result import SweepResult

_IMAGE = "image"


@dataclass(frozen=True)
class Comparison:
    """One metric at one point of the axes.

    Attributes:
        axes: where, by axis.
        metric: which.
        first, second: means over the pictures that both have.
        difference: first minus second, picture by picture.
        images: number of them.
        better: `first` or `second` where the interval excludes zero, else None.
    """

    axes: Mapping[str, Any]
    metric: str
    first: float
    second: float
    difference: Difference
    images: int
    better: str | None

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "axes": dict(self.axes),
            "metric": self.metric,
            "first": self.first,
            "second": self.second,
            "difference": self.difference.mean,
            "half_width": self.difference.half_width,
            "images": self.images,
            "better": self.better,
        }


def compare(
    first: SweepResult, second: SweepResult, systems: tuple[str, str] | None = None
) -> list[Comparison]:
    """Everything that both runs have: the same axes, the same pictures by content, the same metrics.

    Args:
        first, second: runs; may be the same one where `systems` are given.
        systems: of the first and of the second run; the same names in both if left out.

    Raises:
        ValueError: they have nothing in common, or one has an axis that the other lacks.
    """
    tables = [_table(result) for result in (first, second)]
    axes = [axis for axis in first.axes if axis in second.axes]
    if systems is not None:
        for index, (table, system) in enumerate(zip(tables, systems, strict=True)):
            if system not in set(table["system"]):
                raise ValueError(f"no system {system!r}; there are {', '.join(sorted(set(table['system'])))}")
            tables[index] = table[table["system"] == system]
        axes.remove("system")
    for table, result in zip(tables, (first, second), strict=True):
        _check_unique(table, axes, result)
    metrics = [metric for metric in first.metrics if metric in second.metrics]
    both = tables[0].merge(tables[1], on=axes, suffixes=("", " of second"))
    if both.empty or not metrics:
        raise ValueError("the two have no point, picture and metric in common")
    where = [axis for axis in axes if axis != _IMAGE]
    groups = both.groupby(where, sort=False, dropna=False) if where else [((), both)]
    found = []
    for key, part in groups:
        for metric in metrics:
            known = part[[metric, f"{metric} of second"]].dropna()
            if len(known):
                ours, theirs = known.T.to_numpy().tolist()
                place = dict(zip(where, key, strict=True))
                found.append(_comparison(place, metric, ours, theirs, first))
    return found


def _table(result: SweepResult) -> pd.DataFrame:
    """Points with the pictures' content in place of their names."""
    names = {image["name"]: image["sha256"] for image in result.contents.data["images"]}
    table = result.to_pandas()
    return table.assign(**{_IMAGE: table[_IMAGE].map(names)})


def _check_unique(table: pd.DataFrame, axes: Sequence[str], result: SweepResult) -> None:
    if table.duplicated(axes).any():
        extra = [axis for axis in result.axes if axis not in axes and axis != "system"]
        raise ValueError(
            f"{result.store.folder} varies {', '.join(extra)}, which the other does not: run both over it"
        )


def _comparison(
    axes: Mapping[str, Any],
    metric: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    result: SweepResult,
) -> Comparison:
    difference, better = paired_difference(ours, theirs), None
    if difference.excludes_zero:
        better = "first" if (difference.mean > 0) == result.higher_is_better(metric) else "second"
    means = sum(ours) / len(ours), sum(theirs) / len(theirs)
    return Comparison(axes, metric, *means, difference, len(ours), better)
