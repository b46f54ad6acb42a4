import math

import numpy as np
import pytest

from channels.propagation.theory import awgn_erfc, rayleigh_erfc, rayleigh_mimo_capacity, square_qam_ber


def test_qpsk_is_bpsk_on_both_axes():
    for snr in (0.5, 2.0, 8.0):
        assert square_qam_ber(2, snr, awgn_erfc) == pytest.approx(0.5 * math.erfc(math.sqrt(snr / 2)))
        assert square_qam_ber(2, snr, rayleigh_erfc) == pytest.approx(0.5 * (1 - math.sqrt(snr / (2 + snr))))


def test_mimo_capacity_is_the_mean_log_det():
    rng = np.random.default_rng(0)
    n, snr, trials = 3, 10.0, 4000
    h = (rng.normal(size=(trials, n, n)) + 1j * rng.normal(size=(trials, n, n))) / 2**0.5
    capacity = np.linalg.slogdet(np.eye(n) + snr / n * h @ h.conj().transpose(0, 2, 1))[1] / math.log(2)
    assert abs(capacity.mean() - rayleigh_mimo_capacity(n, snr)) < 4 * capacity.std() / trials**0.5
