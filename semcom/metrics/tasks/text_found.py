"""Share of the original's lines of text that are read without error."""

from __future__ import annotations

from semcom.metrics.registry import Metric
from semcom.metrics.tasks.original import Original, mean_of
from semcom.vision import extra

extra("onnxruntime", "the metric text_found")

text_found = mean_of(Original.text_found)
METRIC = Metric("text_found", text_found, True, "text read right", digits=2, range=(0.0, 1.0), sparse=True)
