"""From the SINRs that a code block meets to the probability that it's lost.

The exponential effective-SINR mapping (EESM) turns the SINRs of a packet's resource elements into the one
SINR of an AWGN channel with the same error rate; a table of waterfalls over AWGN, measured with this
project's own coding chain and decoder (`benchmarks/abstraction.py tables`), turns that into a block error
rate.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from scipy.special import ndtr

from channels.mcs import Mcs
from channels.transport import TransportFormat


@dataclass(frozen=True)
class Waterfall:
    """Block error rates of one modulation and code rate over AWGN, by code-block size.

    In dB they are close to a normal distribution's tail: BLER = Q((sinr_db - threshold_db) / spread_db).
    """

    block_bits: tuple[int, ...]
    threshold_db: tuple[float, ...]
    spread_db: tuple[float, ...]
    eesm_beta: float

    def bler(self, k: int, sinr_db: float) -> float:
        """Block error rate of a code block of `k` bits, interpolated between the sizes measured."""
        sizes = np.log2(self.block_bits)
        threshold = np.interp(np.log2(k), sizes, self.threshold_db)
        spread = np.interp(np.log2(k), sizes, self.spread_db)
        return float(ndtr((threshold - sinr_db) / spread))


@lru_cache(maxsize=1)
def _waterfalls() -> dict[tuple[int, float], Waterfall]:
    table = json.loads(files("channels").joinpath("data/bler_tables.json").read_text())
    return {
        (row["bits_per_symbol"], row["code_rate_x_1024"]): Waterfall(
            tuple(row["block_bits"]), tuple(row["threshold_db"]), tuple(row["spread_db"]), row["eesm_beta"]
        )
        for row in table["waterfalls"]
    }


def waterfall(mcs: Mcs) -> Waterfall:
    """Return the measured waterfall of an MCS; tables share rows of equal modulation and rate."""
    return _waterfalls()[mcs.bits_per_symbol, mcs.code_rate * 1024]


def packet_error_rate(fmt: TransportFormat, sinr: float) -> float:
    """Probability that a packet is lost at an effective SINR (linear): one wrong block loses it."""
    sinr_db = 10 * math.log10(max(sinr, 1e-12))
    bler = waterfall(fmt.mcs).bler(fmt.k, sinr_db)
    return float(1 - (1 - bler) ** fmt.num_code_blocks)
