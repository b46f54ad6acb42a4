"""What is known of a stream beside its bytes: its name, its protection, what is said when it is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from semcom.message import Protection, Reconstruction

if TYPE_CHECKING:
    from torch import Tensor

Chunks = Sequence[bytes | None]
"""Chunks of a stream at the receiver, None where one was erased."""


@dataclass(frozen=True)
class StreamFormat:
    """One named part of a message.

    Attributes:
        name: on the wire, in reports and result files.
        protection: class that decides its MCS and HARQ.
        label: what users call it.
        consequence: what its loss does to the picture, where that is more than its own gain.
    """

    name: str
    protection: Protection
    label: str
    consequence: str = ""

    def loss(self, chunks: Chunks) -> str | None:
        """What is to be said of these chunks: nothing where all arrived."""
        lost = sum(chunk is None for chunk in chunks)
        if not lost:
            return None
        return self._with_consequence("lost") if len(chunks) == 1 else self._share(lost, len(chunks))

    def damage(self) -> str:
        """What is to be said where its bytes could not be read."""
        return self._with_consequence("damaged")

    def _share(self, lost: int, total: int) -> str:
        return f"{lost} of {total} {self.label} packets lost"

    def _with_consequence(self, state: str) -> str:
        return f"{self.label} {state}" + (f": {self.consequence}" if self.consequence else "")


@dataclass(frozen=True)
class ExtraStream(StreamFormat):
    """A stream that the semantic system carries without knowing what is in it.

    Attributes:
        encode: chunks of a picture [3,H,W] float in [0,1], each to be read by itself; none sends no stream.
        decode: the reconstruction with what the chunks add to it: a picture of the same size, parts for
            display, a caption, a note. Where it raises, the stream counts as damaged and the reconstruction
            stays as it was. Not called where no chunk arrived.
    """

    encode: Callable[[Tensor], Sequence[bytes]] = lambda image: ()
    decode: Callable[[Chunks, Reconstruction], Reconstruction] = lambda chunks, result: result
