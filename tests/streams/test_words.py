"""Pseudo-words on the wire: no more than a picture has places for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom.streams import words


@given(st.binary(max_size=words.MAX_BYTES))
def test_any_bytes_are_some_words(data):
    decoded = words.decode(data)
    assert decoded.shape == (8 * len(data) // 14, 5)
    assert len(decoded) <= words.MAX_WORDS and not (decoded < 0).any()


def test_more_words_than_places_are_refused():
    with pytest.raises(words.WordsError, match="113 bytes"):
        words.decode(bytes(113))
