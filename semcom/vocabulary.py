"""Words of captions as token ids: a small byte-pair vocabulary, and raw bytes for what it cannot spell.

A caption is coded with a space before it, so that every word starts the same way: " a", " dog". A word
with a character outside the vocabulary's alphabet becomes its UTF-8 bytes. Joining needs the pieces only,
so that the receiver depends on no tokenizer's version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

END = 0
"""Ends a caption; also the token before its first."""
ESCAPE = 1
"""Announces raw bytes."""
_SPECIAL = ("<end>", "<escape>")
_WORDS = re.compile(r" ?[^\W\d_]+| ?\d+| ?[^\w\s]+|\s|\w")

Piece = int | bytes
"""A token id, or a run of UTF-8 bytes."""


class Vocabulary:
    """A byte-pair vocabulary.

    Args:
        definition: JSON of a `tokenizers` BPE model, as `learn` makes it.
    """

    def __init__(self, definition: str) -> None:
        self.definition = definition
        model = json.loads(definition)["model"]
        self._pieces = sorted(model["vocab"], key=model["vocab"].__getitem__)
        self._tokenizer = Tokenizer.from_str(definition)

    def __len__(self) -> int:
        return len(self._pieces)

    @classmethod
    def learn(cls, captions: Iterable[str], size: int) -> Vocabulary:
        """The vocabulary of `size` tokens, END and ESCAPE included, that spells `captions` shortest."""
        tokenizer = Tokenizer(BPE(unk_token=_SPECIAL[ESCAPE], fuse_unk=True))
        trainer = BpeTrainer(vocab_size=size, special_tokens=list(_SPECIAL), show_progress=False)
        tokenizer.train_from_iterator(chain.from_iterable(map(_words, captions)), trainer)
        definition = json.loads(tokenizer.to_str())
        definition["added_tokens"] = []  # text that reads like a special token is text
        return cls(json.dumps(definition, ensure_ascii=False, separators=(",", ":")))

    def split(self, text: str) -> list[Piece]:
        """Pieces of a text. Neighbouring words that cannot be spelt are one run of bytes.

        Raises:
            UnicodeEncodeError: half a surrogate pair, which is no text.
        """
        pieces: list[Piece] = []
        for word in _words(text):
            ids = self._tokenizer.encode(word).ids
            if ESCAPE not in ids:
                pieces.extend(ids)
            elif pieces and isinstance(pieces[-1], bytes):
                pieces[-1] += word.encode()
            else:
                pieces.append(word.encode())
        return pieces

    def join(self, pieces: Sequence[Piece]) -> str:
        """Inverse of `split`; bytes that are no UTF-8 become replacement characters."""
        whole = b"".join(p if isinstance(p, bytes) else self._pieces[p].encode() for p in pieces)
        return whole.decode(errors="replace")[1:]


def _words(text: str) -> Iterator[str]:
    """Words and marks, each with the space before it; together they are the text, led by a space."""
    return (match.group() for match in _WORDS.finditer(f" {text}")) if text else iter(())
