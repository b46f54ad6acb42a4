"""Key packets: lossless, independent of each other, and never larger than the tables promise."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom.limits import MAX_LATENT
from semcom.streams.key import (
    NUM_SYMBOLS,
    PHASES,
    TABLE_BITS,
    LatentTables,
    decode,
    encode,
    packet_cells,
)
from semcom.train.tables import fit_tables

CHANNELS = 6


def sparse_latents(rng, rows, columns):
    busy = rng.random((1, rows, columns)) < 0.4
    laplace = rng.laplace(0, 0.7, (CHANNELS, rows, columns)).round().astype(np.int64)
    return np.clip(laplace * busy, -MAX_LATENT, MAX_LATENT)


def some_tables(rng):
    latents = sparse_latents(rng, 24, 24)
    everywhere = np.ones((24, 24), bool)
    groups = [
        np.stack([latents[:, y, x] for y, x in cells])
        for packet in packet_cells(everywhere, 1)
        for cells in packet
    ]
    return fit_tables(groups, num_sets=4)


TABLES = some_tables(np.random.default_rng(0))


def test_tables_are_integer_distributions():
    assert TABLES.sets.sum() == 1 << TABLE_BITS
    assert TABLES.symbols.shape == (3, CHANNELS, NUM_SYMBOLS)
    assert (TABLES.symbols.sum(-1) == 1 << TABLE_BITS).all()
    assert (TABLES.symbols > 0).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_what_arrives_is_exact_and_what_is_lost_is_zero(rows, columns, seed, loss):
    rng = np.random.default_rng(seed)
    key_map = rng.random((rows, columns)) < 0.7
    latents = sparse_latents(rng, rows, columns)
    sent = encode(latents, key_map, TABLES)
    assert len(sent) % PHASES == 0
    received = [None if rng.random() < loss else packet for packet in sent]
    decoded, arrived = decode(received, key_map, TABLES)
    np.testing.assert_array_equal(decoded, latents * arrived)
    assert not (arrived & ~key_map).any()
    if loss == 0:
        np.testing.assert_array_equal(arrived, key_map)


def test_a_lost_packet_leaves_the_neighbours():
    key_map = np.ones((8, 8), bool)
    latents = sparse_latents(np.random.default_rng(1), 8, 8)
    sent = encode(latents, key_map, TABLES)
    _, arrived = decode([None, *sent[1:]], key_map, TABLES)
    for y, x in np.argwhere(~arrived):
        around = arrived[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        assert around.sum() == around.size - 1


def test_every_key_cell_is_in_exactly_one_packet():
    key_map = np.random.default_rng(2).random((19, 31)) < 0.5
    for strips in (1, 2, 5):
        cells = [cell for packet in packet_cells(key_map, strips) for group in packet for cell in group]
        assert sorted(cells) == [tuple(cell) for cell in np.argwhere(key_map).tolist()]


def test_length_follows_the_entropy_of_the_tables():
    """A range coder may add at most a few bytes a packet to the ideal code length of its tables."""
    rng = np.random.default_rng(3)
    key_map, latents = np.ones((40, 40), bool), sparse_latents(rng, 40, 40)
    sent = encode(latents, key_map, TABLES)
    set_bits, lengths = TABLE_BITS - np.log2(TABLES.sets), TABLES.code_lengths()
    ideal = 0.0
    for packet in packet_cells(key_map, len(sent) // PHASES):
        for cells in packet:
            values = np.stack([latents[:, y, x] for y, x in cells])
            costs = lengths[:, np.arange(CHANNELS), values + MAX_LATENT].sum((1, 2)) + set_bits[1:]
            ideal += costs.min() if values.any() else set_bits[0]
    assert ideal / 8 - 1 <= sum(map(len, sent)) <= ideal / 8 + 2 * len(sent)


def test_empty_key_map_sends_nothing():
    assert encode(np.zeros((CHANNELS, 5, 5), np.int64), np.zeros((5, 5), bool), TABLES) == []


def test_packets_of_phases_without_a_key_cell_have_a_byte():
    """A chunk without bytes is none: sweeps refuse it."""
    key_map = np.zeros((5, 5), bool)
    key_map[2, 2] = True
    latents = np.zeros((CHANNELS, 5, 5), np.int64)
    latents[:, 2, 2] = 1
    sent = encode(latents, key_map, TABLES)
    assert len(sent) == 4 and all(sent)
    decoded, arrived = decode(sent, key_map, TABLES)
    assert (decoded == latents).all() and (arrived == key_map).all()


def test_fitted_sets_beat_one_table():
    """Signalled sets must pay for their side information on data with two kinds of groups."""
    rng = np.random.default_rng(4)
    key_map = np.ones((48, 48), bool)
    quiet, loud = (rng.laplace(0, scale, (CHANNELS, 48, 48)).round() for scale in (0.25, 2.0))
    halves = np.where(np.arange(48)[None, :, None] < 24, quiet, loud)
    latents = np.clip(halves, -MAX_LATENT, MAX_LATENT).astype(np.int64)
    groups = [
        np.stack([latents[:, y, x] for y, x in cells])
        for packet in packet_cells(key_map, 1)
        for cells in packet
    ]
    sizes = [sum(map(len, encode(latents, key_map, fit_tables(groups, num_sets=n)))) for n in (2, 5)]
    assert sizes[1] < 0.95 * sizes[0]


def test_tables_survive_storage_as_int16():
    stored = LatentTables(TABLES.sets.astype(np.int16).astype(np.int64), TABLES.symbols)
    np.testing.assert_array_equal(stored.sets, TABLES.sets)


def test_the_largest_pictures_stay_within_the_headers_packet_count():
    """A dense key map of a tall picture would otherwise be cut into more packets than one byte counts."""
    rng = np.random.default_rng(5)
    key_map = np.ones((320, 60), bool)
    latents = np.clip(rng.laplace(0, 3, (CHANNELS, 320, 60)).round(), -7, 7).astype(np.int64)
    sent = encode(latents, key_map, TABLES)
    assert len(sent) == 252
    decoded, _ = decode(sent, key_map, TABLES)
    np.testing.assert_array_equal(decoded, latents)
