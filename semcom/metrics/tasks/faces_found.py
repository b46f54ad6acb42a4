"""Share of the original's faces that MTCNN finds again."""

from __future__ import annotations

from semcom.metrics.registry import Metric
from semcom.metrics.tasks.original import Original, mean_of

faces_found = mean_of(Original.faces_found)
METRIC = Metric(
    "faces_found", faces_found, True, "faces found again", digits=2, range=(0.0, 1.0), sparse=True
)
