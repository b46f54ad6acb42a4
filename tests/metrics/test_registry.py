"""Metrics by name: derived from the files, each with a direction that torchmetrics' classes agree with."""

from __future__ import annotations

import pickle

import pytest
import torch

from semcom import metrics
from semcom.metrics import registry
from semcom.sweep import parts
from semcom.sweep.plots import label_of

CLASSES = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "ms_ssim": "MSSSIM",
    "lpips": "LPIPS",
    "dists": "DISTS",
    "vsi": "VSI",
    "topk_agreement": "TopKAgreement",
}


def test_every_metric_is_there_under_its_name():
    tasks = [name for name, place in registry.METRICS.places().items() if ".tasks." in place]
    assert sorted(set(registry.metric_names()) - set(tasks)) == sorted(CLASSES) and len(tasks) == 9
    assert set(registry.default_metrics()) == {"psnr", "ssim", "ms_ssim", "lpips", "dists"}
    for name in CLASSES:
        assert registry.find(name).name == name


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_direction_and_range_hold(name):
    """An equal picture is best, a grey one worse, both inside the range; the classes point the same way."""
    metric = registry.find(name)
    generator = torch.Generator().manual_seed(1)
    picture = torch.rand(1, 3, 176, 176, generator=generator)
    same, grey = metric(picture, picture).item(), metric(torch.full_like(picture, 0.5), picture).item()
    if name != "topk_agreement":  # a classifier may see the same in noise and in grey
        assert (same > grey) == metric.higher_is_better
    low, high = metric.range
    for value in (same, grey):
        assert (low is None or value >= low - 1e-6) and (high is None or value <= high + 1e-6)
    pytest.importorskip("torchmetrics")
    assert getattr(metrics, CLASSES[name]).higher_is_better == metric.higher_is_better


def test_labels_say_which_way_they_point():
    described = {"lpips": registry.find("lpips").describe()}
    assert label_of("lpips", described) == "LPIPS (Alex), lower is better"


def test_unknown_metric_names_the_nearest():
    with pytest.raises(ValueError, match=r"'psrn'.*'psnr'"):
        parts.metric("psrn")


@pytest.mark.parametrize("name", ["PSNR", "LPIPS", "TopKAgreement", "RegionPSNR", "RegionLPIPS"])
def test_classes_pickle(name):
    pytest.importorskip("torchmetrics")
    made = pickle.loads(pickle.dumps(getattr(metrics, name)()))
    assert made.higher_is_better is not None
