"""Character error rate of the original's lines of text."""

from __future__ import annotations

from semcom.metrics.registry import Metric
from semcom.metrics.tasks.original import Original, mean_of
from semcom.vision import extra

extra("onnxruntime", "the metric text_error")

text_error = mean_of(Original.text_error)
METRIC = Metric(
    "text_error", text_error, False, "character error rate", digits=2, range=(0.0, 1.0), sparse=True
)
