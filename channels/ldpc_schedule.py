"""Which base-graph rows and columns a rate-matched 5G LDPC code uses, and where the decoder finds their messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sionna.phy.fec.ldpc import LDPC5GEncoder

_CORE_ROWS = 4  # the rows of the double-diagonal part; every later row ends in its own degree-1 parity column


@dataclass(frozen=True)
class Schedule:
    """Order of the layered decoder for one set of redundancy versions; positions in `edges` index int16 arrays.

    Attributes:
        columns: [2, columns]: base-graph column, and the shift its posteriors have after a full iteration.
        edges: [3, edges]: position to read in this edge's own shift, position to write, and position to read in
            this edge's shift at the end of an iteration.
        layers: [layers + 1]: layer i has the edges layers[i] to layers[i + 1].
        starts: [versions]: first position of each redundancy version in the circular buffer without filler bits.
        codewords: number of codewords interleaved in one vector.
    """

    columns: np.ndarray
    edges: np.ndarray
    layers: np.ndarray
    starts: np.ndarray
    codewords: int


def used_rows(encoder: LDPC5GEncoder, starts: Sequence[int]) -> list[int]:
    """Base-graph rows that say something about the message.

    A row whose degree-1 parity column was never sent is satisfied by any message, so it is left out: at rate 8/9
    only about six rows of 46 remain.
    """
    buffer_sent = np.zeros(encoder.n_cb_comp, bool)
    for start in starts:
        buffer_sent[(start + np.arange(encoder.n)) % buffer_sent.size] = True
    systematic = encoder.k - 2 * encoder.z
    parity_sent = buffer_sent[systematic:].reshape(-1, encoder.z).any(axis=1)
    return [*range(_CORE_ROWS), *(np.flatnonzero(parity_sent[_CORE_ROWS:]) + _CORE_ROWS).tolist()]


def _layer_order(rows: list[int], base: np.ndarray) -> list[int]:
    """Rows with exactly one of the two punctured columns first, as only they recover it at once; then by degree."""
    return sorted(rows, key=lambda row: ((base[row, :2] >= 0).sum() != 1, (base[row] >= 0).sum()))


def build_schedule(encoder: LDPC5GEncoder, rv: Sequence[int], lanes: int) -> Schedule:
    """Layer schedule of `encoder`'s code when the redundancy versions `rv` were received, for `lanes`-wide vectors."""
    z = encoder.z
    starts = encoder.get_start_positions_comp(list(rv))
    base = _base_graph(encoder)
    rows = _layer_order(used_rows(encoder, starts), base)
    columns = np.flatnonzero((base[rows] >= 0).any(axis=0))
    codewords = _interleaved_codewords(z, lanes)
    padded = -(-z * codewords // lanes) * lanes
    column_start = np.zeros(base.shape[1], np.int64)
    column_start[columns] = np.arange(columns.size) * (z * codewords + padded)

    final = np.zeros(base.shape[1], np.int64)
    for row in rows:
        final[base[row] >= 0] = base[row][base[row] >= 0]
    current = final.copy()
    read, write, check, layers = [], [], [], [0]
    for row in rows:
        used = np.flatnonzero(base[row] >= 0)
        shift = base[row][used]
        read.append(column_start[used] + (shift - current[used]) % z * codewords)
        write.append(column_start[used])
        check.append(column_start[used] + (shift - final[used]) % z * codewords)
        layers.append(layers[-1] + used.size)
        current[used] = shift
    return Schedule(
        columns=np.stack([columns, final[columns]]),
        edges=np.stack([np.concatenate(read), np.concatenate(write), np.concatenate(check)]),
        layers=np.array(layers),
        starts=np.array(starts),
        codewords=codewords,
    )


def _base_graph(encoder: LDPC5GEncoder) -> np.ndarray:
    """Shifts modulo Z [rows, columns], -1 where there is no edge; columns of only filler bits (known 0) have none."""
    base = encoder._bm.astype(np.int64)
    base = np.where(base >= 0, base % encoder.z, -1)
    base[:, -(-encoder.k // encoder.z) : encoder.k_ldpc // encoder.z] = -1
    return base


def _interleaved_codewords(z: int, lanes: int) -> int:
    """Enough codewords to fill a few vectors, as a power of two so that every vector starts with codeword 0."""
    codewords = 1
    while 2 * codewords * z <= 4 * lanes and 2 * codewords <= lanes:
        codewords *= 2
    return codewords
