"""What channel a 5G LDPC base graph needs where its columns are not received alike.

Protograph EXIT analysis (Liva and Chiani, IEEE GLOBECOM 2007): the messages of every edge of the base graph
are taken for normal and followed by their information through the iterations of belief propagation. It
knows what a mean over all bits doesn't: that a parity bit of one check is worth less than an information bit
of ten.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from channels.coding.transport import BaseGraph
from channels.links.mutual_information import Floats, normal_information

COLUMNS: dict[BaseGraph, tuple[int, int]] = {"bg1": (22, 66), "bg2": (10, 50)}
"""Of information bits and of the circular buffer, in lifting sizes (TS 38.212 §5.3.2, §5.4.2.1)."""
NUM_PUNCTURED = 2
"""The first columns, which are never sent."""
# The rows of the double diagonal; a later row says nothing unless its own parity column was sent
_CORE_ROWS = 4
# Rows all at once; a layered decoder needs half as many iterations (20 by default)
_ITERATIONS = 40
_DECODED = 0.999
_SNR_DB = np.arange(-50.0, 20.0, 0.1)
_STEP_DB = 0.01


def threshold_db(
    base_graph: BaseGraph, information: Callable[[float], Floats], low_db: float, high_db: float
) -> float:
    """SINR in dB, between two, from which on belief propagation decodes.

    Args:
        base_graph: of the code.
        information: of every column's bits, 0 where nothing is sent and 1 where they are known, at an SINR in
            dB: [columns, the punctured ones first].
        low_db: where it doesn't decode.
        high_db: where it does.
    """
    while high_db - low_db > _STEP_DB:
        middle = (low_db + high_db) / 2
        if decodes(base_graph, information(middle)):
            high_db = middle
        else:
            low_db = middle
    return (low_db + high_db) / 2


def decodes(base_graph: BaseGraph, information: Floats) -> bool:
    """Whether belief propagation finds the information bits, given the channel's information by column."""
    k_columns, _ = COLUMNS[base_graph]
    rows, columns = _edges(base_graph)
    useful = (rows < _CORE_ROWS) | (information[k_columns + rows] > 0)
    rows, columns = rows[useful], columns[useful]
    of_column = np.eye(len(information))[:, columns]
    of_row = np.eye(rows.max() + 1)[:, rows]
    channel = _snr(information)
    to_variable = np.zeros(len(rows))
    for _ in range(_ITERATIONS):
        to_check = (channel + of_column @ to_variable)[columns] - to_variable
        # At a check, what is missing adds up (the duality of repetition and parity)
        missing = _snr(1 - _information(to_check))
        to_variable = _snr(1 - _information((of_row @ missing)[rows] - missing))
    posterior = _information(channel + of_column @ to_variable)
    return bool(posterior[:k_columns].min() > _DECODED)


@cache
def _edges(base_graph: BaseGraph) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the edges (TS 38.212 Tables 5.3.2-2 and 5.3.2-3), as Sionna ships them."""
    source = files("sionna.phy.fec.ldpc").joinpath(f"codes/5G_{base_graph}.csv").read_text()
    row, edges = 0, []
    for line in source.splitlines()[2:]:
        first, column = line.split(";")[:2]
        row = int(first) if first else row
        edges.append((row, int(column)))
    rows, columns = np.array(edges).T
    return rows, columns


@cache
def _curve() -> Floats:
    """Information of a QPSK symbol's bits over `_SNR_DB`."""
    mean = 2 * 10 ** (_SNR_DB / 10)
    return np.maximum.accumulate(np.clip(normal_information(mean, 2 * mean), 1e-9, 1 - 1e-12))


def _information(snr: Floats) -> Floats:
    return np.asarray(np.interp(10 * np.log10(np.maximum(snr, 1e-9)), _SNR_DB, _curve()))


def _snr(information: Floats) -> Floats:
    """SINR at which QPSK bits have this information: what adds up where LLRs do."""
    return np.asarray(10 ** (np.interp(information, _curve(), _SNR_DB) / 10))
