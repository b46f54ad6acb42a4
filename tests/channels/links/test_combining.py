import numpy as np
import pytest
import torch

from channels.coding.mcs import mcs
from channels.coding.rate_matching import RV_ORDER, ldpc_code
from channels.coding.transport import transport_format
from channels.links.combining import combined_error_rate, coverage
from channels.links.effective_sinr import packet_error_rate


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
