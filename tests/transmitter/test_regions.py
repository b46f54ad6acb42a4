"""Key-region selection: the rules on made-up saliency, the shipped network on a made-up photo."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from semcom.networks.u2net import U2NetP
from semcom.profile import Profile
from semcom.transmitter.regions import RegionSelector, cell_means, key_cells


class Fixed:
    """A saliency network that has made up its mind."""

    def __init__(self, saliency):
        self._saliency = saliency

    def saliency(self, image):
        assert self._saliency is not None, "not to be asked"
        return self._saliency


def select(saliency, **options):
    return RegionSelector(Fixed(saliency)).select(torch.zeros(3, *saliency.shape), **options)


@pytest.mark.parametrize(("size", "grid"), [((64, 64), (4, 4)), ((65, 79), (5, 5)), ((512, 768), (32, 48))])
def test_grid(size, grid):
    key = select(torch.rand(size))
    assert key.shape == grid
    assert key.dtype == torch.bool


def test_nothing_salient_is_empty_and_everything_may_be_full():
    assert not select(torch.full((96, 96), 0.49)).any()
    assert select(torch.ones(90, 100), key_area=None).all()
    assert not select(torch.ones(96, 96), key_area=0).any()


def test_a_small_object_is_taken_whole():
    saliency = torch.zeros(160, 160)
    saliency[32:64, 48:96] = 1
    expected = torch.zeros(10, 10, dtype=torch.bool)
    expected[2:4, 3:6] = True
    assert torch.equal(select(saliency), expected)


def test_of_a_large_object_the_middle_is_kept():
    saliency = torch.zeros(320, 320)
    saliency[32:288, 32:288] = 1
    key = select(saliency, key_area=0.25)
    assert int(key.sum()) == 100
    assert ndimage.label(key.numpy())[1] == 1
    centre = ndimage.center_of_mass(key.numpy())
    assert np.abs(np.array(centre) - 9.5).max() < 1
    assert not key[:3].any()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.floats(0, 1), st.integers(0, 2**31))
def test_limit_holds_and_only_salient_cells_are_key(height, width, key_area, seed):
    saliency = torch.rand(height, width, generator=torch.Generator().manual_seed(seed))
    salient = saliency >= 0.5
    key = key_cells(saliency, key_area)
    assert not (key & ~salient).any()
    assert int(key.sum()) == min(int(salient.sum()), int(key_area * saliency.numel()))
    assert torch.equal(key_cells(saliency, None), salient)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70))
def test_cell_means_of_ragged_sizes(height, width):
    values = torch.rand(height, width, generator=torch.Generator().manual_seed(0))
    means = cell_means(values)
    for y in range(means.shape[0]):
        for x in range(means.shape[1]):
            cell = values[16 * y : 16 * y + 16, 16 * x : 16 * x + 16]
            torch.testing.assert_close(means[y, x], cell.mean(), atol=1e-5, rtol=0)


def test_user_mask_overrides_saliency_and_limit():
    mask = torch.zeros(70, 100, dtype=torch.bool)
    mask[69, 99] = mask[0, 16] = True
    key = RegionSelector(Fixed(None)).select(torch.zeros(3, 70, 100), key_area=0.01, user_mask=mask)
    assert key.nonzero().tolist() == [[0, 1], [4, 6]]
    full = torch.ones(70, 100, dtype=torch.bool)
    assert RegionSelector(Fixed(None)).select(torch.zeros(3, 70, 100), user_mask=full).all()


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="same size"):
        RegionSelector(Fixed(None)).select(
            torch.zeros(3, 70, 100), user_mask=torch.zeros(100, 70, dtype=torch.bool)
        )
    with pytest.raises(ValueError, match=r"1\.5"):
        select(torch.zeros(64, 64), key_area=1.5)


@pytest.fixture(scope="module")
def network():
    return Profile.open("tiny").build("saliency", U2NetP)


def test_shipped_network_finds_a_ball(network):
    """A shaded red ball on a green lawn; the rest is plain."""
    y, x = torch.meshgrid(torch.arange(240.0), torch.arange(320.0), indexing="ij")
    radius = ((y - 130) ** 2 + (x - 190) ** 2).sqrt()
    ball = radius < 55
    image = torch.stack((0.25 + 0 * x, 0.45 + 0.1 * y / 240, 0.2 + 0 * x))
    image = image + 0.03 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    shade = 1 - ((y - 110) ** 2 + (x - 170) ** 2).sqrt() / 140
    image = torch.where(ball, torch.stack((shade, 0.15 * shade, 0.1 * shade)), image).clamp(0, 1)
    saliency = network.saliency(image)
    assert saliency.shape == (240, 320)
    assert 0 <= saliency.min() <= saliency.max() <= 1
    found = saliency > 0.5
    assert (found & ball).sum() / (found | ball).sum() > 0.85


def test_shipped_network_survives_black(network):
    assert torch.isfinite(network.saliency(torch.zeros(3, 64, 64))).all()
