"""Which rows and columns of the base graph a rate-matched 5G LDPC code uses, and where they lie in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sionna.phy.fec.ldpc import LDPC5GEncoder

_CORE_ROWS = 4  # the rows of the double-diagonal part; every later row ends in its own degree-1 parity column


class Schedule(NamedTuple):
    """The layered decoder's plan for one code and one set of redundancy versions.

    A "position" counts int16 values from the start of the posterior memory. All arrays are int64.

    Attributes:
        k: information bits.
        z: lifting size.
        filler: filler bits after the information bits.
        buffer_size: length of the circular buffer without filler bits.
        starts: [versions], where each redundancy version starts in that buffer.
        bits_per_symbol: rows of the interleaver of clause 5.4.2.2, 1 without interleaving.
        codewords: codewords interleaved in one vector.
        columns: [columns], base-graph columns in use.
        rotations: [columns], shift in which each column lies before and after a full iteration.
        layers: [layers + 1]: layer i has the edges layers[i] to layers[i + 1].
        read: [edges], position of the column in this edge's shift when its layer's turn comes.
        write: [edges], position where the column begins.
        check: [edges], position of the column in this edge's shift after a full iteration.
    """

    k: int
    z: int
    filler: int
    buffer_size: int
    starts: np.ndarray
    bits_per_symbol: int
    codewords: int
    columns: np.ndarray
    rotations: np.ndarray
    layers: np.ndarray
    read: np.ndarray
    write: np.ndarray
    check: np.ndarray


def used_rows(encoder: LDPC5GEncoder, starts: Sequence[int]) -> list[int]:
    """Base-graph rows that say something about the message, given where the versions start in the buffer.

    A row whose degree-1 parity column was never sent is satisfied by any message, so it is left out: at
    rate 8/9 about six rows of 46 remain.
    """
    buffer_sent = np.zeros(encoder.n_cb_comp, bool)
    for start in starts:
        buffer_sent[(start + np.arange(encoder.n)) % buffer_sent.size] = True
    parity_columns = buffer_sent[encoder.k - 2 * encoder.z :].reshape(-1, encoder.z)
    return [row for row, sent in enumerate(parity_columns) if row < _CORE_ROWS or sent.any()]


def build_schedule(encoder: LDPC5GEncoder, rv: Sequence[int], lanes: int) -> Schedule:
    """Plan for `encoder`'s code when the versions `rv` were received, for vectors of `lanes` values.

    Raises:
        ValueError: a redundancy version is not 0 to 3, or there is none.
    """
    z = encoder.z
    starts = encoder.get_start_positions_comp(list(rv))
    base = _base_graph(encoder)
    rows = _layer_order(used_rows(encoder, starts), base)
    columns = np.flatnonzero((base[rows] >= 0).any(axis=0))
    codewords = _interleaved_codewords(z, lanes)
    begin = np.zeros(base.shape[1], np.int64)
    begin[columns] = np.arange(columns.size) * column_stride(z * codewords, lanes)

    final = np.zeros(base.shape[1], np.int64)
    for row in rows:
        final[base[row] >= 0] = base[row][base[row] >= 0]
    current = final.copy()
    read, write, check, layers = [], [], [], [0]
    for row in rows:
        used = np.flatnonzero(base[row] >= 0)
        shift = base[row][used]
        read.append(begin[used] + (shift - current[used]) % z * codewords)
        write.append(begin[used])
        check.append(begin[used] + (shift - final[used]) % z * codewords)
        layers.append(layers[-1] + used.size)
        current[used] = shift
    return Schedule(
        k=encoder.k,
        z=z,
        filler=encoder.k_filler,
        buffer_size=encoder.n_cb_comp,
        starts=np.array(starts),
        bits_per_symbol=encoder.num_bits_per_symbol or 1,
        codewords=codewords,
        columns=columns,
        rotations=final[columns],
        layers=np.array(layers),
        read=np.concatenate(read),
        write=np.concatenate(write),
        check=np.concatenate(check),
    )


def column_stride(length: int, lanes: int) -> int:
    """Values from one column to the next: `length` values, and again, rounded up to whole vectors."""
    return length + -(-length // lanes) * lanes


def _base_graph(encoder: LDPC5GEncoder) -> np.ndarray:
    """Shifts modulo Z [rows, columns], -1 for no edge; columns of known filler bits have none."""
    base = encoder._bm.astype(np.int64)
    base = np.where(base >= 0, base % encoder.z, -1)
    base[:, -(-encoder.k // encoder.z) : encoder.k_ldpc // encoder.z] = -1
    return base


def _layer_order(rows: list[int], base: np.ndarray) -> list[int]:
    """Rows with one of the two punctured columns first, as only they recover it at once; then by degree."""
    return sorted(rows, key=lambda row: ((base[row, :2] >= 0).sum() != 1, (base[row] >= 0).sum()))


def _interleaved_codewords(z: int, lanes: int) -> int:
    """Enough codewords to fill four vectors; a power of two, so that every vector starts with codeword 0."""
    codewords = 1
    while 2 * codewords * z <= 4 * lanes and 2 * codewords <= lanes:
        codewords *= 2
    return codewords
