"""The HCI search against coding every quality."""

from itertools import pairwise

import numpy as np
import pytest

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
    for limit in (sizes[1] + 1, sizes[27] + 1, sizes[39], sizes[50] - 1, sizes[63] - 1, sizes[63], 10**6):
        payload, quality = hci.finest(thumb, lambda n, limit=limit: n <= limit)
        assert payload == hci.encode(thumb, quality)
        assert len(payload) <= limit
        finer = [q for q in kept if q > quality]
        assert not finer or sizes[finer[0]] > limit


def test_none_when_the_coarsest_is_too_large(thumb, sizes):
    assert hci.finest(thumb, lambda n: n < min(sizes.values())) is None


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
