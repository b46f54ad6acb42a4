"""From the SINRs that a code block meets to the probability that it's lost.

The exponential effective-SINR mapping (EESM) turns the SINRs of a packet's resource elements into the one
SINR of an AWGN channel with the same error rate; a table of waterfalls over AWGN, measured with this
project's own coding chain and decoder (`benchmarks/abstraction.py tables`), turns that into a block error
rate.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from channels.coding.mcs import Mcs
from channels.coding.transport import TransportFormat

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Waterfall:
    """Block error rates of one modulation and code rate over AWGN, by code-block size.

    In dB they are close to a normal distribution's tail: BLER = Q((sinr_db - threshold_db) / spread_db).
    """

    block_bits: tuple[int, ...]
    threshold_db: tuple[float, ...]
    spread_db: tuple[float, ...]
    eesm_beta: float

    def curve(self, k: int) -> tuple[float, float]:
        """Threshold and spread in dB of code blocks of `k` bits, interpolated between the sizes measured."""
        sizes, size = np.log2(self.block_bits), np.log2(k)
        return float(np.interp(size, sizes, self.threshold_db)), float(np.interp(size, sizes, self.spread_db))


@cache
def _measured() -> dict[int, list[tuple[float, Waterfall]]]:
    """Code rates and waterfalls by modulation, rates rising."""
    table = json.loads(files("channels").joinpath("data/bler_tables.json").read_text())
    measured: dict[int, list[tuple[float, Waterfall]]] = {}
    for row in sorted(table["waterfalls"], key=lambda row: row["code_rate_x_1024"]):
        # Low rates cut the longest packets into blocks that are shorter than the packets before
        by_size = sorted(zip(row["block_bits"], row["threshold_db"], row["spread_db"], strict=True))
        block_bits, threshold_db, spread_db = zip(*by_size, strict=True)
        curve = Waterfall(block_bits, threshold_db, spread_db, row["eesm_beta"])
        measured.setdefault(row["bits_per_symbol"], []).append((row["code_rate_x_1024"] / 1024, curve))
    return measured


def waterfall(mcs: Mcs) -> Waterfall:
    """Return the waterfall of an MCS: measured, or interpolated between the nearest rates measured."""
    try:
        return waterfall_at(mcs.bits_per_symbol, mcs.code_rate)
    except LookupError as error:
        raise LookupError(f"MCS {mcs.index} of table {mcs.table}: {error}") from None


@cache
def waterfall_at(bits_per_symbol: int, code_rate: float) -> Waterfall:
    """Return the waterfall of a modulation and a code rate, as `waterfall`."""
    curves = _measured().get(bits_per_symbol, [])
    if not curves or not curves[0][0] <= code_rate <= curves[-1][0]:
        raise LookupError(
            f"no waterfall measured around {bits_per_symbol} bits a symbol at rate {code_rate:.3f}: run "
            "python benchmarks/abstraction.py tables"
        )
    above = next(i for i, (rate, _) in enumerate(curves) if rate >= code_rate)
    (high, upper), (low, lower) = curves[above], curves[max(above - 1, 0)]
    if high == code_rate:
        return upper
    share = (code_rate - low) / (high - low)

    def blend(a: Iterable[float], b: Iterable[float]) -> tuple[float, ...]:
        return tuple(float((1 - share) * x + share * y) for x, y in zip(a, b, strict=True))

    sizes = lower.block_bits
    at_same_sizes = {
        "threshold_db": np.interp(sizes, upper.block_bits, upper.threshold_db),
        "spread_db": np.interp(sizes, upper.block_bits, upper.spread_db),
    }
    return Waterfall(
        sizes,
        blend(lower.threshold_db, at_same_sizes["threshold_db"]),
        blend(lower.spread_db, at_same_sizes["spread_db"]),
        *blend([lower.eesm_beta], [upper.eesm_beta]),
    )


@cache
def _curve(fmt: TransportFormat) -> tuple[float, float, int]:
    """Threshold and spread in dB of a packet's code blocks, and their number."""
    return *waterfall(fmt.mcs).curve(fmt.k), fmt.num_code_blocks


def packet_error_rate(formats: Sequence[TransportFormat], which: NDArray[np.int64], sinr: Floats) -> Floats:
    """Probability that packets are lost in their first transmission.

    Args:
        formats: the transport formats that occur.
        which: index into `formats` of each packet.
        sinr: effective SINR of each packet, linear.
    """
    threshold_db, spread_db, blocks = np.array([_curve(fmt) for fmt in formats]).T[:, which]
    return of_code_blocks(threshold_db, spread_db, blocks, sinr)


def of_code_blocks(
    threshold_db: Floats | float, spread_db: Floats | float, blocks: Floats | int, sinr: Floats
) -> Floats:
    """Probability that packets of so many code blocks are lost: one wrong block loses a packet."""
    bler = ndtr((threshold_db - 10 * np.log10(np.maximum(sinr, 1e-12))) / spread_db)
    return np.asarray(1 - (1 - bler) ** blocks)
