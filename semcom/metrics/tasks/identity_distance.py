"""Distance of faces' descriptors; below 0.6 it is the same person."""

from __future__ import annotations

from semcom.metrics.registry import Metric
from semcom.metrics.tasks.original import Original, mean_of
from semcom.vision import extra

extra("dlib", "the metric identity_distance")

identity_distance = mean_of(Original.identity_distance)
METRIC = Metric(
    "identity_distance",
    identity_distance,
    False,
    "face identity distance",
    digits=3,
    range=(0.0, None),
    sparse=True,
)
