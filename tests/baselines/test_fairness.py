"""Comparisons rest on this: more budget never makes a codec worse; only budget and picture count."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semcom.baselines.codecs import jpeg
from semcom.contracts import Budget, BudgetError
from semcom.message import LinkReport, ReceivedMessage
from semcom.metrics.psnr import psnr
from semcom.metrics.ssim import ssim
from semcom.packets import pack, unpack
from semcom.picture import images
from semcom.systems import CODECS, build

KODAK = Path(__file__).resolve().parents[3] / "shared" / "data" / "kodak"
REPORT = LinkReport(snr_db=None, channel_uses=0, classes={})
_DIP_DB = 1.0  # SSIM decides; where it prefers the larger picture, PSNR may still prefer the smaller


def picture(seed):
    """[3,h,w] of smooth parts, edges and noise, of another size and mixture for each seed."""
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(32, 64, 2))
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), np.uint8)).resize((width, height))
    pixels = np.asarray(coarse, np.float32) / 255
    pixels = np.where(rng.random((height, width, 1)) < 0.02, 1 - pixels, pixels)
    pixels[height // 4 : height // 2, width // 5 : width // 2] *= 0.3
    pixels = pixels + rng.uniform(0, 0.1) * rng.standard_normal(pixels.shape)
    return torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32)).clamp(0, 1).contiguous()


def num_bytes(limit):
    return Budget(limit, lambda sizes: sum(size for _, size in sizes), "bytes")


def decoded(system, message):
    chunks = [packet.data for packet in pack(message)]
    received = ReceivedMessage(unpack(message, chunks), message.width, message.height, REPORT)
    return system.decode(received).image


@pytest.mark.parametrize("name", CODECS.names())
@pytest.mark.parametrize("seed", [0, 1])
def test_quality_never_falls_as_the_budget_grows(name, seed):
    photo, system = picture(seed), build(name)
    limits = sorted(int(n) for n in np.exp(np.random.default_rng(seed).uniform(4.2, 8, 12)))
    similar, close, spent = [], [], []
    for limit in limits:
        try:
            message = system.encode(photo, num_bytes(limit))
        except BudgetError as error:
            assert not spent
            assert error.smallest > limit
            continue
        spent.append(sum(len(packet.data) for packet in pack(message)))
        assert spent[-1] <= limit
        image = decoded(system, message)
        similar.append(ssim(image[None], photo[None]).item())
        close.append(psnr(image[None], photo[None]).item())
    assert len(similar) > 6
    assert similar == sorted(similar)
    best = np.maximum.accumulate(close)
    assert (best - close).max() < _DIP_DB


@pytest.mark.parametrize("name", CODECS.names())
def test_what_was_coded_before_plays_no_part(name):
    photo, asked_before = picture(3), build(name)
    limits = [int(n) for n in np.random.default_rng(3).permutation(np.linspace(150, 1500, 4))]
    for limit in limits:
        try:
            expected = build(name).encode(photo, num_bytes(limit))
        except BudgetError:
            with pytest.raises(BudgetError):
                asked_before.encode(photo, num_bytes(limit))
        else:
            assert asked_before.encode(photo, num_bytes(limit)) == expected


def test_a_budget_in_another_unit_is_as_monotone():
    """Steps of a link's grid: many budgets buy the same bytes."""
    photo, system = picture(1), build("jpeg")

    def cost(sizes):
        return sum(-(-size // 37) * 24 + 10 for _, size in sizes)

    scores = [
        ssim(
            decoded(system, system.encode(photo, Budget(limit, cost, "channel uses")))[None], photo[None]
        ).item()
        for limit in range(400, 4000, 90)
    ]
    assert scores == sorted(scores)


def test_every_quality_of_jpeg_holds_the_picture():
    """Tables of qualities 9 and 17 contain the bytes of a frame's marker; its header is not there."""
    pixels = np.asarray(Image.fromarray((picture(0) * 255).byte().permute(1, 2, 0).numpy()))
    height, width = pixels.shape[:2]
    errors = []
    for quality in jpeg.CODEC.qualities:
        coded = jpeg.encode(pixels, quality)
        error = jpeg.decode(coded, len(coded), width, height).astype(float) - pixels
        errors.append(np.mean(error**2))
    assert np.all(np.array(errors[1:]) < 1.1 * np.minimum.accumulate(errors)[:-1])


@pytest.mark.slow
@pytest.mark.skipif(not KODAK.is_dir(), reason="needs the Kodak pictures")
def test_avif_spends_its_budget_on_kodim08():
    photo = images.load(KODAK / "kodim08.png")
    budget = Budget.of_bpp(0.0361, photo.shape[2], photo.shape[1])
    system = build("avif")
    message = system.encode(photo, budget)
    assert sum(len(packet.data) for packet in pack(message)) > 0.9 * budget.limit
    assert psnr(decoded(system, message)[None], photo[None]).item() > 18
