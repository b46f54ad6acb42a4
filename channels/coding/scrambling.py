"""Bit scrambling with the length-31 Gold sequence of TS 38.211 §5.2.1.

Without it a payload of repeated bytes would use a few constellation points only and break the assumption of
unit mean symbol energy. The sequence starts anew with every code block, where NR runs it over the whole
codeword: on a single link, where nothing correlates with it, that makes no difference.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WARM_UP = 1600
_MEMORY = 31
# Cell-specific in a network; one constant serves a single link
_C_INIT = 0x5EC0
_cache: NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)


def scrambling_sequence(length: int) -> NDArray[np.uint8]:
    """Return the first `length` bits of the link's scrambling sequence, uint8."""
    global _cache
    if len(_cache) < length:
        _cache = gold_sequence(1 << max(14, (length - 1).bit_length()), _C_INIT)
    return _cache[:length]


def gold_sequence(length: int, c_init: int) -> NDArray[np.uint8]:
    """Return `length` bits of the Gold sequence that starts from `c_init` (0 to 2^31 - 1), uint8."""
    total = length + _WARM_UP + _MEMORY
    x1, x2 = np.zeros(total, dtype=np.uint8), np.zeros(total, dtype=np.uint8)
    x1[0] = 1
    x2[:_MEMORY] = (c_init >> np.arange(_MEMORY)) & 1
    # The newest tap is 28 steps back, so 28 steps can be computed at once
    step = _MEMORY - 3
    for n in range(0, total - _MEMORY, step):
        m = min(step, total - _MEMORY - n)
        x1[n + 31 : n + 31 + m] = x1[n + 3 : n + 3 + m] ^ x1[n : n + m]
        x2[n + 31 : n + 31 + m] = (
            x2[n + 3 : n + 3 + m] ^ x2[n + 2 : n + 2 + m] ^ x2[n + 1 : n + 1 + m] ^ x2[n : n + m]
        )
    return x1[_WARM_UP : _WARM_UP + length] ^ x2[_WARM_UP : _WARM_UP + length]
