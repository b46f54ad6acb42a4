"""Film grain: the level that is measured is the noise that was added, and comes back at the receiver."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom.picture import grain

STEP = 0.25 / 255


def slope(height=192, width=256):
    ramp = torch.linspace(0.3, 0.7, width).expand(3, height, width)
    return ramp.clone()


def noisy(level, seed=0):
    """A gradient with luma noise of `level` steps, the same in every channel."""
    noise = torch.randn(1, 192, 256, generator=torch.Generator().manual_seed(seed))
    return slope() + level * STEP * noise


@pytest.mark.parametrize("level", [0, 2, 5, 10, 15])
def test_measures_the_noise_that_was_added(level):
    assert abs(grain.measure(noisy(level)) - level) <= 1


def test_structure_is_not_noise():
    picture = slope()
    picture[:, ::7, :128] = 0
    assert grain.measure(picture) == 0


@settings(max_examples=20, deadline=None)
@given(had=st.integers(0, 15), wanted=st.integers(0, 15))
def test_adds_what_is_missing(had, wanted):
    result = grain.add(noisy(had), wanted, seed=1)
    assert abs(grain.measure(result) - max(had, wanted)) <= 2


def test_same_seed_same_grain():
    first, again, other = (grain.add(slope(), 8, seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_tiny_pictures_have_none():
    assert grain.measure(torch.rand(3, 9, 300)) == 0
