"""Closed forms that the tests and benchmarks compare with."""

import math


def square_qam_ber(bits_per_symbol, snr, term):
    """Exact bit error rate of Gray-labelled square QAM (Cho and Yoon, IEEE Trans. Commun. 50(7), 2002).

    `snr` is Es/N0, linear. `term(a)` is the expectation of erfc(sqrt(a * snr)) over the channel.
    """
    side = 2 ** (bits_per_symbol // 2)
    total = 0.0
    for k in range(1, bits_per_symbol // 2 + 1):
        for i in range(int((1 - 2.0**-k) * side)):
            sign = (-1) ** math.floor(i * 2 ** (k - 1) / side)
            weight = 2 ** (k - 1) - math.floor(i * 2 ** (k - 1) / side + 0.5)
            total += sign * weight * term((2 * i + 1) ** 2 * 3 / (2 * (side**2 - 1)), snr) / side
    return total / (bits_per_symbol // 2)


def awgn_term(a, snr):
    return math.erfc(math.sqrt(a * snr))


def rayleigh_term(a, snr):
    """E[erfc(sqrt(a g snr))], g ~ Exp(1) (Proakis, Digital Communications, §13.3)."""
    return 1 - math.sqrt(a * snr / (1 + a * snr))
