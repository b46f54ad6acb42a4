"""A metric of one's own: the mean difference of neighbouring pixels, in percent of the original's."""

from semcom.metrics.registry import Metric


def _gradient(pictures):
    return pictures.diff(dim=-1).abs().mean((1, 2, 3)) + pictures.diff(dim=-2).abs().mean((1, 2, 3))


def sharpness(preds, target):
    """[B] float of two batches [B,3,H,W] float in [0,1]."""
    return 100 * _gradient(preds) / _gradient(target).clamp(min=1e-6)


METRIC = Metric("my_sharpness", sharpness, higher_is_better=True, label="sharpness (%)", digits=1)
