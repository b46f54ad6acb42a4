import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sionna.phy.fec.crc import CRCEncoder

from channels.coding.crc import append_crc, crc_ok


@pytest.mark.parametrize("name", ["24A", "24B"])
@pytest.mark.parametrize("length", [1, 8, 157, 1000, 9001])
def test_is_the_complement_of_sionnas_encoder(name, length):
    bits = np.random.default_rng(length).integers(0, 2, (3, length), dtype=np.uint8)
    reference = CRCEncoder(f"CRC{name}", device="cpu")(torch.from_numpy(bits).float())
    expected = reference.numpy().astype(np.uint8)
    expected[:, length:] ^= 1
    np.testing.assert_array_equal(append_crc(bits, name), expected)


@pytest.mark.parametrize("name", ["24A", "24B"])
@pytest.mark.parametrize("length", [1, 8, 157, 3816])
def test_zeros_are_not_a_word(name, length):
    assert not crc_ok(np.zeros(length + 24, dtype=np.uint8), name)


@given(st.binary(min_size=1, max_size=64), st.data())
def test_any_error_burst_up_to_24_bits_is_detected(data, draw):
    word = append_crc(np.unpackbits(np.frombuffer(data, dtype=np.uint8)), "24A")
    assert crc_ok(word, "24A")
    start = draw.draw(st.integers(0, len(word) - 1))
    pattern = draw.draw(st.integers(1, 2**24 - 1))
    flips = np.array([(pattern >> i) & 1 for i in range(min(24, len(word) - start))], dtype=np.uint8)
    if flips.any():
        word[start : start + len(flips)] ^= flips
        assert not crc_ok(word, "24A")
