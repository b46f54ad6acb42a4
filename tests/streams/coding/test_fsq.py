"""Finite scalar quantisation: levels, gradient, and a fixed-length code that round-trips."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semcom.networks.pseudo_words import PseudoWordEncoder
from semcom.streams import words as spw
from semcom.streams.coding.fsq import FSQ, LEVELS

WORDS = st.lists(st.tuples(*(st.integers(0, levels - 1) for levels in LEVELS)), min_size=0, max_size=64)


@given(WORDS)
def test_packing_round_trips_in_14_bits_a_word(words):
    digits = torch.tensor(words, dtype=torch.long).reshape(-1, len(LEVELS))
    data = spw.encode(digits)
    assert len(data) == -(-14 * len(words) // 8)
    torch.testing.assert_close(spw.decode(data), digits)


def test_sixteen_words_are_28_bytes():
    assert len(spw.encode(torch.zeros(16, 5, dtype=torch.long))) == 28


def test_what_is_received_is_what_training_saw():
    torch.manual_seed(0)
    quantiser, z = FSQ(), 3 * torch.randn(50, 5)
    sent = spw.decode(spw.encode(quantiser.digits(z)))
    torch.testing.assert_close(quantiser.values(sent), quantiser(z))


def test_every_level_can_be_reached_and_is_evenly_spaced():
    quantiser = FSQ()
    z = torch.atanh(torch.linspace(-0.9999, 0.9999, 4001))[:, None].expand(-1, 5)
    values = quantiser(z)
    for column, levels in zip(values.T, LEVELS, strict=True):
        torch.testing.assert_close(column.unique(), torch.linspace(-1, 1, levels))


def test_the_gradient_is_that_of_tanh():
    z = torch.randn(4, 5, requires_grad=True)
    FSQ()(z).sum().backward()
    torch.testing.assert_close(z.grad, 1 - torch.tanh(z.detach()) ** 2)


@pytest.mark.parametrize("count", [0, 1, 16, 64])
def test_fewer_words_are_legal(count):
    words = PseudoWordEncoder(width=16, num_layers=1)(torch.randn(2, 320, 8, 8), count)
    assert words.shape == (2, count, 5)
