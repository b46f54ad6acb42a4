import numpy as np
import pytest

from channels.links.mutual_information import bit_information
from channels.links.protograph import COLUMNS, NUM_PUNCTURED, decodes, threshold_db


def contiguous(base_graph, rate):
    """Information by column of QPSK where the first bits of the buffer are sent, and the rate in truth."""
    k_columns, columns = COLUMNS[base_graph]
    sent = np.clip(k_columns / rate - np.arange(columns), 0, 1)
    return lambda snr_db: np.pad(sent * bit_information(2, np.array(10 ** (snr_db / 10))), (NUM_PUNCTURED, 0))


@pytest.mark.parametrize(
    ("base_graph", "rate"), [("bg1", 8 / 9), ("bg1", 0.5), ("bg1", 1 / 3), ("bg2", 0.66), ("bg2", 0.2)]
)
def test_threshold_is_a_little_above_capacity(base_graph, rate):
    found = threshold_db(base_graph, contiguous(base_graph, rate), -15, 25)
    snr_db = np.linspace(-15, 25, 4001)
    capacity = float(np.interp(rate, bit_information(2, 10 ** (snr_db / 10)), snr_db))
    assert 0.1 < found - capacity < 1.1


@pytest.mark.parametrize("base_graph", ["bg1", "bg2"])
def test_bits_of_all_checks_are_worth_more_than_bits_of_one(base_graph):
    k_columns, columns = COLUMNS[base_graph]
    at, more = contiguous(base_graph, k_columns / columns), np.zeros((2, columns + NUM_PUNCTURED))
    # As much information more, once on the information bits and once on the last parity bits
    more[0, NUM_PUNCTURED:k_columns] = more[1, -(k_columns - NUM_PUNCTURED) :] = 0.1
    information, parity = (
        threshold_db(base_graph, lambda snr_db, extra=extra: at(snr_db) + extra, -15, 5) for extra in more
    )
    assert information < parity - 0.01
    assert parity < threshold_db(base_graph, at, -15, 5)


def test_nothing_sent_decodes_nothing_and_everything_known_all():
    columns = COLUMNS["bg2"][1] + NUM_PUNCTURED
    assert not decodes("bg2", np.zeros(columns))
    assert decodes("bg2", np.pad(np.ones(columns - NUM_PUNCTURED), (NUM_PUNCTURED, 0)))
