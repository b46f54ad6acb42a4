"""Messages as packets: one chunk, one packet; what is erased on the way is marked at the receiver.

    byte 0   version (2 bits) │ stream (4 bits) │ index high bits (2 bits)
    byte 1   index low bits (8 bits)
    byte 2…  content

The stream is named by its place in `semcom.streams.STREAMS`; any other name, such as a baseline's `image`, by
its place among the others of the message, counted on from there.

The link adds and checks a 24-bit CRC per packet, so a packet that arrives is intact; sizes and classes
are the scheduler's grant (the downlink control information of 5G), known to both ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from semcom.message import AnalogStream, Message, PacketSize, ReceivedStream, Stream

VERSION = 1
HEADER_BYTES = 2
MAX_CHUNKS = 1024
MAX_STREAMS = 16


@dataclass(frozen=True)
class Packet:
    """Bytes on the wire and the protection class they travel in."""

    data: bytes
    protection: str


def pack(message: Message) -> list[Packet]:
    """Packets of a message, stream by stream.

    Raises:
        ValueError: more streams than four bits can name, or a stream of more than 1024 chunks.
    """
    ids = _ids(stream.name for stream in message.streams)
    return [
        Packet(_header(stream, ids[stream.name], index) + chunk, stream.protection.value)
        for stream in message.streams
        for index, chunk in enumerate(stream.chunks)
    ]


def packet_sizes(message: Message) -> list[PacketSize]:
    """(class, bytes on the wire) per packet, and (`analog`, number of values) per analog stream."""
    packets = [(s.protection.value, HEADER_BYTES + len(chunk)) for s in message.streams for chunk in s.chunks]
    analog = [s for s in message.streams if isinstance(s, AnalogStream)]
    return packets + [(s.protection.value, s.values.numel()) for s in analog]


def unpack(message: Message, arrived: Sequence[bytes | None]) -> tuple[ReceivedStream, ...]:
    """Streams at the receiver. A packet of another version, or of no chunk of the message, counts as erased.

    Args:
        message: what was sent; only its layout (streams, chunk counts: the grant) is used.
        arrived: one entry per packet that was sent, None where it was erased.
    """
    chunks: dict[str, list[bytes | None]] = {s.name: [None] * len(s.chunks) for s in message.streams}
    by_number = {number: chunks[name] for name, number in _ids(chunks).items()}
    for data in arrived:
        if data is None or len(data) < HEADER_BYTES:
            continue
        word = int.from_bytes(data[:HEADER_BYTES], "big")
        version, number, index = word >> 14, word >> 10 & 15, word & 0x3FF
        places = by_number.get(number, [])
        if version == VERSION and index < len(places):
            places[index] = data[HEADER_BYTES:]
    return tuple(ReceivedStream(name, tuple(values)) for name, values in chunks.items())


def bits_on_wire(message: Message) -> dict[str, int]:
    """Bits per stream, packet headers included; an analog stream has none."""
    return {s.name: 8 * (s.num_bytes + HEADER_BYTES * len(s.chunks)) for s in message.streams}


def bpp(message: Message) -> float:
    """Bits on the wire per pixel, every stream and packet header counted."""
    return sum(bits_on_wire(message).values()) / message.num_pixels


def _ids(names: Iterable[str]) -> dict[str, int]:
    """Number on the wire of each stream of a message; see the module docstring."""
    from semcom.streams import STREAMS  # with the coders of the streams: those who only count need them not

    known = {stream.name: number for number, stream in enumerate(STREAMS)}
    others = count(len(STREAMS))
    ids = {name: known[name] if name in known else next(others) for name in names}
    if max(ids.values(), default=0) >= MAX_STREAMS:
        raise ValueError(
            f"a message of {len(ids)} streams: {MAX_STREAMS - len(STREAMS)} beside "
            f"{', '.join(known)} are the most that packets can name"
        )
    return ids


def _header(stream: Stream, number: int, index: int) -> bytes:
    if index >= MAX_CHUNKS:
        raise ValueError(f"stream {stream.name} has more than {MAX_CHUNKS} chunks")
    return (VERSION << 14 | number << 10 | index).to_bytes(HEADER_BYTES, "big")
