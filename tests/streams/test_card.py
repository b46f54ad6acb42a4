"""Colour card: small, and close to the mean colours it stands for."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from semcom.picture import images
from semcom.profile import Profile
from semcom.streams import card
from semcom.streams.tables import PART, StreamTables

LUMA = torch.tensor([0.299, 0.587, 0.114])

TABLES = StreamTables.from_tensors(Profile.open("tiny").tensors(PART))


@pytest.mark.parametrize("size", [(64, 96), (96, 64), (513, 300), (64, 64)])
def test_mean_colours_survive(size):
    torch.manual_seed(1)
    smooth = F.interpolate(torch.rand(1, 3, 3, 3), size, mode="bicubic", align_corners=False)[0].clamp(0, 1)
    smooth = 0.7 * smooth + 0.3 * smooth.mean(0, keepdim=True)
    data = card.encode(smooth, TABLES)
    assert len(data) <= 42  # what fixed lengths would take
    back = card.decode(data, *size, size, TABLES)
    assert back.shape == smooth.shape
    assert (back - smooth).abs().mean() < 0.06


def test_cards_of_photographs_are_small_and_exact(sample_photo):
    """The card is a picture of 8×6 colours: what comes back is what was rounded, level by level."""
    photo = images.load(sample_photo)
    data = card.encode(photo, TABLES)
    assert len(data) < 36
    back = card.decode(data, *photo.shape[1:], (6, 8), TABLES)
    luma = F.adaptive_avg_pool2d(torch.einsum("c,chw->hw", LUMA, photo)[None], (6, 8))[0]
    within = (back > 0).all(0) & (back < 1).all(0)  # not clipped
    assert ((torch.einsum("c,chw->hw", LUMA, back) - luma).abs() <= 0.5 / 31 + 1e-4)[within].all()


@given(st.binary(max_size=60))
def test_damaged_cards_are_other_colours(data):
    back = card.decode(data, 64, 96, (12, 16), TABLES)
    assert back.shape == (3, 12, 16) and 0 <= back.min() <= back.max() <= 1


def test_grey_levels_are_exact_to_the_step():
    for level in torch.linspace(0, 1, 32):
        grey = torch.full((3, 64, 80), level.item())
        back = card.decode(card.encode(grey, TABLES), 64, 80, (64, 80), TABLES)
        assert (back - grey).abs().max() < 0.03


@pytest.mark.parametrize("size", [(64, 96), (96, 64)])
def test_a_sketch_is_the_card_without_its_bytes(size):
    picture = torch.rand(3, *size, generator=torch.Generator().manual_seed(2))
    back = card.decode(card.encode(picture, TABLES), *size, (24, 24), TABLES)
    torch.testing.assert_close(card.sketch(picture, (24, 24)), back, rtol=0, atol=0)
