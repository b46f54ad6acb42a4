"""Range coder in integers: the lossless last step of the mask, the caption and the key latents.

Why not a library: `constriction`, the obvious one, writes whole 32-bit words (measured on strings of
20 bytes: 1.8 bytes more than this coder with its range coder, 4.2 with its ANS coder) and its Python
models are made from floating-point probabilities. Here every model is an integer table or integer
counts, so the bytes are the same on every machine; the state moves by bytes, and `finish` sends no byte
that the decoder could guess: a decoder reads zeros past the end, so trailing zeros are never sent.

The coder is the carry-propagating byte-wise range coder (G. N. N. Martin, 1979; the same family as
LZMA's), with a 48-bit state so that no table of up to 2**16 loses precision.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

MAX_TOTAL_BITS = 16
_STATE_BITS = 48
_STATE_MASK = (1 << _STATE_BITS) - 1
_TOP_SHIFT = _STATE_BITS - 8
_RENORMALISE_BELOW = 1 << _TOP_SHIFT
_PROBABILITY_BITS = 16


class Encoder:
    """Narrows an interval symbol by symbol; `finish` names the shortest byte string inside it."""

    def __init__(self) -> None:
        self._low, self._range, self._bytes = 0, _STATE_MASK + 1, bytearray()

    def encode(self, cum_low: int, cum_high: int, total_bits: int) -> None:
        """Codes the symbol that owns [cum_low, cum_high) of 2**total_bits.

        Args:
            cum_low, cum_high: 0 ≤ cum_low < cum_high ≤ 2**total_bits.
            total_bits: at most 16.
        """
        step = self._range >> total_bits
        self._low += step * cum_low
        self._range = _width(self._range, step, cum_low, cum_high, total_bits)
        if self._low > _STATE_MASK:
            self._low &= _STATE_MASK
            _carry(self._bytes)
        while self._range < _RENORMALISE_BELOW:
            self._bytes.append(self._low >> _TOP_SHIFT)
            self._low = self._low << 8 & _STATE_MASK
            self._range <<= 8

    def encode_bit(self, bit: bool, model: BitModel) -> None:
        """Codes a bit with an adaptive model, then lets the model learn it."""
        zero = model.probability_of_zero()
        if bit:
            self.encode(zero, 1 << _PROBABILITY_BITS, _PROBABILITY_BITS)
        else:
            self.encode(0, zero, _PROBABILITY_BITS)
        model.update(bit)

    def finish(self) -> bytes:
        """The string: the fewest bytes that, followed by zeros, lie in the interval. Call once."""
        for shift in range(_STATE_BITS, -1, -8):
            value = -(-self._low >> shift) << shift
            if value < self._low + self._range:
                break
        if value > _STATE_MASK:
            value &= _STATE_MASK
            _carry(self._bytes)
        return (bytes(self._bytes) + value.to_bytes(_STATE_BITS // 8, "big")).rstrip(b"\x00")


class Decoder:
    """Reads what `Encoder` wrote; any bytes at all decode to some symbols.

    Args:
        data: the string; zeros follow it without end.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._position, self._range = data, _STATE_BITS // 8, _STATE_MASK + 1
        head = data[: self._position].ljust(self._position, b"\x00")
        self._offset = int.from_bytes(head, "big")

    def decode_target(self, total_bits: int) -> int:
        """A number in [0, 2**total_bits) that lies in the interval of the next symbol."""
        return min(self._offset // (self._range >> total_bits), (1 << total_bits) - 1)

    def advance(self, cum_low: int, cum_high: int, total_bits: int) -> None:
        """Takes the symbol that owns [cum_low, cum_high), found from `decode_target`."""
        step = self._range >> total_bits
        self._offset -= step * cum_low
        self._range = _width(self._range, step, cum_low, cum_high, total_bits)
        while self._range < _RENORMALISE_BELOW:
            byte = self._data[self._position] if self._position < len(self._data) else 0
            self._offset = self._offset << 8 | byte
            self._position += 1
            self._range <<= 8

    def decode_bit(self, model: BitModel) -> bool:
        """Next bit of an adaptive model, which learns it."""
        zero = model.probability_of_zero()
        bit = self.decode_target(_PROBABILITY_BITS) >= zero
        if bit:
            self.advance(zero, 1 << _PROBABILITY_BITS, _PROBABILITY_BITS)
        else:
            self.advance(0, zero, _PROBABILITY_BITS)
        model.update(bit)
        return bit


class BitModel:
    """Adaptive probability of a bit from two integer counts.

    Args:
        zeros, ones: counts to start from, at least 1 each; their sum is the weight of the start.
        increment: what one coded bit adds to its count.
    """

    _LIMIT = 1 << 14

    def __init__(self, zeros: int, ones: int, increment: int) -> None:
        self._zeros, self._ones, self._increment = zeros, ones, increment

    def probability_of_zero(self) -> int:
        """Share of 2**16, never 0 and never all of it."""
        return (self._zeros << _PROBABILITY_BITS) // (self._zeros + self._ones)

    def update(self, bit: bool) -> None:
        """Counts one bit; old bits fade once the counts are large."""
        if bit:
            self._ones += self._increment
        else:
            self._zeros += self._increment
        if self._zeros + self._ones > self._LIMIT:
            self._zeros, self._ones = (self._zeros + 1) >> 1, (self._ones + 1) >> 1


Table = Sequence[int]
"""Cumulative frequencies [0, f0, f0+f1, …, 2**total_bits], strictly increasing."""


def encode_symbols(symbols: Iterable[int], tables: Iterable[Table], total_bits: int) -> bytes:
    """Codes symbol i with the static table i.

    Args:
        symbols: each in [0, len(table) - 1).
        tables: one per symbol, all of total 2**total_bits.
        total_bits: at most 16.
    """
    encoder = Encoder()
    for symbol, table in zip(symbols, tables, strict=True):
        encoder.encode(table[symbol], table[symbol + 1], total_bits)
    return encoder.finish()


def decode_symbols_in_turn(data: bytes, total_bits: int) -> Callable[[Table], int]:
    """Reads the next symbol with a table that may depend on those before.

    Damaged data gives other symbols of the tables, never an error.
    """
    decoder = Decoder(data)

    def read(table: Table) -> int:
        symbol = bisect_right(table, decoder.decode_target(total_bits)) - 1
        decoder.advance(table[symbol], table[symbol + 1], total_bits)
        return symbol

    return read


def _width(width: int, step: int, cum_low: int, cum_high: int, total_bits: int) -> int:
    """Interval of a symbol; the last one owns the rounding rest, so no byte string is invalid."""
    return width - step * cum_low if cum_high >> total_bits else step * (cum_high - cum_low)


def _carry(written: bytearray) -> None:
    """Adds one to the bytes already written; the interval stays below 1, so it never runs off."""
    position = len(written) - 1
    while written[position] == 0xFF:
        written[position] = 0
        position -= 1
    written[position] += 1
