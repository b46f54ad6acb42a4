"""Header stream: round trip over its whole range, and refusal of what it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom.streams import STREAMS, presence
from semcom.streams.header import NUM_BYTES, Header, HeaderError

SIDES = st.integers(1, 16384)

HEADERS = st.builds(
    Header,
    width=SIDES,
    height=SIDES,
    quality=st.integers(0, 63),
    reduction=st.sampled_from([1, 2, 4]),
    presence=st.integers(0, 255),
    key_packets=st.integers(0, 255),
    fineness=st.integers(0, 7),
    grain=st.integers(0, 15),
)


@given(HEADERS)
def test_round_trip(header):
    data = header.to_bytes()
    assert len(data) == NUM_BYTES == 8
    assert Header.from_bytes(data) == header


def test_bits_are_where_the_format_says():
    header = Header(624, 400, 49, 1, presence=0b110100, key_packets=4, fineness=1, grain=2)
    bits = f"01000{623:014b}{399:014b}00{49:06b}" + "00110100" + "00000100" + "001" + "0010"
    assert header.to_bytes() == int(bits, 2).to_bytes(8, "big")


def test_presence_is_a_bitmap_over_the_streams_after_the_header():
    names = [stream.name for stream in STREAMS]
    assert presence(names) == 0b11111111
    assert [presence([name]) for name in names] == [0, *(1 << bit for bit in range(8))]
    assert presence(["of my own"]) == 0


@pytest.mark.parametrize(("width", "height"), [(0, 64), (64, 16385)])
def test_sizes_that_cannot_be_sent_are_refused(width, height):
    with pytest.raises(HeaderError, match=f"{width}x{height} pixels"):
        Header(width, height, 1, 1, 0, 0, 0, 0).to_bytes()


@pytest.mark.parametrize("data", [b"", b"\x00" * 7, b"\xff" + b"\x00" * 7, b"\x00" * 9])
def test_foreign_bytes_are_refused(data):
    with pytest.raises(HeaderError, match="version 8"):
        Header.from_bytes(data)


def test_an_unknown_size_of_the_hci_is_refused():
    data = bytearray(Header(8, 8, 63, 4, 255, 0, 7, 0).to_bytes())
    data[4] |= 0x7F
    with pytest.raises(HeaderError, match="HCI size"):
        Header.from_bytes(bytes(data))
