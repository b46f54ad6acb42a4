"""Pseudo-words: level indices of finite scalar quantisation, a fixed 14 bits a word."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from semcom.limits import MAX_WORDS
from semcom.message import Protection
from semcom.streams.coding.fsq import LEVELS, WORD_BITS
from semcom.streams.format import StreamFormat

STREAM = StreamFormat("spw", Protection.CRITICAL, "pseudo-words")
MAX_BYTES = -(-WORD_BITS * MAX_WORDS // 8)


class WordsError(ValueError):
    """More words than a picture has places for."""


def encode(digits: Tensor) -> bytes:
    """[N,5] level indices → ⌈14·N / 8⌉ bytes."""
    words = np.zeros(len(digits), np.int64)
    for column, levels in zip(digits.T.numpy(), LEVELS, strict=True):
        words = words * levels + column
    bits = words[:, None] >> np.arange(WORD_BITS)[::-1] & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


def decode(data: bytes) -> Tensor:
    """Level indices [N,5] of as many whole words as `data` holds. Raises `WordsError` for more than 64."""
    if len(data) > MAX_BYTES:
        raise WordsError(f"{len(data)} bytes of pseudo-words, {MAX_BYTES} are the most there can be")
    count = 8 * len(data) // WORD_BITS
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=count * WORD_BITS).reshape(count, WORD_BITS)
    words = bits.astype(np.int64) @ (1 << np.arange(WORD_BITS, dtype=np.int64)[::-1])
    columns = []
    for levels in reversed(LEVELS):
        columns.append(words % levels)
        words = words // levels
    return torch.from_numpy(np.stack(columns[::-1], 1))
