"""What a receiver that combines transmissions gets: the error rate after several HARQ rounds.

Chase combining repeats the same symbols, whose bits' LLRs add up: more information at the same code rate.
Incremental redundancy adds bits of the mother code (TS 38.212 §5.4.2.1): a lower code rate at the mean
information of the bits received, where those that came more than once have the LLRs of their transmissions
added. That rate's waterfall is the one measured with QPSK, at the SINR where QPSK bits have the same
information. Neither has a constant that was fitted; `benchmarks/harq.py` says how far they are off.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from channels.coding.rate_matching import RV_ORDER
from channels.coding.transport import BaseGraph, TransportFormat
from channels.links.effective_sinr import Floats, of_code_blocks, packet_error_rate, waterfall_at
from channels.links.mutual_information import bit_information, repeated_sinr, sinr_of_information

# TS 38.212 Tables 5.3.2-1 and 5.4.2.1-2
_LIFTING_SIZES = sorted(a << j for a in (2, 3, 5, 7, 9, 11, 13, 15) for j in range(8) if a << j <= 384)
_STARTS: dict[BaseGraph, tuple[int, ...]] = {"bg1": (0, 17, 33, 56), "bg2": (0, 13, 25, 43)}
_COLUMNS: dict[BaseGraph, tuple[int, int]] = {"bg1": (22, 66), "bg2": (10, 50)}
"""Of information bits and of the circular buffer, in lifting sizes."""
_HIGHEST_QPSK_RATE = 679 / 1024


def combined_error_rate(fmt: TransportFormat, sinrs: Floats, combining: str) -> Floats:
    """Probability that packets are lost after all of their transmissions.

    Args:
        fmt: the packets' format.
        sinrs: effective SINR of each transmission, linear, [rounds, packets].
        combining: `chase` or `incremental-redundancy`.
    """
    bits = fmt.mcs.bits_per_symbol
    if combining == "chase":
        sinr = repeated_sinr(bits, sinrs)
        return packet_error_rate([fmt], np.zeros(len(sinr), dtype=np.int64), sinr)
    length, share, counts = coverage(fmt, len(sinrs))
    as_qpsk = sinr_of_information(2, bit_information(bits, sinrs))
    information = share @ bit_information(2, counts @ as_qpsk)
    curve = waterfall_at(2, min(fmt.k / length, _HIGHEST_QPSK_RATE))
    sinr = sinr_of_information(2, information)
    return of_code_blocks(*curve.curve(fmt.k), fmt.num_code_blocks, sinr)


@lru_cache(maxsize=65536)
def coverage(fmt: TransportFormat, rounds: int) -> tuple[int, Floats, Floats]:
    """What the redundancy versions of some rounds send of a code block's circular buffer.

    Returns:
        Bits that are sent at all; the share of them in each run of bits that are sent alike, [runs]; and how
        often each round sends those, [runs, rounds].
    """
    (k_columns, columns), starts = _COLUMNS[fmt.base_graph], _STARTS[fmt.base_graph]
    z = _lifting_size(fmt.base_graph, fmt.k)
    # Filler bits stand behind the information bits, whose first two columns are never sent
    filler, before = k_columns * z - fmt.k, fmt.k - 2 * z
    length = columns * z - filler
    edges, first = {0, length}, []
    for rv in RV_ORDER[:rounds]:
        start = starts[rv] * z
        first.append(start - min(max(start - before, 0), filler))
        edges |= {first[-1], (first[-1] + fmt.n) % length}
    points = sorted(edges)
    middles = (np.array(points[:-1]) + np.array(points[1:])) / 2
    offsets = (middles[:, None] - np.array(first)) % length
    counts = fmt.n // length + (offsets < fmt.n % length)
    sizes, sent = np.diff(points), counts.any(axis=1)
    total = int(sizes[sent].sum())
    return total, sizes[sent] / total, counts[sent].astype(np.float64)


def _lifting_size(base_graph: BaseGraph, k: int) -> int:
    """TS 38.212 §5.2.2."""
    of_bg2 = 10 if k > 640 else 9 if k > 560 else 8 if k > 192 else 6
    columns = 22 if base_graph == "bg1" else of_bg2
    return next(z for z in _LIFTING_SIZES if columns * z >= k)
