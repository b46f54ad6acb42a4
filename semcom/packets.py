"""Messages as packets: one chunk, one packet; what is erased on the way is marked at the receiver.

    byte 0   version (2 bits) │ stream (4 bits) │ index high bits (2 bits)
    byte 1   index low bits (8 bits)
    byte 2…  content

The link adds and checks a 24-bit CRC per packet, so a packet that arrives is intact; sizes and classes
are the scheduler's grant (the downlink control information of 5G), known to both ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from semcom.message import AnalogStream, Message, PacketSize, ReceivedStream, Stream

VERSION = 1
HEADER_BYTES = 2
MAX_CHUNKS = 1024
STREAMS = ("header", "card", "mask", "caption", "spw", "hci", "texture", "key", "image")


class PacketError(ValueError):
    """A packet of another version, or one that this message does not have."""


@dataclass(frozen=True)
class Packet:
    """Bytes on the wire and the protection class they travel in."""

    data: bytes
    protection: str


def pack(message: Message) -> list[Packet]:
    """Packets of a message, stream by stream.

    Raises:
        ValueError: a stream is unknown or has more than 1024 chunks.
    """
    return [
        Packet(_header(stream, index) + chunk, stream.protection.value)
        for stream in message.streams
        for index, chunk in enumerate(stream.chunks)
    ]


def packet_sizes(message: Message) -> list[PacketSize]:
    """(class, bytes on the wire) per packet, and (`analog`, number of values) per analog stream."""
    packets = [(s.protection.value, HEADER_BYTES + len(chunk)) for s in message.streams for chunk in s.chunks]
    analog = [s for s in message.streams if isinstance(s, AnalogStream)]
    return packets + [(s.protection.value, s.values.numel()) for s in analog]


def unpack(message: Message, arrived: Sequence[bytes | None]) -> tuple[ReceivedStream, ...]:
    """Streams at the receiver.

    Args:
        message: what was sent; only its layout (streams, chunk counts: the grant) is used.
        arrived: one entry per packet that was sent, None where it was erased.

    Raises:
        PacketError: a packet's header is of another version or names no chunk of the message.
    """
    layout = {stream.name: [None] * len(stream.chunks) for stream in message.streams}
    chunks: dict[str, list[bytes | None]] = {name: list(empty) for name, empty in layout.items()}
    for data in arrived:
        if data is None:
            continue
        name, index = _parse(data)
        if name not in chunks or index >= len(chunks[name]):
            raise PacketError(f"packet {name}[{index}] does not belong to this message")
        chunks[name][index] = data[HEADER_BYTES:]
    return tuple(ReceivedStream(name, tuple(values)) for name, values in chunks.items())


def bits_on_wire(message: Message) -> dict[str, int]:
    """Bits per stream, packet headers included; an analog stream has none."""
    return {s.name: 8 * (s.num_bytes + HEADER_BYTES * len(s.chunks)) for s in message.streams}


def bpp(message: Message) -> float:
    """Bits on the wire per pixel, every stream and packet header counted."""
    return sum(bits_on_wire(message).values()) / message.num_pixels


def _header(stream: Stream, index: int) -> bytes:
    if stream.name not in STREAMS:
        raise ValueError(f"unknown stream {stream.name!r}; known: {', '.join(STREAMS)}")
    if index >= MAX_CHUNKS:
        raise ValueError(f"stream {stream.name} has more than {MAX_CHUNKS} chunks")
    return (VERSION << 14 | STREAMS.index(stream.name) << 10 | index).to_bytes(HEADER_BYTES, "big")


def _parse(data: bytes) -> tuple[str, int]:
    word = int.from_bytes(data[:HEADER_BYTES], "big")
    if len(data) < HEADER_BYTES or word >> 14 != VERSION:
        raise PacketError(f"not a packet of version {VERSION}: starts with {data[:HEADER_BYTES].hex()!r}")
    stream = word >> 10 & 15
    if stream >= len(STREAMS):
        raise PacketError(f"not a packet of a known stream: starts with {data[:HEADER_BYTES].hex()!r}")
    return STREAMS[stream], word & 0x3FF
