"""The key stream's share of the budget."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from semcom.transmitter.split import middle, within_share

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


def test_the_middle_stays():
    square = torch.zeros(9, 9, dtype=torch.bool)
    square[1:8, 1:8] = True
    core = torch.zeros_like(square)
    core[2:7, 2:7] = True
    assert torch.equal(middle(square, 25), core)
