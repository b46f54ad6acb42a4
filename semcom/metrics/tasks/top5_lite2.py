"""Whether EfficientNet-Lite2 sees the original's class among the first five."""

from __future__ import annotations

from semcom.metrics.registry import Metric
from semcom.metrics.tasks.original import Original, mean_of
from semcom.vision import extra

extra("timm", "the metric top5_lite2")

top5_lite2 = mean_of(Original.top5)
METRIC = Metric("top5_lite2", top5_lite2, True, "top-5 agreement (Lite2)", digits=2, range=(0.0, 1.0))
