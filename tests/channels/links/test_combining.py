import dataclasses

import numpy as np
import pytest
import torch

from channels.coding.mcs import mcs
from channels.coding.rate_matching import RV_ORDER, ldpc_code
from channels.coding.transport import transport_format
from channels.links.combining import combined_error_rate, coverage, shortfall_db
from channels.links.digital import demapper, mapper
from channels.links.effective_sinr import packet_error_rate
from channels.links.mutual_information import repeated_sinr, repeated_sinr_of_sums
from channels.links.report import wilson_interval


@pytest.mark.parametrize("table", [1, 3])
@pytest.mark.parametrize("index", [0, 4, 9, 13, 20, 28])
@pytest.mark.parametrize("num_bytes", [5, 60, 100, 400, 1500])
def test_coverage_is_that_of_the_rate_matcher(table, index, num_bytes):
    fmt = transport_format(num_bytes, mcs(table, index))
    code = ldpc_code(fmt.base_graph, fmt.k, fmt.n, fmt.mcs.bits_per_symbol, 20)
    for rounds in (1, 2, 3, 4):
        times = torch.zeros(rounds, code.buffer_length)
        for row, rv in zip(times, RV_ORDER, strict=False):
            row.index_add_(0, code._positions(rv), torch.ones(fmt.n))
        length, share, counts = coverage(fmt, rounds)
        sent = times[:, times.any(dim=0)]
        assert sent.shape[1] == length
        assert share.sum() == pytest.approx(1)
        patterns, sizes = np.unique(sent.numpy(), axis=1, return_counts=True)
        expected = dict(zip(map(tuple, patterns.T), sizes, strict=True))
        found: dict[tuple[float, ...], float] = {}
        for part, row in zip(share, counts, strict=True):
            found[tuple(row)] = found.get(tuple(row), 0) + part * length
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
def test_chase_of_one_round_is_that_round(bits):
    index = {2: 2, 4: 7, 6: 15, 8: 23}[bits]
    fmt = transport_format(100, mcs(2, index))
    sinr = 10 ** (np.linspace(-5, 30, 50) / 10)
    once = packet_error_rate([fmt], np.zeros(50, int), sinr)
    np.testing.assert_allclose(combined_error_rate(fmt, sinr[None], "chase"), once, atol=2e-3)


def test_chase_of_qpsk_adds_sinrs():
    fmt = transport_format(100, mcs(1, 9))
    sinr = 10 ** (np.linspace(-8, 3, 40) / 10)
    both = combined_error_rate(fmt, np.stack([sinr, sinr / 2]), "chase")
    np.testing.assert_allclose(both, packet_error_rate([fmt], np.zeros(40, int), 1.5 * sinr), atol=0.02)


def lost_bit_exact(fmt, snr_db, rounds, blocks):
    """How many code blocks the project's own coding chain loses over AWGN after some redundancy versions."""
    code = ldpc_code(fmt.base_graph, fmt.k, fmt.n, fmt.mcs.bits_per_symbol, 20)
    generator = torch.Generator().manual_seed(1)
    bits = torch.randint(0, 2, (blocks, fmt.k), generator=generator)
    buffer, noise = code.encode(bits), torch.tensor(10 ** (-snr_db / 10))
    llr = torch.zeros_like(buffer)
    for rv in RV_ORDER[:rounds]:
        x = mapper(fmt.mcs.bits_per_symbol, "cpu")(code.transmit(buffer, rv).float())
        y = x + noise.sqrt() * torch.randn(x.shape, dtype=x.dtype, generator=generator)
        code.combine(llr, demapper(fmt.mcs.bits_per_symbol, "cpu")(y, noise.expand(y.shape)), rv)
    return int((code.decode(llr, RV_ORDER[:rounds]).bits != bits).any(dim=1).sum())


# By the mean information alone the first three are 0.3 to 0.5 dB pessimistic
@pytest.mark.parametrize(
    ("index", "num_bytes", "rounds"), [(20, 1050, 4), (20, 1050, 2), (28, 90, 4), (13, 90, 4), (9, 90, 3)]
)
def test_incremental_redundancy_needs_the_snr_that_the_decoder_needs(index, num_bytes, rounds):
    fmt = dataclasses.replace(transport_format(num_bytes, mcs(1, index)), num_code_blocks=1)
    snr_db = np.linspace(-10, 20, 3001)
    rates = combined_error_rate(fmt, np.tile(10 ** (snr_db / 10), (rounds, 1)), "incremental-redundancy")
    half = float(snr_db[np.argmax(rates < 0.5)])
    blocks = 30 if num_bytes > 500 else 200
    lost = lost_bit_exact(fmt, half, rounds, blocks)
    at = np.interp([half + 0.2, half - 0.2], snr_db, rates)
    low, high = wilson_interval(lost, blocks, 0.99)
    assert at[0] <= high
    assert at[1] >= low


def test_bits_that_are_all_received_alike_fall_short_of_nothing():
    # QPSK at the mother rate of base graph 2: every bit of the buffer once, and then all of them twice
    mother = dataclasses.replace(mcs(3, 6), code_rate=0.2)
    assert mother.bits_per_symbol == 2
    assert shortfall_db(mother, "bg2", 10, 1) == pytest.approx(0, abs=0.02)
    assert shortfall_db(mother, "bg2", 10, 2) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_sums_of_equal_transmissions_are_worth_what_each_tells(bits, number):
    sinr = 10 ** (np.arange(-10.0, 11.0, 2.5) / 10)
    rounds = np.tile(sinr, (number, 1))
    found = repeated_sinr_of_sums(bits, rounds.sum(axis=0), (rounds**2).sum(axis=0))
    np.testing.assert_allclose(found, repeated_sinr(bits, rounds), rtol=0.03)


def test_one_strong_transmission_beside_weak_ones_is_worth_itself():
    rounds = np.array([[10.0], [0.1], [0.1]])
    found = repeated_sinr_of_sums(6, rounds.sum(axis=0), (rounds**2).sum(axis=0))
    assert 9.7 < found[0] <= 10.2
