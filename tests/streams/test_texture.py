"""Texture levels against signals whose detail is known, and what the receiver learns of a picture's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom.picture import images, texture
from semcom.picture.pixels import to_tensor
from semcom.picture.texture import BLOCK, MAX_SURPRISE
from semcom.profile import Profile
from semcom.streams import texture as texture_code
from semcom.streams.coding import av1
from semcom.streams.tables import PART, StreamTables
from semcom.streams.texture import NUM_CONTEXTS, NUM_SYMBOLS, TABLE_BITS
from semcom.transmitter import hci
from semcom.transmitter import texture as sender

TABLES = StreamTables.from_tensors(Profile.open("tiny").tensors(PART))

GRIDS = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))


def checkerboard(period, amplitude):
    """[1,3,64,96] grey, plus and minus `amplitude` grey levels."""
    y, x = torch.meshgrid(torch.arange(64), torch.arange(96), indexing="ij")
    signs = 1 - 2.0 * ((y // (period // 2) + x // (period // 2)) % 2)
    return (0.5 + signs * amplitude / 255).expand(1, 3, -1, -1)


@pytest.mark.parametrize(("period", "octave"), [(2, "upper"), (4, "lower")])
def test_levels_of_checkerboards(period, octave):
    """A board of one octave has its amplitude there and next to nothing, −1, in the other or in neither.

    The board of period 2 averages out at half size; that of period 4 leaves some edges in the upper octave.
    """
    levels = texture.measure(checkerboard(period, 16.0), BLOCK)
    assert levels.shape == (1, 2, 3)
    if octave == "upper":
        torch.testing.assert_close(levels, torch.full((1, 2, 3), (4.0 - 1.0) / 2), rtol=0, atol=0.01)
    else:
        assert ((levels > 1.5) & (levels <= 4)).all()


def test_twice_the_contrast_is_one_octave_more_and_brightness_is_none():
    torch.manual_seed(0)
    noise = torch.randn(1, 3, 64, 64) / 12
    plain, double = (texture.measure(0.5 + scale * noise, 16) for scale in (1, 2))
    torch.testing.assert_close(double - plain, torch.ones_like(plain), rtol=0, atol=0.01)
    torch.testing.assert_close(texture.measure(0.3 + noise, 16), plain, rtol=0, atol=1e-3)


def test_what_the_hci_shows_is_not_texture():
    """Large patches of colour have edges, but no detail of the two octaves above them in their middle."""
    patches = torch.rand(1, 3, 2, 3).repeat_interleave(64, 2).repeat_interleave(64, 3)
    levels = texture.measure(patches, 16)
    assert torch.equal(levels[:, 1:3, 1:3], torch.full((1, 2, 2), -1.0))


@pytest.mark.parametrize(("height", "width"), [(64, 96), (16, 16), (48, 80)])
def test_sizes_meet(height, width):
    """Of whatever whole number of key cells, also where the last block is half a one."""
    torch.manual_seed(0)
    levels = sender.measure(torch.rand(3, height, width))
    coded, grid = torch.rand(3, height // 4, width // 4), (height // 16, width // 16)
    data = sender.encode(levels, coded, 30, TABLES)
    expectation = texture.expected(coded[None], torch.tensor([30.0]))
    surprises = torch.from_numpy(texture_code.decode(data, *expectation.shape[1:], TABLES))[None].float()
    known = texture.known(expectation, surprises, grid)
    assert known.level.shape == (1, *grid)
    assert texture.planes(known).shape == (1, 3, height // 4, width // 4)


def test_the_receiver_learns_the_level_to_within_an_octave(sample_photo):
    """From real AV1 pictures: closer than the HCI alone lets expect."""
    photo = images.load(sample_photo)[:, :384, :592]
    thumb, levels = hci.thumbnail(photo), sender.measure(photo)
    for quality in (20, 40):
        coded = to_tensor(av1.decode(hci.encode(thumb, quality, 6), thumb.shape[1], thumb.shape[0]))
        expectation = texture.expected(coded[None], torch.tensor([float(quality)]))
        data = sender.encode(levels, coded, quality, TABLES)
        surprises = texture_code.decode(data, *expectation.shape[1:], TABLES)
        guessed = (levels - expectation).abs().mean()
        told = (levels - expectation - torch.from_numpy(surprises)).abs().mean()
        assert told < 0.4 and told < 0.7 * guessed
        assert len(data) * 8 < 2 * surprises.size


def test_planes_of_a_uniform_texture_are_uniform():
    known = texture.known(torch.full((1, 2, 3), 1.5), torch.full((1, 2, 3), -2.0), (3, 5))
    level, surprise, is_known = texture.planes(known)[0]
    assert level.shape == (12, 20)
    assert torch.equal(level, torch.full_like(level, -3.5))  # relative to that of a common photograph, 3
    assert torch.equal(surprise, torch.full_like(level, -2.0))
    assert torch.equal(is_known, torch.ones_like(level))


@settings(max_examples=60, deadline=None)
@given(GRIDS)
def test_surprises_survive_the_wire(grid):
    rows, columns, seed = grid
    surprises = np.random.default_rng(seed).integers(-MAX_SURPRISE, MAX_SURPRISE + 1, (rows, columns))
    np.testing.assert_array_equal(
        texture_code.decode(texture_code.encode(surprises, TABLES), rows, columns, TABLES), surprises
    )


@given(st.binary(max_size=40))
def test_damaged_bytes_are_other_surprises(data):
    decoded = texture_code.decode(data, 5, 7, TABLES)
    assert decoded.shape == (5, 7)
    assert (abs(decoded) <= MAX_SURPRISE).all()


@settings(max_examples=40, deadline=None)
@given(GRIDS)
def test_the_string_is_as_long_as_the_tables_promise(grid):
    rows, columns, seed = grid
    surprises = texture_code.choose(
        np.random.default_rng(seed).normal(0, 1, (rows, columns)), texture_code.code_lengths(TABLES)
    )
    tables = np.array(TABLES.texture)
    cells, values = surprises.tolist(), surprises.ravel() + MAX_SURPRISE
    contexts = [texture_code.context(cells, y, x) for y in range(rows) for x in range(columns)]
    bits = (TABLE_BITS - np.log2(tables[contexts, values])).sum()
    assert 8 * len(texture_code.encode(surprises, TABLES)) <= bits + 16


def test_tables_are_integer_distributions():
    tables = np.array(TABLES.texture)
    assert tables.shape == (NUM_CONTEXTS, NUM_SYMBOLS)
    assert (tables > 0).all() and (tables.sum(1) == 1 << TABLE_BITS).all()


def test_choosing_rounds_to_nearest_where_bits_are_free_and_to_what_is_cheap_where_they_are_not():
    octaves = np.random.default_rng(3).normal(0, 1.5, (9, 8)).astype(np.float32)
    free = texture_code.choose(octaves, np.zeros((NUM_CONTEXTS, NUM_SYMBOLS)))
    np.testing.assert_array_equal(free, np.clip(octaves.round(), -MAX_SURPRISE, MAX_SURPRISE))
    dear = np.full((NUM_CONTEXTS, NUM_SYMBOLS), 100.0)
    dear[:, MAX_SURPRISE] = 0  # only 0 is cheap
    small = np.clip(octaves, -0.99, 0.99)
    assert not texture_code.choose(small, dear).any()


def test_grain_that_the_receiver_adds_is_not_counted():
    """White noise alone is no texture; beside texture it changes little."""
    torch.manual_seed(0)
    noise = 3 / 255 * torch.randn(1, 1, 128, 128).expand(-1, 3, -1, -1)
    smooth, rough = torch.full((1, 3, 128, 128), 0.5), 0.5 + 0.05 * torch.randn(1, 3, 128, 128)
    assert texture.measure(smooth + noise, BLOCK).min() > 0.5
    assert texture.measure(smooth + noise, BLOCK, noise=3.0).max() < 0
    both, levels = torch.cat((smooth, rough)) + noise, torch.tensor([3.0, 0.0]).view(-1, 1, 1)
    each = texture.measure(both, BLOCK, levels)
    torch.testing.assert_close(each[:1], texture.measure(smooth + noise, BLOCK, noise=3.0))
    torch.testing.assert_close(each[1:], texture.measure(rough + noise, BLOCK))
    difference = texture.measure(rough + noise, BLOCK, noise=3.0) - texture.measure(rough, BLOCK)
    assert difference.abs().max() < 0.25
