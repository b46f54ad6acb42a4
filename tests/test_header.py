"""Header stream: round trip over its whole range, and refusal of what it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom.header import NUM_BYTES, Header, HeaderError

SIDES, FLAGS = st.integers(1, 65535), st.booleans()


@given(SIDES, SIDES, st.integers(0, 63), st.integers(0, 255), st.integers(0, 15), FLAGS, FLAGS, FLAGS)
def test_round_trip(width, height, quality, key_packets, grain, has_card, has_caption, has_words):
    header = Header(width, height, quality, key_packets, grain, has_card, has_caption, has_words)
    data = header.to_bytes()
    assert len(data) == NUM_BYTES == 8
    assert Header.from_bytes(data) == header


@pytest.mark.parametrize("data", [b"", b"\x00" * 7, b"\xff" + b"\x00" * 7, b"\x00" * 9])
def test_foreign_bytes_are_refused(data):
    with pytest.raises(HeaderError, match="version 3"):
        Header.from_bytes(data)
