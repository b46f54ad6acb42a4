"""The key stream's share of the budget."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semcom.contracts import Budget
from semcom.transmitter.split import KeyShares, finest_within_share, middle, within_share

MAPS = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32)).map(
    lambda shape: torch.rand(shape[:2], generator=torch.Generator().manual_seed(shape[2])) < 0.6
)


@given(MAPS, st.floats(0, 200))
def test_never_above_the_limit_and_only_cells_of_the_map(key_map, limit):
    kept = within_share(key_map, lambda cells: 3.0 + cells.sum().item() if cells.any() else 0.0, limit)
    assert not bool((kept & ~key_map).any())
    assert not bool(kept.any()) or kept.sum().item() + 3 <= limit


@given(MAPS)
def test_an_affordable_map_is_kept_whole(key_map):
    assert torch.equal(within_share(key_map, lambda cells: cells.sum().item(), key_map.numel()), key_map)


def test_a_stubborn_cost_still_leaves_what_fits():
    """Cost falls with the map's depth rather than its cells, as it does where the middle holds the detail."""
    key_map = torch.ones(12, 12, dtype=torch.bool)
    kept = within_share(key_map, lambda cells: 100 + 0.2 * cells.sum().item(), 105)
    assert 15 <= kept.sum() <= 25


@pytest.mark.parametrize(("limit", "cells", "fineness"), [(160, 16, 4), (50, 16, 1), (16, 16, 0), (8, 7, 0)])
def test_the_whole_map_comes_before_finer_steps(limit, cells, fineness):
    """A cell costs 1, 2, 4, 7 or 10."""
    prices = (1, 2, 4, 7, 10)
    key_map = torch.ones(4, 4, dtype=torch.bool)
    kept, chosen = finest_within_share(
        key_map, lambda cells, fineness: prices[fineness] * cells.sum().item(), limit
    )
    assert (kept.sum().item(), chosen) == (cells, fineness)


def test_the_middle_stays():
    square = torch.zeros(9, 9, dtype=torch.bool)
    square[1:8, 1:8] = True
    core = torch.zeros_like(square)
    core[2:7, 2:7] = True
    assert torch.equal(middle(square, 25), core)


@pytest.mark.parametrize(("bpp", "share"), [(0.001, 0.1), (0.02, 0.1), (0.035, 0.1), (0.04, 0.2), (1.0, 0.2)])
def test_the_share_follows_the_rate_and_stays_beyond_the_table(bpp, share):
    table = KeyShares((0.02, 0.04), (0.1, 0.2))
    assert table.of(Budget.of_bpp(bpp, 768, 512), 768 * 512) == share


@pytest.mark.parametrize(("bpp", "share"), [(0.025, 0.1), (0.03, 0.2)])
def test_the_share_of_channel_uses_is_that_of_the_bytes_they_carry(bpp, share):
    table, pixels = KeyShares((0.02, 0.03), (0.1, 0.2)), 768 * 512
    uses = Budget(
        3 * round(bpp * pixels / 8), lambda sizes: sum(3 * size for _, size in sizes), "channel uses"
    )
    assert table.of(uses, pixels) == share
