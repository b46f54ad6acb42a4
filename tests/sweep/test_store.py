"""The store: shards add up exactly, overlaps count once, damage is found and ignored."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom.sweep.rows import Row
from semcom.sweep.store import Reach, Store, added_up, chain, write_atomically
from semcom.sweep.tally import Tally


def _row(first: int, trials: int, key: str = "a") -> Row:
    tally = Tally()
    for trial in range(first, first + trials):
        tally.add({"m": 0.1 * trial, "lost": trial})
    return Row(key, '{"p":1}', first, "k" if first == 0 else None, tally, ("m",))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "run")
    made.create()
    return made


def test_rows_come_back_as_they_were(store: Store) -> None:
    row = _row(0, 5)
    row.tally.sums["m"].total, row.tally.sums["m"].squares = (
        -(10**18) - 1,
        10**37 + 3,
    )  # beyond Decimal's default
    store.write_shard([row], {"commit": "c"})
    assert list(store.rows()) == [row]
    assert store.provenances() == [{"commit": "c"}]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 6)), max_size=12))
def test_chain_is_gapless_without_overlap_and_as_long_as_possible(spans: list[tuple[int, int]]) -> None:
    found = chain(tuple((first, length, "m") for first, length in spans))
    end = 0
    for first, length in found:
        assert first == end and (first, length) in spans
        end += length
    reachable = {0}
    for first, length in sorted(spans):  # breadth first, independent of the implementation's bookkeeping
        if first in reachable:
            reachable.add(first + length)
    assert end == max(reachable)


def test_trials_in_several_shards_count_once(store: Store) -> None:
    for spans in ([(0, 4), (4, 2)], [(0, 4)], [(0, 3), (3, 3)], [(7, 2)]):
        store.write_shard([_row(*span) for span in spans], {})
    assert store.reach() == {"a": Reach(6, {"m": 6})}
    assert added_up(store.rows())["a"].tally == _row(0, 6).tally


def test_truncated_and_corrupt_shards_are_ignored_with_a_warning(store: Store) -> None:
    good = store.write_shard([_row(0, 2, "good")], {})
    cut = store.write_shard([_row(0, 2, "cut")], {})
    cut.write_bytes(cut.read_bytes()[:-30])
    flipped = store.write_shard([_row(0, 2, "flipped")], {})
    data = bytearray(flipped.read_bytes())
    data[len(data) // 2] ^= 0x01
    flipped.write_bytes(data)
    with pytest.warns(UserWarning, match="damaged"):
        assert set(store.reach()) == {"good"}
    with pytest.warns(UserWarning, match="damaged"):
        assert [row.id for row in store.rows()] == ["good"]
    assert good.exists()


def test_a_write_that_fails_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        store.write_shard([_row(0, 1)], {})
    assert list(store.shards.iterdir()) == []


def test_write_atomically_replaces_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_atomically(path, b"long content")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


def test_failures_round_trip(store: Store) -> None:
    assert store.failures() == {}
    point = {"snr_db": 1, "image": {"name": "p"}}
    record: dict[str, Any] = {"reason": "r", "stage": "decode", "point": point}
    store.write_failures({"a": record})
    assert store.failures() == {"a": record}
