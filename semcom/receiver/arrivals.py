"""What arrived of a message, read so that nothing that a channel or a stranger sends can raise.

The receiver knows the picture's size and the layout of the message: its streams and their packets are the
scheduler's grant. A header that says otherwise counts as damaged, and so does a stream whose reader fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from semcom.message import ReceivedMessage
from semcom.streams import STREAMS, presence
from semcom.streams import header as header_stream
from semcom.streams import key as key_stream
from semcom.streams.format import StreamFormat
from semcom.streams.header import Header, HeaderError

T = TypeVar("T")


class Arrivals:
    """Reads one received message stream by stream and keeps account of what could not be read.

    Args:
        received: the message.
        extras: formats beside those of `STREAMS` that the message may have.
    """

    def __init__(self, received: ReceivedMessage, extras: Iterable[StreamFormat] = ()) -> None:
        self._received = received
        self._formats = {stream.name: stream for stream in (*STREAMS, *extras)}
        self._damaged: set[str] = set()

    def header(self) -> Header | None:
        """None where it was lost or is not that of this message; with its errors where they are wished."""
        name = header_stream.STREAM.name
        data = self._received.first(name) or self._received.first_doubtful(name)
        if data is None:
            return None
        try:
            header = Header.from_bytes(data)
        except HeaderError:
            header = None
        if header is None or not self._agrees(header):
            self._damaged.add(header_stream.STREAM.name)
            return None
        return header

    def _agrees(self, header: Header) -> bool:
        received = self._received
        return (
            (header.width, header.height) == (received.width, received.height)
            and header.key_packets == len(received.chunks(key_stream.STREAM.name))
            and header.presence == presence(stream.name for stream in received.streams)
        )

    def sent(self, stream: StreamFormat) -> bool:
        """Whether the message has the stream at all."""
        return any(each.name == stream.name for each in self._received.streams)

    def read(self, stream: StreamFormat, reader: Callable[[bytes], T], with_errors: bool = False) -> T | None:
        """What a stream of one chunk holds; None where it was not sent, was lost, or cannot be read.

        `with_errors` reads what the link delivered though its CRC failed, and notes the damage.
        """
        data = self._received.first(stream.name)
        if data is None and with_errors:
            data = self._received.first_doubtful(stream.name)
            if data is not None:
                self._damaged.add(stream.name)
        return None if data is None else self.guarded(stream, lambda: reader(data))

    def guarded(self, stream: StreamFormat, reader: Callable[[], T]) -> T | None:
        """What a reader of a stream returns; None where it fails, which is noted."""
        try:
            return reader()
        except Exception:  # of a codec on bytes that anyone may have sent: any of them means the same
            self._damaged.add(stream.name)
            return None

    def notes(self, only: StreamFormat | None = None) -> tuple[str, ...]:
        """What was sent and is missing, stream by stream in order of importance."""
        order = [self._formats[name] for name in self._formats if only is None or name == only.name]
        return tuple(note for stream in order if (note := self._note(stream)) is not None)

    def _note(self, stream: StreamFormat) -> str | None:
        if stream.name in self._damaged:
            return stream.damage()
        return stream.loss(self._received.chunks(stream.name))
