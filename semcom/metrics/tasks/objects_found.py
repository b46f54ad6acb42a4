"""Share of the original's objects that SSD-MobileNet-v2 finds again."""

from __future__ import annotations

from semcom.metrics.registry import Metric
from semcom.metrics.tasks.original import Original, mean_of

objects_found = mean_of(Original.objects_found)
METRIC = Metric(
    "objects_found", objects_found, True, "objects found again", digits=2, range=(0.0, 1.0), sparse=True
)
