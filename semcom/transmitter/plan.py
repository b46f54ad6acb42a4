"""A message before the quality of its HCI is settled: what would travel beside which HCI, at what cost.

Sizes are enough to choose by, so that a message is made once, when everything is chosen. What depends on an
HCI (its decoded picture, the latents of what it misses) is worked out once for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from semcom.message import Message, PacketSize, Protection, Stream
from semcom.networks.key_transform import USUAL_FINENESS
from semcom.packets import HEADER_BYTES, MAX_BUNDLED_BYTES, bundle_bytes
from semcom.streams import STREAMS, presence
from semcom.streams import base as base_stream
from semcom.streams import caption as caption_stream
from semcom.streams import card as card_stream
from semcom.streams import hci as hci_stream
from semcom.streams import header as header_stream
from semcom.streams import key as key_stream
from semcom.streams import mask as mask_stream
from semcom.streams import texture as texture_stream
from semcom.streams import words as words_stream
from semcom.streams.format import ExtraStream, StreamFormat
from semcom.streams.header import Header
from semcom.streams.tables import StreamTables
from semcom.transmitter import texture
from semcom.transmitter.key_codec import KeyEncoder

Chunks = Mapping[StreamFormat, Sequence[bytes]]


@dataclass(frozen=True)
class Coding:
    """One AV1 coding of the picture: `payload` of `quality`, sent smaller by `reduction`."""

    payload: bytes
    quality: int
    reduction: int = 1


class Source:
    """A picture with what was worked out of it.

    Args:
        image: [3,H,W] in [0,1], whole key cells.
        width, height: of the picture itself.
        grain: level of its film grain.
        key: makes the key stream.
        tables: of the other streams.
    """

    def __init__(
        self,
        image: Tensor,
        width: int,
        height: int,
        grain: int,
        key: KeyEncoder,
        tables: StreamTables,
    ) -> None:
        self.image, self.width, self.height, self.grain, self._key = image, width, height, grain, key
        self.tables = tables
        self._decoded: dict[Coding, Tensor] = {}
        self._latents: dict[Coding, Tensor] = {}

    def decoded(self, coding: Coding) -> Tensor:
        """[3,h,w] in [0,1], as the receiver sees it."""
        if coding not in self._decoded:
            size = self.width, self.height, coding.reduction
            self._decoded[coding] = hci_stream.decode(coding.payload, *size)
        return self._decoded[coding]

    def key_packets(self, coding: Coding, key_map: Tensor, fineness: int) -> list[bytes]:
        """Key stream of a map [rows,columns] beside this coding."""
        if coding not in self._latents:
            self._latents[coding] = self._key.latents(self.image, self.decoded(coding))
        return self._key.packets(self._latents[coding], key_map, fineness)


@dataclass(frozen=True)
class Plan:
    """What to send of a picture.

    Attributes:
        source: the picture.
        key_map: [rows,columns] bool; None or an empty one sends no key stream.
        fineness: of the key latents.
        levels: of the texture; None sends none.
        card, base, caption, words: chunks, or None.
        extras: chunks of further streams.
        bundled: the critical streams share one packet.
    """

    source: Source
    key_map: Tensor | None = None
    fineness: int = USUAL_FINENESS
    levels: Tensor | None = None
    card: bytes | None = None
    base: bytes | None = None
    caption: bytes | None = None
    words: bytes | None = None
    extras: Mapping[ExtraStream, Sequence[bytes]] = field(default_factory=dict)
    bundled: bool = False

    def chunks(self, coding: Coding) -> Chunks:
        """Of every stream but the header, beside an HCI."""
        fine, packets = None, None
        if self.levels is not None:
            fine = texture.encode(
                self.levels, self.source.decoded(coding), coding.quality, self.source.tables
            )
        if self.key_map is not None and bool(self.key_map.any()):
            packets = self.source.key_packets(coding, self.key_map, self.fineness)
        mask = (
            mask_stream.encode(self.key_map, self.source.tables)
            if packets and self.key_map is not None
            else None
        )
        single = {
            card_stream.STREAM: self.card,
            base_stream.STREAM: self.base,
            mask_stream.STREAM: mask,
            caption_stream.STREAM: self.caption,
            words_stream.STREAM: self.words,
            hci_stream.STREAM: coding.payload,
            texture_stream.STREAM: fine,
        }
        sent: dict[StreamFormat, Sequence[bytes]]
        sent = {stream: (data,) for stream, data in single.items() if data is not None}
        return sent | ({key_stream.STREAM: packets} if packets else {}) | dict(self.extras)

    def message(self, chunks: Chunks, coding: Coding) -> Message:
        """The message of these chunks, in order of importance."""
        source, names = self.source, [stream.name for stream in chunks]
        header = Header(
            source.width,
            source.height,
            coding.quality,
            coding.reduction,
            presence(names),
            len(chunks.get(key_stream.STREAM, ())),
            self.fineness,
            source.grain,
        )
        complete = {header_stream.STREAM: (header.to_bytes(),), **chunks}
        ordered = [stream for stream in dict.fromkeys((*STREAMS, *chunks)) if stream in complete]
        streams = (Stream(stream.name, stream.protection, tuple(complete[stream])) for stream in ordered)
        bundle = tuple(stream.name for stream in ordered if self.bundled and _is_bundled(stream, complete))
        return Message(tuple(streams), source.width, source.height, bundle)

    def sizes(self, chunks: Chunks) -> list[PacketSize]:
        """What packets of these chunks and of a header are to a link."""
        complete = {header_stream.STREAM: (bytes(header_stream.NUM_BYTES),), **chunks}
        together = [s for s in complete if self.bundled and _is_bundled(s, complete)]
        packets = [
            (s.protection.value, HEADER_BYTES + len(c))
            for s, each in complete.items()
            if s not in together
            for c in each
        ]
        if together:
            bundle = bundle_bytes(len(complete[stream][0]) for stream in together)
            packets.insert(0, (Protection.CRITICAL.value, bundle))
        return packets


def _is_bundled(stream: StreamFormat, chunks: Chunks) -> bool:
    """Whether a stream shares the header's packet, where one packet is to hold all that is critical."""
    each = chunks[stream]
    return stream.protection is Protection.CRITICAL and len(each) == 1 and len(each[0]) <= MAX_BUNDLED_BYTES
