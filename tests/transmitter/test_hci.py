"""The HCI search against coding every quality."""

from itertools import pairwise

import numpy as np
import pytest

from semcom.picture import images
from semcom.transmitter import hci


@pytest.fixture(scope="module")
def thumb():
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:24, :32]
    waves = 128 + 60 * np.sin(x / 5 + y / 9) + 30 * np.sin(y / 2)
    return (waves[..., None] + rng.normal(0, 12, (24, 32, 3))).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def sizes(thumb):
    return {q: len(hci.encode(thumb, q)) for q in range(hci.MIN_QUALITY, hci.MAX_QUALITY + 1)}


def test_the_payload_fits_and_the_next_finer_one_does_not(thumb, sizes):
    kept = hci.distinct_qualities()
    for limit in (sizes[17], sizes[27] + 1, sizes[39], sizes[50] - 1, sizes[63] - 1, sizes[63], 10**6):
        payload, quality = hci.Search(thumb).finest(lambda n, limit=limit: n <= limit)
        assert payload == hci.encode(thumb, quality)
        assert len(payload) <= limit
        finer = [q for q in kept if q > quality]
        assert not finer or sizes[finer[0]] > limit


def test_none_when_the_coarsest_is_too_large(thumb, sizes):
    assert hci.Search(thumb).finest(lambda n: n < min(sizes.values())) is None


@pytest.mark.parametrize("limit", [200, 400, 800])
def test_a_typical_coding_is_close_to_the_best_that_fits(limit, sample_photo):
    photo = hci.thumbnail(images.load(sample_photo)[:, :256, :384])
    search, kept = hci.Search(photo), hci.distinct_qualities()
    payload, quality = search.typical(lambda n: n <= limit)
    _, best = search.finest(lambda n: n <= limit)
    assert abs(kept.index(quality) - kept.index(best)) <= 2
    assert 0.85 * limit < len(payload) < 1.05 * limit


def test_the_lowest_quality_is_typical_where_nothing_fits(thumb):
    assert hci.Search(thumb).typical(lambda n: False)[1] == hci.distinct_qualities()[0]


def test_distinct_qualities_code_differently_and_leave_nothing_out(thumb):
    kept = hci.distinct_qualities()
    assert kept[-1] == hci.MAX_QUALITY
    assert all(hci.encode(thumb, a) != hci.encode(thumb, b) for a, b in pairwise(kept[10:14]))
    for quality in (20, 30, 47):
        alike = min(q for q in kept if q >= quality)
        assert hci.encode(thumb, quality) == hci.encode(thumb, alike)


def test_coarser_walks_down_to_none():
    quality, seen = hci.MAX_QUALITY, []
    while quality is not None:
        seen.append(quality)
        quality = hci.coarser(quality)
    assert tuple(seen[::-1]) == hci.distinct_qualities()
