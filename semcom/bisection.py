"""The most of something that still fits."""

from __future__ import annotations

from collections.abc import Callable

CEILING = 1 << 32  # on a link that costs nothing everything fits


def largest(fits: Callable[[int], bool]) -> int:
    """The greatest number below `CEILING` that fits, 0 where not even 1 does.

    Args:
        fits: whether a number does; false for every number above one that is refused.

    >>> largest(lambda number: number**2 <= 50)
    7
    """
    high = 1
    while high < CEILING and fits(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
