"""Exact sums and intervals, against the standard library and scipy."""

from __future__ import annotations

import math
import random
import statistics
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from semcom.intervals import Losses, bler_interval
from semcom.sweep.tally import UNIT, Sums, Tally

values = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40)


@given(values, st.randoms())
def test_sums_do_not_depend_on_order_or_grouping(numbers: list[float], rng: random.Random) -> None:
    whole = Sums()
    for number in numbers:
        whole.add(number)
    shuffled = list(numbers)
    rng.shuffle(shuffled)
    cut = rng.randrange(len(numbers) + 1)
    parts = [Sums(), Sums()]
    for index, number in enumerate(shuffled):
        parts[index < cut].add(number)
    parts[0].merge(parts[1])
    assert parts[0] == whole


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=40))
def test_mean_and_variance_against_the_standard_library(numbers: list[float]) -> None:
    tally = Tally()
    for number in numbers:
        tally.add({"m": number})
    rounded = [Fraction(round(number * UNIT), UNIT) for number in numbers]
    assert tally.mean("m") == pytest.approx(float(statistics.mean(rounded)), abs=1e-15)
    assert tally.variance("m") == pytest.approx(float(statistics.variance(rounded)), rel=1e-12)
    half = stats.sem([float(r) for r in rounded]) * stats.t.ppf(0.975, len(numbers) - 1)
    assert tally.half_width("m") == pytest.approx(half, rel=1e-6, abs=1e-12)


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="nan"):
        Sums().add(math.nan)


def test_independent_packets_give_the_wilson_interval() -> None:
    """One packet per burst: nothing is shared, so the classical interval."""
    low, high = bler_interval([Losses(lost=30, packets=100, lost_squares=30, trials=100)])
    wilson = stats.binomtest(30, 100).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((wilson.low, wilson.high), abs=2e-3)


def test_packets_that_fade_together_count_as_one_per_burst() -> None:
    """100 bursts of 20 packets that are lost or arrive together say as much as 100 packets."""
    together = bler_interval([Losses(30 * 20, 100 * 20, 30 * 400, 100)])
    wilson = stats.binomtest(30, 100).proportion_ci(method="wilson")
    assert together == pytest.approx((wilson.low, wilson.high), abs=2e-3)


def test_no_loss_is_an_upper_bound_that_counts_bursts() -> None:
    low, high = bler_interval([Losses(0, 500, 0, 5)])
    wilson = stats.binomtest(0, 5).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((0.0, wilson.high))


@given(
    st.lists(
        st.tuples(st.integers(1, 8), st.lists(st.integers(0, 8), min_size=1, max_size=8)),
        min_size=1,
        max_size=5,
    )
)
def test_bler_interval_holds_the_rate(points: list[tuple[int, list[int]]]) -> None:
    losses = []
    for packets, lost in points:
        lost = [min(count, packets) for count in lost]
        losses.append(Losses(sum(lost), packets * len(lost), sum(c * c for c in lost), len(lost)))
    low, high = bler_interval(losses)
    rate = sum(item.lost for item in losses) / sum(item.packets for item in losses)
    assert 0 <= low <= rate <= high <= 1
