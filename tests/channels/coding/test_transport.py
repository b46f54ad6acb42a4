import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.coding.mcs import mcs
from channels.coding.transport import reassemble, segment, transport_format

FORMATS = {"num_bytes": st.integers(1, 6000), "index": st.integers(0, 28), "num_layers": st.integers(1, 4)}


@given(**FORMATS)
def test_formats_respect_ts_38_212(num_bytes, index, num_layers):
    fmt = transport_format(num_bytes, mcs(1, index), num_layers)
    limit = {"bg1": 8448, "bg2": 3840}[fmt.base_graph]
    crc_bits = 24 + (24 * fmt.num_code_blocks if fmt.num_code_blocks > 1 else 0)
    assert fmt.k <= limit
    assert fmt.num_code_blocks * fmt.k == 8 * num_bytes + crc_bits + fmt.num_padding_bits
    assert 0 <= fmt.num_padding_bits < fmt.num_code_blocks
    # One block fewer wouldn't hold it (§5.2.2)
    assert fmt.num_code_blocks == 1 or 8 * num_bytes + 24 > (fmt.num_code_blocks - 1) * (limit - 24)
    assert fmt.k / fmt.n <= fmt.mcs.code_rate
    assert fmt.n % (fmt.mcs.bits_per_symbol * num_layers) == 0


@pytest.mark.parametrize(
    ("num_bytes", "index", "expected"),
    [(36, 28, "bg2"), (37, 28, "bg1"), (477, 9, "bg2"), (478, 9, "bg1"), (478, 3, "bg2"), (478, 4, "bg1")],
)
def test_base_graph_boundaries(num_bytes, index, expected):
    # §7.2.2: A <= 292; A + 24 <= 3840 and R <= 0.67 (MCS 9 has 0.663); R <= 0.25 (MCS 3 has 0.245)
    assert transport_format(num_bytes, mcs(1, index)).base_graph == expected


@pytest.mark.parametrize("index", [4, 9, 13, 28])
def test_a_packet_at_the_limit_of_base_graph_2_is_one_code_block(index):
    assert [transport_format(n, mcs(1, index)).num_code_blocks for n in (477, 478, 479)] == [1, 1, 1]


@given(data=st.binary(min_size=1, max_size=3000), index=st.integers(0, 28), position=st.integers(0, 10**6))
def test_round_trip_and_one_wrong_bit(data, index, position):
    fmt = transport_format(len(data), mcs(1, index))
    blocks = segment(data, fmt)
    assert blocks.shape == (fmt.num_code_blocks, fmt.k)
    assert reassemble(blocks, fmt) == data
    blocks.reshape(-1)[position % blocks.size] ^= 1
    assert reassemble(blocks, fmt) is None


def test_two_wrong_code_blocks_that_cancel_in_neither_crc():
    fmt = transport_format(3000, mcs(1, 20))
    blocks = segment(np.random.default_rng(0).bytes(3000), fmt)
    assert fmt.num_code_blocks == 3
    assert reassemble(blocks[::-1], fmt) is None  # each block's own CRC holds, the packet's doesn't


def test_empty_packet():
    with pytest.raises(ValueError, match="at least 1 byte"):
        transport_format(0, mcs(1, 0))
