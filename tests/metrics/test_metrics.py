"""Metrics against other libraries, the recorded values of the official code, and their own properties."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import pytorch_msssim
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from semcom.metrics.dists import dists
from semcom.metrics.lpips import lpips
from semcom.metrics.ms_ssim import MS_SSIM_MIN_SIDE, ms_ssim
from semcom.metrics.psnr import psnr
from semcom.metrics.ssim import ssim
from semcom.pretrained import PARTS, PretrainedError, load

DATA = Path(os.environ.get("SEMCOM_DATA", Path(__file__).parents[3] / "shared" / "data"))


def picture(height=180, width=200, seed=0):
    """Smooth colour structure [1,3,H,W] with some texture."""
    coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return noisy(smooth, 0.03, seed + 1)


def noisy(x, sigma, seed=7):
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    return (x + sigma * noise).clamp(0, 1)


def perceptual(metric, *parts):
    """The metric, or a skip where its weights can neither be found nor fetched."""

    def run(*args):
        try:
            for part in parts:
                load(part)
        except PretrainedError as error:
            pytest.skip(str(error))
        return metric(*args)

    return run


lpips_alex = perceptual(lpips, "alexnet-lpips")
lpips_vgg = perceptual(lambda x, y: lpips(x, y, "vgg"), "vgg16-lpips")
dists_vgg = perceptual(dists, "vgg16-lpips", "dists")
ALL = {"psnr": psnr, "ssim": ssim, "ms_ssim": ms_ssim, "lpips": lpips_alex, "dists": dists_vgg}
DISTANCES = ("lpips", "dists")
SIDE = {"lpips": 64, "dists": 64}  # deep networks are slow; MS-SSIM needs 161


def small_picture(name, seed=0):
    return picture(SIDE.get(name, 161), SIDE.get(name, 161), seed)


def in_8_bit(x):
    return (x[0] * 255).round().byte().permute(1, 2, 0).numpy()


@pytest.mark.parametrize("sigma", [0.01, 0.1, 0.5])
def test_psnr_agrees_with_scikit_image(sigma):
    x = picture()
    y = noisy(x, sigma)
    expected = peak_signal_noise_ratio(in_8_bit(x), in_8_bit(y))
    assert psnr(y, x).item() == pytest.approx(expected, abs=1e-4)
    expected = peak_signal_noise_ratio(x.numpy(), y.numpy(), data_range=1)
    assert psnr(y, x, eight_bit=False).item() == pytest.approx(expected, abs=1e-4)


def test_psnr_of_a_known_error():
    assert psnr(torch.full((1, 3, 8, 8), 1 / 255), torch.zeros(1, 3, 8, 8)).item() == pytest.approx(
        48.1308, abs=1e-4
    )


@pytest.mark.parametrize("sigma", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("size", [(180, 200), (65, 64)])
def test_ssim_agrees_with_both_libraries(sigma, size):
    x = picture(*size)
    y = noisy(x, sigma)
    result = ssim(y, x).item()
    assert result == pytest.approx(pytorch_msssim.ssim(y, x, data_range=1).item(), abs=1e-4)
    a, b = (z[0].permute(1, 2, 0).double().numpy() for z in (y, x))
    _, full = structural_similarity(
        a,
        b,
        data_range=1,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    assert result == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-4)


@pytest.mark.parametrize("sigma", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("size", [(180, 200), (161, 163)])
def test_ms_ssim_agrees_with_pytorch_msssim(sigma, size):
    x = picture(*size)
    y = noisy(x, sigma)
    expected = pytorch_msssim.ms_ssim(y, x, data_range=1).item()
    assert ms_ssim(y, x).item() == pytest.approx(expected, abs=1e-4)


def test_ms_ssim_refuses_small_pictures():
    with pytest.raises(ValueError, match=str(MS_SSIM_MIN_SIDE)):
        ms_ssim(picture(160, 200), picture(160, 200))


@pytest.mark.parametrize("name", ALL)
def test_identity(name):
    x = small_picture(name)
    expected = {"psnr": torch.inf, "lpips": 0, "dists": 0}.get(name, 1)
    assert ALL[name](x, x).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_symmetry(name):
    x = small_picture(name)
    y = noisy(x, 0.1)
    assert ALL[name](x, y).item() == pytest.approx(ALL[name](y, x).item(), rel=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_more_noise_is_worse(name):
    x = small_picture(name)
    values = [ALL[name](noisy(x, sigma), x).item() for sigma in (0.02, 0.1, 0.4)]
    assert values == sorted(values, reverse=name not in DISTANCES)


@pytest.mark.parametrize("name", ALL)
def test_pictures_of_a_batch_do_not_mix(name):
    x, other = small_picture(name), small_picture(name, seed=5)
    y, worse = noisy(x, 0.05), noisy(other, 0.3)
    together = ALL[name](torch.cat((y, worse)), torch.cat((x, other)))
    apart = torch.cat((ALL[name](y, x), ALL[name](worse, other)))
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", PARTS)
def test_pretrained_archives_are_pinned(name):
    assert "==" in PARTS[name].requirement
    assert len(bytes.fromhex(PARTS[name].archive_sha256)) == 32


def _distort(x, name):
    """The four distortions of metrics_reference.json on [H,W,3] float32."""
    if name == "quantise8":
        return np.round(x * 7) / 7
    if name == "block4":
        h, w = x.shape[0] // 4, x.shape[1] // 4
        return x.reshape(h, 4, w, 4, 3).mean((1, 3)).repeat(4, 0).repeat(4, 1)
    if name == "shift3":
        return np.roll(x, 3, 1)
    return np.clip(x + 0.1 * np.random.default_rng(0).standard_normal(x.shape, np.float32), 0, 1)


def reference(name, distortion):
    """Recorded values, distorted and original picture [1,3,H,W]."""
    if not (DATA / "metrics_reference.json").exists():
        pytest.skip(f"no reference data in {DATA} (set SEMCOM_DATA)")
    values = json.loads((DATA / "metrics_reference.json").read_text())["values"][name][distortion]
    x = np.asarray(Image.open(DATA / "kodak" / name), np.float32) / 255
    preds, target = (
        torch.from_numpy(np.array(z)).permute(2, 0, 1)[None] for z in (_distort(x, distortion), x)
    )
    return values, preds, target


def test_values_of_the_official_code():
    values, preds, target = reference("kodim21.png", "shift3")
    assert psnr(preds, target, eight_bit=False).item() == pytest.approx(values["psnr"], abs=1e-3)
    assert lpips_alex(preds, target).item() == pytest.approx(values["lpips_alex"], abs=1e-3)
    assert dists_vgg(preds, target).item() == pytest.approx(values["dists"], abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("distortion", ["quantise8", "block4", "shift3", "noise"])
@pytest.mark.parametrize("name", ["kodim05.png", "kodim21.png"])
def test_all_values_of_the_official_code(name, distortion):
    values, preds, target = reference(name, distortion)
    assert psnr(preds, target, eight_bit=False).item() == pytest.approx(values["psnr"], abs=1e-3)
    assert lpips_alex(preds, target).item() == pytest.approx(values["lpips_alex"], abs=1e-3)
    assert lpips_vgg(preds, target).item() == pytest.approx(values["lpips_vgg"], abs=1e-3)
    assert dists_vgg(preds, target).item() == pytest.approx(values["dists"], abs=1e-3)
