"""Stage `deepjscc`: reproducible samples, a start that is a projection, fading of the right distribution."""

import numpy as np
import pytest
import torch
from PIL import Image

from semcom.networks.deepjscc import CHANNELS, DeepJSCC, normalise, spread
from semcom.train.data.crops import list_photos
from semcom.train.stages.deepjscc import PhotoCrops, _gains, start_from_transform


@pytest.fixture(scope="module")
def photos(tmp_path_factory, sample_photo):
    folder = tmp_path_factory.mktemp("jscc_photos")
    with Image.open(sample_photo) as picture:
        for i in range(3):
            picture.convert("RGB").crop((60 * i, 40 * i, 60 * i + 260, 40 * i + 200)).save(
                folder / f"{i}.png"
            )
    return list_photos([str(folder)])


def test_samples_depend_on_seed_and_index_alone(photos):
    crops, again = PhotoCrops(photos, seed=3), PhotoCrops(photos, seed=3)
    first = crops[5]
    [again[i] for i in (1, 2)]
    for name, value in again[5].items():
        torch.testing.assert_close(value, first[name])
    assert first["target"].shape == (4, 3, 128, 128)
    assert not torch.equal(first["target"], PhotoCrops(photos, seed=4)[5]["target"])
    many = torch.cat([crops[i]["snr_db"] for i in range(30)])
    assert -5 <= many.min() < 0 < 15 < many.max() <= 20


def test_starts_as_a_projection_on_the_photos_main_directions(photos, monkeypatch):
    monkeypatch.setattr("semcom.train.stages.deepjscc._TRANSFORM_PHOTOS", 12)
    codec = DeepJSCC(width=16)
    start_from_transform(codec, photos)
    crops = PhotoCrops(photos, seed=2)
    pictures = torch.cat([crops[i]["target"] for i in range(12)])
    with torch.no_grad():
        latents = codec.encoder(pictures)
        once = codec.decoder.transform(latents)
        twice = codec.decoder.transform(codec.encoder.transform(once))
    torch.testing.assert_close(twice, once, atol=1e-4, rtol=1e-3)
    assert latents.square().mean().item() == pytest.approx(1, rel=1e-3)
    assert (latents.square().mean((0, 2, 3)).diff() < 1e-3).all()  # the most important channel first
    blocks = (pictures - 0.5).unfold(2, 16, 16).unfold(3, 16, 16).permute(0, 2, 3, 1, 4, 5).reshape(-1, 768)
    discarded = np.linalg.svd(blocks.numpy(), compute_uv=False)[CHANNELS:]
    error = (once - (pictures - 0.5)).square().sum().item()
    assert error == pytest.approx((discarded**2).sum(), rel=1e-3)


def test_fading_has_mean_one_and_no_fading_is_one():
    torch.manual_seed(0)
    gains = _gains(2000, 64, torch.tensor([1.0, 0.0]).repeat(1000))
    faded = gains[::2]
    assert (gains[1::2] == 1).all()
    assert faded.mean().item() == pytest.approx(1, abs=0.05)
    # Rayleigh: gains are exponential, so that below 0.1 lie 1 - exp(-0.1) of them
    assert (faded < 0.1).float().mean().item() == pytest.approx(1 - np.exp(-0.1), abs=0.02)


def test_order_covers_the_picture_and_power_is_one():
    order = spread(240)
    assert sorted(order.tolist()) == list(range(240))
    beginning = order[:40].sort().values.double()
    assert beginning.diff().max() <= 14  # every part of a raster scan is visited early
    values = normalise(torch.randn(2, 50, generator=torch.Generator().manual_seed(0)) * 7)
    torch.testing.assert_close(values.square().mean(1), torch.ones(2))
