"""Share of the original's faces that are still the same person."""

from __future__ import annotations

from semcom.metrics.registry import Metric
from semcom.metrics.tasks.original import Original, mean_of
from semcom.vision import extra

extra("dlib", "the metric same_person")

same_person = mean_of(Original.same_person)
METRIC = Metric("same_person", same_person, True, "same person", digits=2, range=(0.0, 1.0), sparse=True)
