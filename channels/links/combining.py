"""What a receiver that combines transmissions gets: the error rate after several HARQ rounds.

Chase combining repeats the same symbols, whose bits' LLRs add up: more information at the same code rate,
resource element by resource element where the band fades in parts.
Incremental redundancy adds bits of the mother code (TS 38.212 §5.4.2.1): a lower code rate at the mean
information of the bits received, where those that came more than once have the LLRs of their transmissions
added. That rate's waterfall is the one measured with QPSK, at the SINR where QPSK bits have the same
information, corrected by what EXIT analysis of the base graph says of bits that are not received alike
(`shortfall_db`). Neither has a constant that was fitted; `benchmarks/harq.py` says how far they are off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from channels.coding.mcs import Mcs
from channels.coding.rate_matching import RV_ORDER
from channels.coding.transport import BaseGraph, TransportFormat
from channels.links.effective_sinr import Floats, of_code_blocks, packet_error_rate, waterfall_at
from channels.links.mutual_information import (
    bit_information,
    level_information,
    repeated_sinr,
    sinr_of_information,
)
from channels.links.protograph import COLUMNS, NUM_PUNCTURED, threshold_db

# TS 38.212 Tables 5.3.2-1 and 5.4.2.1-2
_LIFTING_SIZES = sorted(a << j for a in (2, 3, 5, 7, 9, 11, 13, 15) for j in range(8) if a << j <= 384)
_STARTS: dict[BaseGraph, tuple[int, ...]] = {"bg1": (0, 17, 33, 56), "bg2": (0, 13, 25, 43)}
_HIGHEST_QPSK_RATE = 679 / 1024
# Of the code block that stands for all of an MCS and so many information columns
_TYPICAL_LIFTING_SIZE = 64
# Where thresholds are sought
_THRESHOLDS_DB = (-15.0, 25.0)


def combined_error_rate(
    fmt: TransportFormat, sinrs: Floats, combining: str, together: Floats | None = None
) -> Floats:
    """Probability that packets are lost after all of their transmissions.

    Args:
        fmt: the packets' format.
        sinrs: effective SINR of each transmission, linear, [rounds, packets].
        combining: `chase` or `incremental-redundancy`.
        together: of Chase combining, the effective SINR of all transmissions together, [packets]; by default
            as over a channel that fades the whole band alike.
    """
    bits = fmt.mcs.bits_per_symbol
    if combining == "chase":
        sinr = repeated_sinr(bits, sinrs) if together is None else together
        return packet_error_rate([fmt], np.zeros(len(sinr), dtype=np.int64), sinr)
    length, share, counts = coverage(fmt, len(sinrs))
    as_qpsk = sinr_of_information(2, bit_information(bits, sinrs))
    information = share @ bit_information(2, counts @ as_qpsk)
    curve = waterfall_at(2, min(fmt.k / length, _HIGHEST_QPSK_RATE))
    columns = -(-fmt.k // _lifting_size(fmt.base_graph, fmt.k))
    shortfall = shortfall_db(fmt.mcs, fmt.base_graph, columns, len(sinrs))
    sinr = sinr_of_information(2, information) / 10 ** (shortfall / 10)
    return of_code_blocks(*curve.curve(fmt.k), fmt.num_code_blocks, sinr)


@lru_cache(maxsize=65536)
def coverage(fmt: TransportFormat, rounds: int) -> tuple[int, Floats, Floats]:
    """What the redundancy versions of some rounds send of a code block's circular buffer.

    Returns:
        Bits that are sent at all; the share of them in each run of bits that are sent alike, [runs]; and how
        often each round sends those, [runs, rounds].
    """
    block = _Block(fmt.base_graph, fmt.k, fmt.n, _lifting_size(fmt.base_graph, fmt.k))
    first = [block.start(rv) for rv in RV_ORDER[:rounds]]
    edges = {0, block.length, *first, *((start + fmt.n) % block.length for start in first)}
    points = sorted(edges)
    middles = (np.array(points[:-1]) + np.array(points[1:])) / 2
    offsets = (middles[:, None] - np.array(first)) % block.length
    counts = fmt.n // block.length + (offsets < fmt.n % block.length)
    sizes, sent = np.diff(points), counts.any(axis=1)
    total = int(sizes[sent].sum())
    return total, sizes[sent] / total, counts[sent].astype(np.float64)


@lru_cache(maxsize=4096)
def shortfall_db(mcs: Mcs, base_graph: BaseGraph, k_columns: int, rounds: int) -> float:
    """How much more SINR a code needs after some rounds than its bits' mean information says, in dB.

    The waterfalls were measured with the first bits of the circular buffer, all received alike. Redundancy
    versions leave gaps and send some bits twice, and the interleaver of TS 38.212 §5.4.2.2 gives the first
    bits of each transmission the most reliable levels of a QAM symbol. Both thresholds are those of EXIT
    analysis, with the same SINR in all rounds.

    Args:
        mcs: of the transmissions.
        base_graph: of the code.
        k_columns: base-graph columns that hold information bits.
        rounds: transmissions so far.
    """
    z = _TYPICAL_LIFTING_SIZE
    quantum = mcs.bits_per_symbol
    n = quantum * -(-round(k_columns * z / mcs.code_rate) // quantum)
    block = _Block(base_graph, k_columns * z, n, z)
    counts = block.counts(mcs.bits_per_symbol // 2, rounds)
    sent = counts.any(axis=(1, 2))
    first_bits = _Block(base_graph, block.k, int(sent.sum()), z).counts(1, 1)

    def received(snr_db: float) -> Floats:
        levels = level_information(mcs.bits_per_symbol, 10 ** (snr_db / 10))
        return bit_information(2, counts.sum(axis=1) @ sinr_of_information(2, levels))

    def alike(snr_db: float) -> Floats:
        return bit_information(2, first_bits[:, 0, 0] * 10 ** (snr_db / 10))

    def threshold(bits: Callable[[float], Floats]) -> float:
        return threshold_db(base_graph, lambda snr_db: block.by_column(bits(snr_db)), *_THRESHOLDS_DB)

    one = bit_information(mcs.bits_per_symbol, np.array(10 ** (threshold(received) / 10)))
    as_qpsk = sinr_of_information(2, one) * counts[sent].sum(axis=(1, 2))
    needed = sinr_of_information(2, bit_information(2, as_qpsk).mean())
    return float(10 * np.log10(needed)) - threshold(alike)


@dataclass(frozen=True)
class _Block:
    """Where the bits of a code block lie in its circular buffer, filler bits removed."""

    base_graph: BaseGraph
    k: int
    n: int
    z: int

    @property
    def length(self) -> int:
        return COLUMNS[self.base_graph][1] * self.z - self._filler

    @property
    def _filler(self) -> int:
        return COLUMNS[self.base_graph][0] * self.z - self.k

    @property
    def _before_filler(self) -> int:
        return self.k - NUM_PUNCTURED * self.z

    def start(self, rv: int) -> int:
        """First bit of a redundancy version (TS 38.212 Table 5.4.2.1-2)."""
        start = _STARTS[self.base_graph][rv] * self.z
        return start - min(max(start - self._before_filler, 0), self._filler)

    def counts(self, levels: int, rounds: int) -> Floats:
        """How often each round sends each bit on each level of an amplitude: [bits, rounds, levels]."""
        counts = np.zeros((self.length, rounds, levels))
        place = np.arange(self.n)
        for i, rv in enumerate(RV_ORDER[:rounds]):
            index = (self.start(rv) + place) % self.length, np.full_like(place, i), place * levels // self.n
            np.add.at(counts, index, 1)
        return counts

    def by_column(self, bits: Floats) -> Floats:
        """Mean information of every column's bits, given the buffer's: 0 punctured, 1 known filler."""
        filled = np.insert(bits, self._before_filler, np.ones(self._filler))
        return np.pad(filled.reshape(-1, self.z).mean(axis=1), (NUM_PUNCTURED, 0))


def _lifting_size(base_graph: BaseGraph, k: int) -> int:
    """TS 38.212 §5.2.2."""
    of_bg2 = 10 if k > 640 else 9 if k > 560 else 8 if k > 192 else 6
    columns = 22 if base_graph == "bg1" else of_bg2
    return next(z for z in _LIFTING_SIZES if columns * z >= k)
