"""Messages as packets: one chunk or one bundle, one packet; what is erased is marked at the receiver.

    byte 0   version (2 bits) │ stream (4 bits) │ index high bits (2 bits)
    byte 1   index low bits (8 bits)
    byte 2…  content

Small chunks of a message's `bundle` share one packet:

    byte 0   version 2 (2 bits) │ number of chunks (6 bits)
    then     stream (4 bits) │ bytes (12 bits) of each
    then     contents

The stream is named by its place in `semcom.streams.STREAMS`; any other name, such as a baseline's `image`, by
its place among the others of the message, counted on from there.

The link adds and checks a 24-bit CRC per packet, so a packet that arrives is intact; sizes and classes
are the scheduler's grant (the downlink control information of 5G), known to both ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, count
from typing import TYPE_CHECKING

from semcom.message import AnalogStream, Message, PacketSize, ReceivedStream, Stream

if TYPE_CHECKING:
    from channels.links.grants import DeliveryKind
    from channels.links.report import Doubtful

VERSION = 1
HEADER_BYTES = 2
MAX_CHUNKS = 1024
MAX_STREAMS = 16
MAX_BUNDLED_BYTES = 0xFFF
"""Of a chunk in a bundle."""
_BUNDLE, _BUNDLE_BYTES = 2, 1


@dataclass(frozen=True)
class Packet:
    """Bytes on the wire and the protection class they travel in."""

    data: bytes
    protection: str
    delivery: DeliveryKind = "erase"


def pack(message: Message) -> list[Packet]:
    """Packets of a message, stream by stream.

    Raises:
        ValueError: more streams than four bits can name, a stream of more than 1024 chunks, or a bundle of
            streams of several chunks or classes, or of more than 4095 bytes.
    """
    ids = _ids(stream.name for stream in message.streams)
    together, apart = _split(message)
    bundle = [_bundle(together, ids)] if together else []
    return bundle + [
        Packet(_header(stream, ids[stream.name], index) + chunk, stream.protection.value, stream.delivery)
        for stream in apart
        for index, chunk in enumerate(stream.chunks)
    ]


def packet_sizes(message: Message) -> list[PacketSize]:
    """(class, bytes on the wire) per packet, and (`analog`, number of values) per analog stream.

    >>> from semcom.message import Protection
    >>> packet_sizes(Message((Stream("image", Protection.BASE, (b"four", b"seventy")),), 64, 64))
    [('base', 6), ('base', 9)]
    """
    together, apart = _split(message)
    packets = [(s.protection.value, HEADER_BYTES + len(chunk)) for s in apart for chunk in s.chunks]
    if together:
        packets.insert(0, (together[0].protection.value, bundle_bytes(s.num_bytes for s in together)))
    analog = [s for s in message.streams if isinstance(s, AnalogStream)]
    return packets + [(s.protection.value, s.values.numel()) for s in analog]


def bundle_bytes(chunks: Iterable[int]) -> int:
    """Bytes on the wire of a bundle of chunks of these lengths."""
    return _BUNDLE_BYTES + sum(HEADER_BYTES + length for length in chunks)


def unpack(
    message: Message, arrived: Sequence[bytes | None], doubtful: Mapping[int, Doubtful] | None = None
) -> tuple[ReceivedStream, ...]:
    """Streams at the receiver. A packet of another version, or of no chunk of the message, counts as erased.

    Args:
        message: what was sent; only its layout (streams, chunk counts: the grant) is used.
        arrived: one entry per packet that was sent, None where it was erased.
        doubtful: packets whose CRC failed, by their place: it is the grant that says what they are.
    """
    chunks: dict[str, list[bytes | None]] = {s.name: [None] * len(s.chunks) for s in message.streams}
    by_number = {number: chunks[name] for name, number in _ids(chunks).items()}
    for data in arrived:
        if data is None or len(data) < HEADER_BYTES:
            continue
        word = int.from_bytes(data[:HEADER_BYTES], "big")
        version, number, index = word >> 14, word >> 10 & 15, word & 0x3FF
        found = _bundled(data) if version == _BUNDLE else []
        if version == VERSION:
            found = [(number, index, data[HEADER_BYTES:])]
        for number, index, chunk in found:
            places = by_number.get(number, [])
            if index < len(places):
                places[index] = chunk
    kept = _contents(message, doubtful or {})
    return tuple(
        ReceivedStream(name, tuple(values), doubtful=kept.get(name, {})) for name, values in chunks.items()
    )


def _contents(message: Message, doubtful: Mapping[int, Doubtful]) -> dict[str, dict[int, Doubtful]]:
    """By stream and chunk, of streams that wish it: where each lies follows from the grant's sizes."""
    together, apart = _split(message)
    first = bundle_bytes([]) + HEADER_BYTES * len(together)
    ends = list(accumulate((s.num_bytes for s in together), initial=first))
    bundled = [(s, 0, start, end) for s, start, end in zip(together, ends, ends[1:], strict=False)]
    single = [
        [(s, index, HEADER_BYTES, HEADER_BYTES + len(chunk))]
        for s in apart
        for index, chunk in enumerate(s.chunks)
    ]
    places = ([bundled] if together else []) + single
    kept: dict[str, dict[int, Doubtful]] = {}
    for place, packet in doubtful.items():
        for stream, index, start, end in places[place]:
            if stream.delivery != "erase":
                llrs = None if packet.llrs is None else packet.llrs[8 * start : 8 * end]
                kept.setdefault(stream.name, {})[index] = replace(
                    packet, data=packet.data[start:end], llrs=llrs
                )
    return kept


