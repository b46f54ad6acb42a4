"""Caption coder: any text comes back, bytes are what the counts promise and the same everywhere."""

import random
from fractions import Fraction
from math import log2

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE

from semcom.limits import MAX_CHARACTERS, CaptionError
from semcom.streams.caption import CaptionCoder, NGrams, printable
from semcom.vocabulary import END, ESCAPE, Vocabulary

UNHURRIED = settings(deadline=None)
WORDS = ["a", "the", "dog", "man", "runs", "sits", "red", "park", "log"]
CAPTIONS = [
    "a dog runs through the grass",
    "a dog runs through the snow",
    "a brown dog jumps over a log",
    "two men sit on a bench in the park",
    "a man in a red shirt sits on a bench",
    "two children play in the water",
] * 3


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary.learn(CAPTIONS, 90)


@pytest.fixture(scope="module")
def coder(vocabulary):
    return CaptionCoder(vocabulary, NGrams.count(map(vocabulary.split, CAPTIONS), len(vocabulary)))


@UNHURRIED
@given(text=st.text(max_size=60))
@example(text="")
@example(text=" ")
@example(text="<end> <escape>")
@example(text="a dog's café in 東京, 10 km_x ½²\x00\r\n")
@example(text="كلب يركض في العشب")
@example(text="🐕‍🦺 e\u0301 \u202e")
@example(text="x" * MAX_CHARACTERS)
@example(text="犬" * MAX_CHARACTERS)
@example(text="🐕" * MAX_CHARACTERS)
def test_any_text_comes_back(coder, text):
    assert coder.decode(coder.encode(text)) == printable(text)


@UNHURRIED
@given(data=st.binary(max_size=40))
def test_any_bytes_are_some_text(coder, data):
    assert len(coder.decode(data)) <= MAX_CHARACTERS


def test_a_long_message_is_no_long_caption(coder):
    """As many escapes as may be, runs of bytes that never end: once 100 066 characters of 466 bytes."""
    rng = random.Random(0)
    for size in (466, 5006):
        for _ in range(5):
            assert len(coder.decode(rng.randbytes(size))) <= MAX_CHARACTERS
    endless = coder.encode("🐕" * 400)[:-2] + b"\x55" * 3000
    assert len(coder.decode(endless)) <= MAX_CHARACTERS


def test_what_steers_a_terminal_is_not_printed(coder):
    text = coder.decode(coder.encode("a dog\x1b]0;PWNED\x07\x1b[2J\nnote: all is \u202ewell\x9b\u2028"))
    assert text == "a dog]0;PWNED[2Jnote: all is well"


@UNHURRIED
@given(
    words=st.lists(
        st.sampled_from(["a", "the", "dog", "man", "runs", "sits", "red", "park", "log"]), max_size=12
    )
)
def test_length_is_what_the_probabilities_promise(coder, vocabulary, words):
    text, context, bits = " ".join(words), (END, END), 0.0
    ngrams = NGrams.count(map(vocabulary.split, CAPTIONS), len(vocabulary))
    for token in [*vocabulary.split(text), END]:
        bits += 16 - log2(ngrams.frequencies(*context)[token])
        context = context[1], token
    # Bytes at the end that are zero by chance are not sent, so a string may be a little shorter too
    assert bits / 8 - 3 <= len(coder.encode(text)) <= bits / 8 + 1.1 or bits < 16


def test_a_caption_seen_often_is_a_few_bytes_and_a_foreign_one_not_much_more_than_its_own(coder):
    assert len(coder.encode("a dog runs through the snow")) <= 3
    for text in ("Ein Bär läuft über die Straße.", "一只黑色的狗在草地上奔跑", "Собака бежит по траве"):
        assert len(coder.encode(text)) <= len(text.encode()) + 3


def test_the_bytes_are_the_same_on_every_machine():
    """Nothing here is learned. Another result is another wire format: raise the header's version."""
    letters = ["<end>", "<escape>", *" adegnortu", "do", "dog", " dog", " a"]
    merges = [("d", "o"), ("do", "g"), (" ", "dog"), (" ", "a")]
    ids = {piece: i for i, piece in enumerate(letters)}
    tokenizer = Tokenizer(BPE(ids, merges, unk_token="<escape>", fuse_unk=True))
    vocabulary = Vocabulary(tokenizer.to_str())
    ngrams = NGrams.count([[15, 14], [15, 14, 14], [14]], len(letters))
    coder = CaptionCoder(vocabulary, ngrams)
    written = {text: coder.encode(text).hex() for text in GOLDEN}
    assert written == GOLDEN


GOLDEN = {"a dog": "48", "a red dog 🐕 on a log": "38337d4af6a15b1b67014b480be7571be99b", "": ""}


@pytest.mark.parametrize("length", [MAX_CHARACTERS + 1, 10_000])
def test_too_long_is_refused_with_the_limit(coder, length):
    with pytest.raises(CaptionError, match=f"{length} characters, 500 are the limit"):
        coder.encode("a" * length)


def test_half_a_surrogate_pair_is_no_text(coder):
    with pytest.raises(CaptionError, match="no Unicode text"):
        coder.encode("dog \ud83d")


def test_tables_survive_the_profile(coder):
    again = CaptionCoder.from_tensors(coder.tensors())
    for text in (*CAPTIONS[:6], "Ein Bär"):
        assert again.encode(text) == coder.encode(text)


def test_counts_by_hand():
    ngrams = NGrams.count([[2, 3], [2, 4], [2, 3]], 5, least=2)
    assert ngrams.twos.tolist() == [[0, 2, 3], [2, 3, 2], [2, 4, 1], [3, 0, 2], [4, 0, 1]]
    assert ngrams.threes.tolist() == [[0, 0, 2, 3], [0, 2, 3, 2], [2, 3, 0, 2]]
    assert ngrams.ones.tolist() == [3, 1, 2, 2, 2]


def test_probabilities_are_those_of_absolute_discounting():
    """Against the formula in exact fractions; integers are off by less than one count in 2**16 each."""
    rng = np.random.default_rng(0)
    captions = [rng.integers(2, 8, rng.integers(1, 6)).tolist() for _ in range(30)]
    ngrams, size, discount = NGrams.count(captions, 8), 8, Fraction(3, 4)

    def seen(table, context):
        return {row[-2]: row[-1] for row in table.tolist() if tuple(row[:-2]) == context}

    def mixed(lower, counts):
        if not counts:
            return lower
        total = sum(counts.values())
        kept = [Fraction(counts.get(w, 0) - discount * (w in counts)) / total for w in range(size)]
        return [kept[w] + discount * len(counts) / total * lower[w] for w in range(size)]

    for before in range(size):
        for last in range(size):
            expected = [Fraction(int(one), int(ngrams.ones.sum())) for one in ngrams.ones]
            expected = mixed(expected, seen(ngrams.twos, (last,)))
            expected = mixed(expected, seen(ngrams.threes, (before, last)))
            found = ngrams.frequencies(before, last)
            assert found.sum() == 1 << 16
            assert found.min() >= 1
            wanted = [1 + float(p) * ((1 << 16) - size) for p in expected]
            np.testing.assert_allclose(found, wanted, atol=size)


def test_words_outside_the_alphabet_are_one_run_of_bytes(vocabulary):
    pieces = vocabulary.split("a dog läuft über the log")
    assert [piece for piece in pieces if isinstance(piece, bytes)] == [" läuft über".encode()]
    assert ESCAPE not in pieces
    assert vocabulary.join(pieces) == "a dog läuft über the log"
