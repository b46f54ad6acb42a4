import numpy as np
import pytest
from sionna.phy.nr.utils import generate_prng_seq

from channels.coding.scrambling import gold_sequence, scrambling_sequence


@pytest.mark.parametrize("c_init", [0, 1, 0x5EC0, 2**31 - 1])
def test_equals_sionnas_generator(c_init):
    np.testing.assert_array_equal(gold_sequence(1000, c_init), generate_prng_seq(1000, c_init))


def test_a_longer_request_extends_the_sequence():
    short = scrambling_sequence(100).copy()
    np.testing.assert_array_equal(scrambling_sequence(40_000)[:100], short)
