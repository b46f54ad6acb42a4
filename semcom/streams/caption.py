"""Captions in about ten bytes: arithmetic coding of tokens under integer n-gram tables.

    text ─► vocabulary ─► tokens ─► P(token | two before it), in integers ─► range coder

The probabilities interpolate counts of three, two and one tokens with absolute discounting (Kneser and Ney,
1995), computed in 64-bit integers alone: the same bytes on every machine. A word that the vocabulary cannot
spell follows the token ESCAPE as raw bytes, coded with a model that learns as it goes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semcom.limits import MAX_CHARACTERS, check_caption
from semcom.message import Protection
from semcom.streams.coding.arithmetic import BitModel, Decoder, Encoder
from semcom.streams.format import StreamFormat
from semcom.vocabulary import END, ESCAPE, Piece, Vocabulary

STREAM = StreamFormat("caption", Protection.CRITICAL, "caption")
_TOTAL_BITS = 16
_SCALE = 1 << 32
_DISCOUNT, _UNIT = 3, 4  # every count gives three quarters to what was not seen with it
_MAX_BYTES = 4 * MAX_CHARACTERS + 1  # in UTF-8, with the space before the first word
_END_OF_BYTES = 0xFF  # no byte of UTF-8
_CONTROLS = ("Cc", "Zl", "Zp")  # control characters; separators of lines and paragraphs
_TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
_BYTE_CONTEXT_SHIFT = 6  # four contexts: ASCII signs, ASCII letters, continuation, lead

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class NGrams:
    """How often tokens followed each other.

    Attributes:
        ones: [V] weight of each token by itself, all positive.
        twos: [M,3] previous token, token, count; sorted.
        threes: [K,4] the two previous tokens, token, count; sorted.
    """

    ones: Counts
    twos: Counts
    threes: Counts

    @classmethod
    def count(cls, captions: Iterable[Sequence[int]], size: int, least: int = 2) -> NGrams:
        """Counts of captions as token ids; triples seen less than `least` times are left out.

        A single token weighs as many as the different tokens it was seen after.
        """
        rows = (np.array([END, END, *ids, END], np.int64) for ids in captions)
        keys = np.concatenate([(row[:-2] << 32) + (row[1:-1] << 16) + row[2:] for row in rows])
        twos, twos_seen = np.unique(keys & 0xFFFFFFFF, return_counts=True)
        threes, threes_seen = np.unique(keys, return_counts=True)
        threes, threes_seen = threes[threes_seen >= least], threes_seen[threes_seen >= least]
        ones = 1 + np.bincount(twos & 0xFFFF, minlength=size)
        pairs = [twos >> 16, twos & 0xFFFF, twos_seen]
        triples = [threes >> 32, threes >> 16 & 0xFFFF, threes & 0xFFFF, threes_seen]
        return cls(ones, np.column_stack(pairs), np.column_stack(triples))

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> NGrams:
        """Inverse of `tensors`."""
        return cls(*(tensors[name].numpy().astype(np.int64) for name in ("ones", "twos", "threes")))

    def tensors(self) -> dict[str, Tensor]:
        """As int16 tensors; larger counts are cut to 32767."""
        named = {"ones": self.ones, "twos": self.twos, "threes": self.threes}
        return {name: torch.from_numpy(np.minimum(each, 0x7FFF)).short() for name, each in named.items()}

    def frequencies(self, before: int, last: int) -> Counts:
        """[V] positive frequencies of sum 2**16 of the token after `before`, `last`."""
        share = _SCALE * self.ones // self.ones.sum()
        for table, context in ((self._after_one, last), (self._after_two, before << 16 | last)):
            first, end = table.span(context)
            if first < end:
                share = _interpolate(share, table.tokens[first:end], table.counts[first:end])
        frequencies = 1 + (share * ((1 << _TOTAL_BITS) - len(share)) >> 32)
        frequencies[frequencies.argmax()] += (1 << _TOTAL_BITS) - frequencies.sum()
        return frequencies

    @cached_property
    def _after_one(self) -> _Followers:
        return _Followers(self.twos[:, 0], self.twos[:, 1], self.twos[:, 2])

    @cached_property
    def _after_two(self) -> _Followers:
        contexts = self.threes[:, 0] << 16 | self.threes[:, 1]
        return _Followers(contexts, self.threes[:, 2], self.threes[:, 3])


@dataclass(frozen=True)
class _Followers:
    """Tokens and counts by context, sorted by context."""

    contexts: Counts
    tokens: Counts
    counts: Counts

    def span(self, context: int) -> tuple[int, int]:
        first, end = np.searchsorted(self.contexts, [context, context + 1])
        return int(first), int(end)


class CaptionCoder:
    """Text to bytes and back.

    Args:
        vocabulary: of the profile.
        ngrams: of the profile, over the same vocabulary.
    """

    def __init__(self, vocabulary: Vocabulary, ngrams: NGrams) -> None:
        self.vocabulary, self._ngrams = vocabulary, ngrams

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> CaptionCoder:
        """Coder of the profile's part `vocabulary`."""
        definition = bytes(tensors["definition"].tolist()).decode()
        return cls(Vocabulary(definition), NGrams.from_tensors(tensors))

    def tensors(self) -> dict[str, Tensor]:
        """What the profile stores: the vocabulary's definition as bytes, and the tables."""
        definition = torch.tensor(list(self.vocabulary.definition.encode()), dtype=torch.uint8)
        return {"definition": definition, **self._ngrams.tensors()}

    def encode(self, text: str) -> bytes:
        """Bytes of a caption in any script.

        Raises:
            CaptionError: longer than 500 characters, or half a surrogate pair.
        """
        check_caption(text)
        spellings = [self.vocabulary.split(text)]
        if any(isinstance(piece, bytes) for piece in spellings[0]):
            spellings.append([f" {text}".encode()])
        return min((self._encode_pieces(spelling) for spelling in spellings), key=len)

    def _encode_pieces(self, pieces: Sequence[Piece]) -> bytes:
        encoder, context = Encoder(), (END, END)
        for piece in [*pieces, END]:
            token = ESCAPE if isinstance(piece, bytes) else piece
            low, high = self._interval(context, token)
            encoder.encode(low, high, _TOTAL_BITS)
            if isinstance(piece, bytes):
                _encode_bytes(encoder, piece)
            context = context[1], token
        return encoder.finish()

    def decode(self, data: bytes) -> str:
        """Inverse of `encode`, without control characters; any bytes at all decode to some such text.

        Of no more than 500 characters: what encodes to more is nobody's caption.
        """
        decoder, context = Decoder(data), (END, END)
        pieces: list[Piece] = []
        room = _MAX_BYTES  # of bytes that are spelt out
        while len(pieces) <= MAX_CHARACTERS:
            edges = self._edges(context)
            token = int(np.searchsorted(edges, decoder.decode_target(_TOTAL_BITS), "right")) - 1
            decoder.advance(int(edges[token]), int(edges[token + 1]), _TOTAL_BITS)
            if token == END:
                break
            pieces.append(_decode_bytes(decoder, room) if token == ESCAPE else token)
            if isinstance(pieces[-1], bytes):
                room -= len(pieces[-1])
            context = context[1], token
        return printable(self.vocabulary.join(pieces))[:MAX_CHARACTERS]

    def _interval(self, context: tuple[int, int], token: int) -> tuple[int, int]:
        edges = self._edges(context)
        return int(edges[token]), int(edges[token + 1])

    def _edges(self, context: tuple[int, int]) -> Counts:
        return np.concatenate([[0], np.cumsum(self._ngrams.frequencies(*context))])


