"""The most that fits, against the limit itself."""

from hypothesis import given
from hypothesis import strategies as st

from semcom.bisection import CEILING, largest


@given(st.integers(0, CEILING - 1))
def test_finds_the_limit(limit):
    asked = []

    def fits(number):
        asked.append(number)
        return number <= limit

    assert largest(fits) == limit
    assert len(asked) <= 2 * limit.bit_length() + 1
    assert min(asked) >= 1


def test_ends_where_everything_fits():
    assert largest(lambda number: True) == CEILING - 1