def bits_on_wire(message: Message) -> dict[str, int]:
    """Bits per stream, packet headers included, a bundle's own with its first; an analog stream has none."""
    bits = {s.name: 8 * (s.num_bytes + HEADER_BYTES * len(s.chunks)) for s in message.streams}
    for stream in _split(message)[0][:1]:
        bits[stream.name] += 8 * _BUNDLE_BYTES
    return bits


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


def _split(message: Message) -> tuple[list[Stream], list[Stream]]:
    """Streams that travel in the bundle, and the others."""
    together = [stream for stream in message.streams if stream.name in message.bundle]
    return together, [stream for stream in message.streams if stream.name not in message.bundle]


def _bundle(streams: Sequence[Stream], ids: Mapping[str, int]) -> Packet:
    if any(len(stream.chunks) != 1 or stream.num_bytes > MAX_BUNDLED_BYTES for stream in streams):
        raise ValueError(f"a bundle is of streams of one chunk of at most {MAX_BUNDLED_BYTES} bytes")
    if len({stream.protection for stream in streams}) > 1:
        raise ValueError("a bundle is of streams of one protection class")
    words = [ids[stream.name] << 12 | stream.num_bytes for stream in streams]
    table = b"".join(word.to_bytes(HEADER_BYTES, "big") for word in words)
    contents = b"".join(stream.chunks[0] for stream in streams)
    data = bytes([_BUNDLE << 6 | len(streams)]) + table + contents
    wishes = {stream.delivery for stream in streams}
    delivery = next(wish for wish in ("llr", "bits", "erase") if wish in wishes)
    return Packet(data, streams[0].protection.value, delivery)


def _bundled(data: bytes) -> list[tuple[int, int, bytes]]:
    """Stream, index and content of each chunk of a bundle; nothing where its lengths do not add up."""
    count = data[0] & 0x3F
    start = _BUNDLE_BYTES + HEADER_BYTES * count
    table, contents = data[_BUNDLE_BYTES:start], data[start:]
    words = [int.from_bytes(table[i : i + HEADER_BYTES], "big") for i in range(0, len(table), HEADER_BYTES)]
    if len(table) != HEADER_BYTES * count or sum(word & 0xFFF for word in words) != len(contents):
        return []
    found, offset = [], 0
    for word in words:
        found.append((word >> 12, 0, contents[offset : offset + (word & 0xFFF)]))
        offset += word & 0xFFF
    return found


def _header(stream: Stream, number: int, index: int) -> bytes:
    if index >= MAX_CHUNKS:
        raise ValueError(f"stream {stream.name} has more than {MAX_CHUNKS} chunks")
    return (VERSION << 14 | number << 10 | index).to_bytes(HEADER_BYTES, "big")
