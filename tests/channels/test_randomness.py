"""Counter-based uniforms: uniform along every axis, unrelated across them, each a function of its place."""

import numpy as np
import pytest
from scipy import stats

from channels.randomness import counter_uniforms


def table(seeds, streams, indices):
    grid = np.meshgrid(seeds, indices, indexing="ij")
    flat = [axis.ravel() for axis in grid]
    drawn = [counter_uniforms(flat[0].astype(np.uint64), s, flat[1].astype(np.int64)) for s in streams]
    return np.stack(drawn).reshape(len(streams), len(seeds), len(indices))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_uniform_along_every_axis(axis):
    sizes = [2, 2, 2]
    sizes[axis] = 4000
    values = np.moveaxis(table(*(np.arange(sizes[i]) for i in (1, 0, 2))), axis, 0).reshape(4000, -1)
    for column in values.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-4
        assert abs(np.corrcoef(column[:-1], column[1:])[0, 1]) < 4 / 4000**0.5


def test_neighbouring_seeds_streams_and_places_are_unrelated():
    values = table(np.arange(40), range(3), np.arange(2000))
    rows = values.reshape(-1, 2000)
    correlation = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(correlation).max() < 6 / 2000**0.5


def test_a_number_depends_on_its_own_place_alone():
    whole = table([5, 9], [0], np.arange(8))[0]
    alone = counter_uniforms(np.array([9], np.uint64), 0, np.array([6]))
    assert alone[0] == whole[1, 6]
