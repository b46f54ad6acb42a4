"""Header stream: round trip over its whole range, and refusal of what it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom.streams.header import NUM_BYTES, Header, HeaderError

SIDES, FLAGS = st.integers(1, 65535), st.booleans()


HEADERS = st.builds(
    Header,
    width=SIDES,
    height=SIDES,
    quality=st.integers(0, 63),
    reduction=st.sampled_from([1, 2, 4]),
    key_packets=st.integers(0, 255),
    grain=st.integers(0, 15),
    fineness=st.integers(0, 7),
    has_texture=FLAGS,
    has_card=FLAGS,
    has_caption=FLAGS,
    has_words=FLAGS,
)


@given(HEADERS)
def test_round_trip(header):
    data = header.to_bytes()
    assert len(data) == NUM_BYTES == 8
    assert Header.from_bytes(data) == header


@pytest.mark.parametrize("data", [b"", b"\x00" * 7, b"\xff" + b"\x00" * 7, b"\x00" * 9])
def test_foreign_bytes_are_refused(data):
    with pytest.raises(HeaderError, match="version 6"):
        Header.from_bytes(data)


def test_an_unknown_size_of_the_hci_is_refused():
    data = bytearray(Header(8, 8, 63, 4, 0, 0, 7, True, True, True, True).to_bytes())
    data[5] |= 0xC0
    with pytest.raises(HeaderError, match="HCI size"):
        Header.from_bytes(bytes(data))
