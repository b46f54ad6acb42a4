"""Metric classes: pieces add up to the whole, regions count what they should, results equal the functions."""

import subprocess
import sys

import pytest
import torch

from semcom import metrics
from semcom.metrics.classes import MeanOverPictures
from semcom.metrics.psnr import psnr
from semcom.metrics.ssim import ssim


def pictures(count=5, seed=0, side=64):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 8, 8, generator=generator)
    target = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1)
    levels = torch.linspace(0.02, 0.2, count).view(-1, 1, 1, 1)
    return (target + levels * torch.randn(target.shape, generator=generator)).clamp(0, 1), target


def in_pieces(metric, batches):
    for batch in batches:
        metric.update(*batch)
    return metric.compute()


@pytest.mark.parametrize("name", ["PSNR", "SSIM", "VSI"])
def test_pieces_equal_the_whole_batch(name):
    preds, target = pictures()
    whole = in_pieces(getattr(metrics, name)(), [(preds, target)])
    pieces = [(preds[a:b], target[a:b]) for a, b in ((0, 1), (1, 4), (4, 5))]
    assert in_pieces(getattr(metrics, name)(), pieces).item() == pytest.approx(whole.item(), rel=1e-6)


def test_ms_ssim_in_pieces():
    preds, target = pictures(3, side=161)
    whole = in_pieces(metrics.MSSSIM(), [(preds, target)])
    pieces = in_pieces(metrics.MSSSIM(), [(preds[:1], target[:1]), (preds[1:], target[1:])])
    assert pieces.item() == pytest.approx(whole.item(), rel=1e-6)


def test_mean_of_pictures_not_of_batches():
    preds, target = pictures()
    metric = metrics.PSNR()
    value = in_pieces(metric, [(preds[:4], target[:4]), (preds[4:], target[4:])])
    assert value.item() == pytest.approx(psnr(preds, target).double().mean().item(), rel=1e-9)


def test_states_of_two_workers_merge():
    preds, target = pictures()
    one, other = metrics.SSIM(), metrics.SSIM()
    one.update(preds[:2], target[:2])
    other.update(preds[2:], target[2:])
    one.merge_state(other)
    assert one.compute().item() == pytest.approx(ssim(preds, target).double().mean().item(), rel=1e-9)


def test_reset_forgets():
    preds, target = pictures()
    metric = metrics.SSIM()
    metric.update(preds, 1 - target)
    metric.reset()
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert metric.compute().isnan()
    metric.update(target, target)
    assert metric.compute().item() == pytest.approx(1)


def test_pictures_without_a_value_do_not_count():
    metric = MeanOverPictures(lambda x: x)
    metric.update(torch.tensor([1.0, torch.nan, 3.0]))
    assert metric.compute().item() == 2


@pytest.mark.parametrize("name", ["LPIPS", "DISTS", "TopKAgreement", "RegionLPIPS"])
def test_network_metrics_in_pieces(name):
    from semcom.pretrained import PretrainedError

    preds, target = pictures(2)
    mask = torch.ones(2, 4, 4, dtype=torch.bool)
    batch = (preds, target, mask) if name.startswith("Region") else (preds, target)
    try:
        whole = in_pieces(getattr(metrics, name)(), [batch])
    except PretrainedError as error:
        pytest.skip(str(error))
    pieces = [tuple(part[i : i + 1] for part in batch) for i in range(2)]
    assert in_pieces(getattr(metrics, name)(), pieces).item() == pytest.approx(whole.item(), rel=1e-4)


def test_unknown_class():
    with pytest.raises(AttributeError, match="SNRP"):
        metrics.SNRP  # noqa: B018


def test_functions_do_not_import_torchmetrics():
    code = "import sys, semcom.metrics, semcom.metrics.psnr, semcom.metrics.ssim, semcom.metrics.lpips;"
    code += "sys.exit('torchmetrics' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
