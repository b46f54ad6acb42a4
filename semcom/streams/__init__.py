"""What travels: one file a stream, both directions, no network.

A stream's file says what is sent, how it is read, its protection class and what is said when it is lost
(`STREAM`). `STREAMS` is the only list of them: its order is that of importance, of the message, of the wire
ids and of the bits of presence in the header; packets, loss notes and benchmarks follow from it.

**A stream of your own** is one file with an `ExtraStream`. The transmitter calls its `encode` with the
picture and pays for its chunks out of the budget (it goes when caption and pseudo-words go); the receiver
calls its `decode` with what arrived and the reconstruction so far. Losses are noted as for every stream:

    # depth.py
    STREAM = ExtraStream("depth", Protection.DETAIL, "depth map", encode=encode, decode=decode)

Another package registers it by an entry point of the group `semcom.streams`, and that is all:

    [project.entry-points."semcom.streams"]
    depth = "my_package.depth:STREAM"

Inside this package it is one more entry of `STREAMS`. From Python, `Transmitter.extras` and `Receiver.extras`
take a list. Systems other than the semantic one may give their streams any name without registering it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import entry_points

from semcom.streams import base, caption, card, hci, header, key, mask, patches, texture, words
from semcom.streams.format import ExtraStream, StreamFormat

STREAMS: tuple[StreamFormat, ...] = (
    header.STREAM,
    card.STREAM,
    base.STREAM,
    mask.STREAM,
    caption.STREAM,
    words.STREAM,
    hci.STREAM,
    texture.STREAM,
    key.STREAM,
)
ENTRY_POINTS = "semcom.streams"


def presence(names: Iterable[str]) -> int:
    """The header's bitmap of the streams that a message has: bit i is that of `STREAMS[1 + i]`."""
    sent = set(names)
    return sum(1 << bit for bit, stream in enumerate(STREAMS[1:]) if stream.name in sent)


@cache
def extra_streams() -> tuple[ExtraStream, ...]:
    """What the semantic system carries beside the streams it reads itself: its own, then installed.

    `patches` is one of them: the header's bitmap is full, and a receiver without it shows the rest.

    Raises:
        ValueError: an entry point is no `ExtraStream`, or its name is taken.
    """
    own = (*(stream for stream in STREAMS if isinstance(stream, ExtraStream)), patches.STREAM)
    taken, installed = {stream.name for stream in (*STREAMS, *own)}, []
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        stream = entry.load()
        if not isinstance(stream, ExtraStream):
            raise ValueError(f"entry point {entry.name} of {ENTRY_POINTS}: {entry.value} is no ExtraStream")
        if stream.name in taken:
            raise ValueError(f"entry point {entry.name} of {ENTRY_POINTS}: {stream.name!r} is taken")
        taken.add(stream.name)
        installed.append(stream)
    return (*own, *installed)
