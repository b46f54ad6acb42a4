"""Colour card: small, and close to the mean colours it stands for."""

import pytest
import torch
import torch.nn.functional as F

from semcom.models import card


@pytest.mark.parametrize("size", [(64, 96), (96, 64), (513, 300), (64, 64)])
def test_mean_colours_survive(size):
    torch.manual_seed(1)
    smooth = F.interpolate(torch.rand(1, 3, 3, 3), size, mode="bicubic", align_corners=False)[0].clamp(0, 1)
    smooth = 0.7 * smooth + 0.3 * smooth.mean(0, keepdim=True)
    data = card.encode(smooth)
    assert len(data) == card.NUM_BYTES == 42
    back = card.decode(data, *size, size)
    assert back.shape == smooth.shape
    assert (back - smooth).abs().mean() < 0.06


def test_grey_levels_are_exact_to_the_step():
    for level in torch.linspace(0, 1, 32):
        grey = torch.full((3, 64, 80), level.item())
        back = card.decode(card.encode(grey), 64, 80, (64, 80))
        assert (back - grey).abs().max() < 0.03