def printable(text: str) -> str:
    """Text without what steers a terminal or turns the order of letters: a caption is a stranger's."""
    return "".join(
        letter
        for letter in text
        if unicodedata.category(letter) not in _CONTROLS and unicodedata.bidirectional(letter) not in _TURNS
    )


def _interpolate(share: Counts, tokens: Counts, counts: Counts) -> Counts:
    """Shares of 2**32 after a context: discounted counts, and what they leave in proportion to `share`."""
    total = _UNIT * int(counts.sum())
    mixed = share * (_DISCOUNT * len(counts)) // total
    mixed[tokens] += _SCALE * (_UNIT * counts - _DISCOUNT) // total
    return mixed


def _encode_bytes(encoder: Encoder, run: bytes) -> None:
    models = _ByteModels()
    for byte in [*run, _END_OF_BYTES]:
        node = 1
        for shift in range(7, -1, -1):
            bit = byte >> shift & 1
            encoder.encode_bit(bool(bit), models[node])
            node = node << 1 | bit
        models.previous = byte


def _decode_bytes(decoder: Decoder, room: int) -> bytes:
    """The next run with its end, or `room` bytes of one that has none within that."""
    models, run = _ByteModels(), bytearray()
    while True:
        node = 1
        while node < 0x100:
            node = node << 1 | decoder.decode_bit(models[node])
        models.previous = node & 0xFF
        if models.previous == _END_OF_BYTES or len(run) == room:
            return bytes(run)
        run.append(models.previous)


class _ByteModels:
    """A binary tree over the next byte for each of four ranges of the byte before it."""

    def __init__(self) -> None:
        self.previous = 0
        self._models: dict[tuple[int, int], BitModel] = {}

    def __getitem__(self, node: int) -> BitModel:
        key = (self.previous >> _BYTE_CONTEXT_SHIFT, node)
        return self._models.setdefault(key, BitModel(1, 1, 2))
