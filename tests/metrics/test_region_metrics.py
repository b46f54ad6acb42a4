"""Region metrics: a whole region is the metric itself, and only errors inside count."""

import pytest
import torch

from semcom.metrics.lpips import lpips
from semcom.metrics.psnr import psnr
from semcom.metrics.regions import region_lpips, region_psnr, region_ssim, weights
from semcom.metrics.ssim import ssim
from semcom.pretrained import PretrainedError, load


@pytest.fixture(scope="module")
def pair():
    generator = torch.Generator().manual_seed(3)
    target = torch.rand(2, 3, 70, 90, generator=generator)
    return (target + 0.1 * torch.randn(target.shape, generator=generator)).clamp(0, 1), target


def everywhere(target):
    return torch.ones(len(target), *target.shape[2:], dtype=torch.bool)


@pytest.mark.parametrize(("region", "plain"), [(region_psnr, psnr), (region_ssim, ssim)])
def test_whole_picture_is_the_plain_metric(pair, region, plain):
    torch.testing.assert_close(region(*pair, everywhere(pair[1])), plain(*pair), rtol=1e-5, atol=1e-6)


def test_whole_picture_is_plain_lpips(pair):
    try:
        load("alexnet-lpips")
    except PretrainedError as error:
        pytest.skip(str(error))
    torch.testing.assert_close(region_lpips(*pair, everywhere(pair[1])), lpips(*pair), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("region", "best"), [(region_psnr, torch.inf), (region_ssim, 1.0)])
def test_errors_outside_do_not_count(pair, region, best):
    preds, target = pair[0].clone(), pair[1]
    mask = torch.zeros(2, 5, 6, dtype=torch.bool)
    mask[:, 2:, 2:] = True
    preds[:, :, 16:, 16:] = target[:, :, 16:, 16:]  # windows of SSIM reach 5 pixels out of the region
    assert (region(preds, target, mask) == pytest.approx(best, abs=1e-5)) if best == 1.0 else True
    assert region(preds, target, mask).min() >= best - 1e-5
    assert (region(preds, target, ~mask) < best - 1e-3).all()


def test_psnr_by_hand():
    target = torch.zeros(1, 3, 32, 32)
    preds = target.clone()
    preds[..., :16] = 0.5
    mask = torch.tensor([[[True, False], [True, False]]])
    expected = -10 * torch.log10(torch.tensor(0.25))
    assert region_psnr(preds, target, mask, eight_bit=False).item() == pytest.approx(expected.item())
    half = torch.ones(1, 2, 2, dtype=torch.bool)
    assert region_psnr(preds, target, half, eight_bit=False).item() == pytest.approx(expected.item() + 3.0103)


def test_empty_region_has_no_value(pair):
    assert region_psnr(*pair, torch.zeros(2, 5, 6, dtype=torch.bool)).isnan().all()


def test_grid_covers_sixteen_pixels_a_cell():
    mask = torch.zeros(1, 3, 3, dtype=torch.bool)
    mask[0, 1, 2] = True
    spread = weights(mask, torch.zeros(1, 3, 40, 45))
    assert spread.shape == (1, 1, 40, 45)
    assert spread.sum() == 16 * 13
    assert spread[0, 0, 16:32, 32:].all()


def test_mask_of_another_shape_is_refused(pair):
    with pytest.raises(ValueError, match=r"\[B,5,6\]"):
        region_psnr(*pair, torch.ones(2, 6, 5))
