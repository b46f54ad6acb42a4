"""Metrics by name: what compares a reconstruction with its original, and how its numbers are to be read.

A file of this package, or of `tasks` in it, that has a line `METRIC = Metric(…)` is a metric, and the file's
name is the metric's. A package of one's own adds metrics by entry points of the group `semcom.metrics`:

    [project.entry-points."semcom.metrics"]
    sharpness = "my_package.sharpness:METRIC"

Names are known without importing anything; a metric is imported with its first use.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semcom.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

_HERE = Path(__file__).parent
_MARK = re.compile(r"^METRIC\b.*=", re.MULTILINE)


@dataclass(frozen=True)
class Metric:
    """A metric of one picture against its original. Calling it calls its function.

    Attributes:
        name: in tables, and of its column.
        function: of two batches [B,3,H,W] float in [0,1], reconstruction and original, to [B].
        higher_is_better: which way it points.
        label: of axes and table heads.
        digits: after the point, in tables.
        range: of possible values, None where it has no end; plots draw no band beyond it.
        default: measured where a scenario names no metrics.
        sparse: NaN where a picture has nothing to measure; such pictures do not count.
        of_equals: value that stands for infinity, which a sum can't hold; None where there is none.
    """

    name: str
    function: Callable[[Tensor, Tensor], Tensor]
    higher_is_better: bool
    label: str
    digits: int = 3
    range: tuple[float | None, float | None] = (None, None)
    default: bool = False
    of_equals: float | None = None
    sparse: bool = False

    def __call__(self, preds: Tensor, target: Tensor) -> Tensor:
        """The metric of two batches [B,3,H,W] float in [0,1], [B]."""
        return self.function(preds, target)

    def describe(self) -> dict[str, Any]:
        """How its numbers are read, as plain data."""
        return {
            "higher_is_better": self.higher_is_better,
            "label": self.label,
            "digits": self.digits,
            "range": list(self.range),
            **({"sparse": True} if self.sparse else {}),
        }


def metric_names() -> list[str]:
    """Every registered metric."""
    return METRICS.names()


def default_metrics() -> tuple[str, ...]:
    """Names of the metrics that are measured where nobody asks for others."""
    return tuple(name for name in _own(_HERE) if find(name).default)  # none of `tasks`, which needs an extra


@cache
def find(name: str) -> Metric:
    """A registered metric.

    Raises:
        ValueError: no such metric, or its entry point is no `Metric`.
    """
    return checked(METRICS.load(name), f"metric {name}")


def checked(found: Any, where: str) -> Metric:
    """What was found under a name, if it is a metric.

    Raises:
        ValueError: it is something else, such as a function that does not say which way it points.
    """
    if isinstance(found, Metric):
        return found
    raise ValueError(
        f"{where} is no Metric: wrap the function in semcom.metrics.registry.Metric(name, function, "
        "higher_is_better=…, label=…), so that tables know which way it points"
    )


@cache
def _own(folder: Path) -> tuple[str, ...]:
    files = sorted(folder.glob("*.py"))
    return tuple(f.stem for f in files if f.stem != "registry" and _MARK.search(f.read_text("utf-8")))


def _places() -> dict[str, str]:
    own = {name: f"{__package__}.{name}:METRIC" for name in _own(_HERE)}
    return own | {name: f"{__package__}.tasks.{name}:METRIC" for name in _own(_HERE / "tasks")}


METRICS = Registry("metric", "semcom.metrics", _places)
