"""Integer tables of the key latents, fitted to the latents of training photographs.

Groups of cells are assigned to the table set that codes them in the fewest bits, and every set is
re-estimated from the groups it won, in turn (Lloyd's algorithm in code length). All-zero groups belong
to set 0, which codes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semcom.limits import MAX_LATENT
from semcom.profile import Profile, write_part
from semcom.provenance import provenance
from semcom.streams.key import NUM_SYMBOLS, TABLE_BITS, LatentTables, choose_sets
from semcom.streams.tables import PART
from semcom.train.training_run import DATA_TERMS, TrainingRun

_ROUNDS = 12


def fit_tables(groups: list[NDArray[np.int64]], num_sets: int = 8) -> LatentTables:
    """Tables for groups of latents [cells,C].

    Args:
        groups: from training pictures, all-zero groups included.
        num_sets: table sets, set 0 included.
    """
    busy = [group for group in groups if group.any()]
    zeros = len(groups) - len(busy)
    order = np.argsort([np.abs(group).mean() for group in busy])
    chosen = np.empty(len(busy), int)
    chosen[order] = np.arange(len(busy)) * (num_sets - 1) // len(busy)
    tables = _estimate(busy, chosen, zeros, num_sets)
    for _ in range(_ROUNDS):
        set_bits, lengths = TABLE_BITS - np.log2(tables.sets), tables.code_lengths()
        chosen = np.array([choose_sets(group, set_bits, lengths) - 1 for group in busy])
        tables = _estimate(busy, chosen, zeros, num_sets)
    return tables


def mean_bits(groups: list[NDArray[np.int64]], tables: LatentTables) -> float:
    """Ideal code length of a group in bits, the choice of its table set included."""
    set_bits, lengths = TABLE_BITS - np.log2(tables.sets), tables.code_lengths()
    total = 0.0
    for group in groups:
        chosen = choose_sets(group, set_bits, lengths)
        total += set_bits[chosen]
        if chosen:
            total += lengths[chosen - 1, np.arange(group.shape[1]), group + MAX_LATENT].sum()
    return total / len(groups)


def _estimate(
    busy: list[NDArray[np.int64]], chosen: NDArray[np.int64], zeros: int, num_sets: int
) -> LatentTables:
    channels = busy[0].shape[1]
    symbols = np.full((num_sets - 1, channels, NUM_SYMBOLS), 0.05)
    for group, index in zip(busy, chosen, strict=True):
        for cell in group:
            symbols[index, np.arange(channels), cell + MAX_LATENT] += 1
    sets = np.array([zeros, *np.bincount(chosen, minlength=num_sets - 1)]) + 1.0
    return LatentTables(integers(sets), np.apply_along_axis(integers, -1, symbols))


def write_tables(wanted: TrainingRun, note: Mapping[str, Any] | None = None, **tables: Any) -> None:
    """Replaces some of the tables in the part `stream_tables` of a profile, and says so in its card."""
    card: dict[str, Any] = {"holds": "integer tables of card, mask and texture"}
    tensors: dict[str, Tensor] = {}
    if (wanted.profile / "profile.json").exists() and PART in (profile := Profile.open(wanted.profile)):
        card, tensors = profile.card(PART), dict(profile.tensors(PART))
    learned = {name: torch.tensor(values, dtype=torch.int32) for name, values in tables.items()}
    of = {"data": list(wanted.data), "data_terms": DATA_TERMS, **(note or {})} | provenance()
    card |= dict.fromkeys(tables, of)
    write_part(wanted.profile, PART, {}, tensors | learned, card)


def integers(weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Positive integers in proportion to `weights` that sum to 2**12."""
    total = 1 << TABLE_BITS
    counts = 1 + np.floor(weights / weights.sum() * (total - len(weights))).astype(np.int64)
    counts[counts.argmax()] += total - counts.sum()
    return counts
