"""The multimodal decoder at a tiny configuration: shapes, missing guidance, noise levels, tiles."""

from dataclasses import replace

import pytest
import torch

from semcom.networks import mgdd as decoder_module
from semcom.networks.mgdd import (
    Guidance,
    MultimodalDecoder,
    TextCondition,
    denoise,
    places,
    schedule,
    to_diffusion,
)


@pytest.fixture(scope="module")
def tiny() -> MultimodalDecoder:
    """Real classes, 32 to 64 channels, and a head that is not zero as it is before training."""
    torch.manual_seed(0)
    model = MultimodalDecoder(vocabulary=50, widths=(32, 32, 64), token_width=16).eval()
    torch.nn.init.normal_(model.rgb.weight, std=0.02)
    return model.requires_grad_(False)


def guidance(height: int, width: int, num_words: int = 4) -> Guidance:
    generator = torch.Generator().manual_seed(1)
    rows, columns = height // 16, width // 16
    text_condition = TextCondition(
        text=torch.arange(40)[None] % 7,
        words=torch.rand(1, num_words, 5, generator=generator),
        has_words=torch.ones(1),
    )
    return text_condition.about(
        torch.rand(1, 3, height // 4, width // 4, generator=generator),
        torch.randint(-1, 2, (1, 32, rows, columns), generator=generator).float(),
        torch.ones(1, 1, rows, columns),
        torch.ones(1, 1, rows, columns),
    )


def said_otherwise(known: Guidance, **changes: torch.Tensor) -> Guidance:
    return replace(known, text_condition=replace(known.text_condition, **changes))


def test_untrained_it_returns_x0():
    torch.manual_seed(0)
    model = MultimodalDecoder(vocabulary=50, widths=(32, 32, 64), token_width=16).eval()
    x0 = torch.rand(1, 3, 64, 96)
    torch.testing.assert_close(denoise(model, x0, guidance(64, 96), 1, 0), x0)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (48, 80), (64, 64)])
def test_any_size_in_whole_cells(tiny, height, width):
    picture = denoise(tiny, torch.rand(1, 3, height, width), guidance(height, width), 1, 0)
    assert picture.shape == (1, 3, height, width)
    assert picture.min() >= 0 and picture.max() <= 1


def test_every_guidance_matters_and_may_be_missing(tiny):
    x0, full = torch.full((1, 3, 64, 64), 0.5), guidance(64, 64)
    whole = denoise(tiny, x0, full, 1, 0)
    without = {
        "caption": said_otherwise(full, text=torch.zeros(1, 40, dtype=torch.long)),
        "pseudo-words": said_otherwise(full, has_words=torch.zeros(1)),
        "no words at all": said_otherwise(full, words=torch.zeros(1, 0, 5), has_words=torch.zeros(1)),
        "hci": replace(full, hci=torch.zeros_like(full.hci), has_hci=torch.zeros_like(full.has_hci)),
        "latents": replace(full, latents=torch.zeros_like(full.latents)),
        "holes": replace(full, arrived=torch.zeros_like(full.arrived)),
        "key map": replace(full, key_map=torch.zeros_like(full.key_map)),
        "places": replace(full, places=torch.zeros_like(full.places)),
    }
    # An untrained ControlNet ends in zeros, so what it carries cannot show: let it through.
    for layer in (*tiny.control.controlnet_down_blocks, tiny.control.controlnet_mid_block):
        torch.nn.init.normal_(layer.weight, std=0.1)
    torch.nn.init.normal_(tiny.control.controlnet_cond_embedding.conv_out.weight, std=0.1)
    whole = denoise(tiny, x0, full, 1, 0)
    for name, less in without.items():
        assert not torch.equal(denoise(tiny, x0, less, 1, 0), whole), name


def test_places_are_of_the_whole_picture_in_every_tile(monkeypatch):
    """The middle of a tile is not the middle of the picture."""
    monkeypatch.setattr(decoder_module, "_TILE", 128)
    monkeypatch.setattr(decoder_module, "_OVERLAP", 32)
    seen = []

    def look(noisy, level, window, known):
        seen.append(known.places)
        return torch.zeros_like(window)

    denoise(look, torch.rand(1, 3, 224, 128), guidance(224, 128), 1, 0)
    whole = places(14, 8, torch.zeros(1))
    torch.testing.assert_close(seen[0], whole[:, :, :8])
    torch.testing.assert_close(seen[1], whole[:, :, 6:])
    torch.testing.assert_close(whole, -whole.flip(2, 3))


def test_a_lost_hci_is_said_to_be_missing():
    x0 = torch.rand(2, 3, 32, 64)
    blind = guidance(32, 64).text_condition.about_nothing(x0[:1])
    assert not blind.has_hci.any() and not blind.hci.any() and not blind.latents.any()
    assert blind.maps["places"].shape == (1, 2, 2, 4)


def test_same_seed_same_picture(tiny):
    x0, known = torch.rand(1, 3, 64, 64), guidance(64, 64)
    torch.testing.assert_close(denoise(tiny, x0, known, 4, 7), denoise(tiny, x0, known, 4, 7), rtol=0, atol=0)
    assert not torch.equal(denoise(tiny, x0, known, 4, 7), denoise(tiny, x0, known, 4, 8))


def test_the_last_level_is_pure_noise():
    scheduler = schedule()
    assert scheduler.alphas_cumprod[-1].item() == pytest.approx(0, abs=1e-6)
    for steps in range(1, 9):
        scheduler.set_timesteps(steps)
        assert scheduler.timesteps[0] == 999


def test_a_perfect_prediction_is_returned_after_any_number_of_steps(monkeypatch):
    """DDIM with the true residual at every step ends at it, whatever the noise."""
    truth = 0.05 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    x0 = torch.full_like(truth, 0.5)
    for steps in (1, 3, 8):
        picture = denoise(lambda *_: truth, x0, guidance(64, 64), steps, 0)
        torch.testing.assert_close(picture, x0 + truth)


def test_space_to_depth_keeps_energy():
    residual = torch.randn(2, 3, 32, 48)
    assert to_diffusion(residual).shape == (2, 192, 4, 6)
    assert to_diffusion(residual).std().item() == pytest.approx(8 * residual.std().item(), rel=1e-3)


def test_tiles_cover_and_fade(monkeypatch):
    """With a decoder that returns its x0 window's mean colour offset, overlapping tiles sum to weight one."""
    monkeypatch.setattr(decoder_module, "_TILE", 128)
    monkeypatch.setattr(decoder_module, "_OVERLAP", 32)
    x0 = torch.rand(1, 3, 304, 208) * 0.5
    picture = denoise(lambda noisy, level, window, known: 0.5 * window, x0, guidance(304, 208), 1, 0)
    torch.testing.assert_close(picture, 1.5 * x0)
