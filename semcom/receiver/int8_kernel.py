"""Scaling, activation, quantisation and concatenation of a dense block in one pass over memory.

As single tensor operations these cost as much time as the integer convolutions between them. Compiled without
fast-math: each operation rounds as IEEE 754 says, on every processor.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def append(
    codes: np.ndarray,
    x: np.ndarray,
    scale: np.ndarray,
    offset: np.ndarray,
    slope: np.float32,
    zero_point: np.float32,
) -> np.ndarray:
    """Codes of `max(y, slope·y)`, y = scale·x + offset, beside those there are, rounded and saturated.

    Args:
        codes: [pixels,a] uint8.
        x: [pixels,b] float32.
        scale, offset: [b] float32, in steps of the codes.
        slope: of the leaky ReLU; 1 for none.
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
            value = x[pixel, channel] * scale[channel] + offset[channel]
            code = max(value, slope * value) + zero_point + half
            out[pixel, known + channel] = np.uint8(np.int32(min(max(code, lowest), highest)))
    return out


@numba.njit(cache=True, nogil=True)
def add_scaled(x: np.ndarray, sums: np.ndarray, scale: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """`x + (scale·sums + offset)` of [pixels,b] float32 and [b] float32."""
    pixels, channels = x.shape
    out = np.empty((pixels, channels), np.float32)
    for pixel in range(pixels):
        for channel in range(channels):
            out[pixel, channel] = x[pixel, channel] + (
                sums[pixel, channel] * scale[channel] + offset[channel]
            )
    return out


@numba.njit(cache=True, nogil=True)
def activated(sums: np.ndarray, scale: np.ndarray, offset: np.ndarray, slope: np.float32) -> np.ndarray:
    """`max(y, slope·y)`, y = scale·sums + offset, of [pixels,b] float32 and [b] float32."""
    pixels, channels = sums.shape
    out = np.empty((pixels, channels), np.float32)
    for pixel in range(pixels):
        for channel in range(channels):
            value = sums[pixel, channel] * scale[channel] + offset[channel]
            out[pixel, channel] = max(value, slope * value)
    return out
