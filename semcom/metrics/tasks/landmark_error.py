"""How far the corners of eyes and the nose are from where they were, in distances between the eyes."""

from __future__ import annotations

from semcom.metrics.registry import Metric
from semcom.metrics.tasks.original import Original, mean_of
from semcom.vision import extra

extra("dlib", "the metric landmark_error")

landmark_error = mean_of(Original.landmark_error)
METRIC = Metric(
    "landmark_error", landmark_error, False, "landmark error", digits=3, range=(0.0, None), sparse=True
)
