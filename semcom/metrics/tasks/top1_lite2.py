"""Whether EfficientNet-Lite2 sees the original's class first."""

from __future__ import annotations

from semcom.metrics.registry import Metric
from semcom.metrics.tasks.original import Original, mean_of
from semcom.vision import extra

extra("timm", "the metric top1_lite2")

top1_lite2 = mean_of(Original.top1)
METRIC = Metric("top1_lite2", top1_lite2, True, "top-1 agreement (Lite2)", digits=2, range=(0.0, 1.0))
