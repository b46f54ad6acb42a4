"""Activation, quantisation and concatenation of a dense block in one pass over memory.

As single tensor operations these cost as much time as the integer convolutions between them.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def append(
    codes: np.ndarray, x: np.ndarray, slope: np.float32, steps: np.float32, zero_point: np.float32
) -> np.ndarray:
    """Codes of `max(x, slope·x)` beside those there are, rounded and saturated.

    Args:
        codes: [pixels,a] uint8.
        x: [pixels,b] float32.
        slope: of the leaky ReLU; 1 for none.
        steps: codes per unit of x.
        zero_point: the code of 0.

    Returns:
        [pixels,a+b] uint8.
    """
    pixels, known = codes.shape
    added = x.shape[1]
    out = np.empty((pixels, known + added), np.uint8)
    lowest, highest, half = np.float32(0), np.float32(255), np.float32(0.5)
    for pixel in range(pixels):
        for channel in range(known):
            out[pixel, channel] = codes[pixel, channel]
        for channel in range(added):
            value = x[pixel, channel]
            code = max(value, slope * value) * steps + zero_point + half
            out[pixel, known + channel] = np.uint8(np.int32(min(max(code, lowest), highest)))
    return out
