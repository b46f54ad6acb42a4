"""What crosses between the parts of the chain: the vocabulary every system, link and sweep shares.

    image ─► System.encode ─► Message ─► Link.send ─► ReceivedMessage ─► System.decode ─► Reconstruction

A `Message` is an ordered set of named streams. A stream is cut into chunks that decode on their own;
one chunk travels as one packet, or with others in a bundle, which arrives whole or is erased. The values of
an analog stream cross the channel uncoded and arrive noisy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from channels.impairments.report import RadioReport
    from channels.links.grants import DeliveryKind
    from channels.links.report import BurstReport, Doubtful


class Protection(StrEnum):
    """Unit of unequal error protection: each class has its own MCS and HARQ."""

    CRITICAL = "critical"
    BASE = "base"
    DETAIL = "detail"
    ANALOG = "analog"  # none: real values, uncoded


PacketSize = tuple[str, int]
"""(protection class, bytes on the wire) of one packet, or (`analog`, number of values) of an analog stream:
what a link needs to count channel uses."""


@dataclass(frozen=True)
class Stream:
    """One named part of a message.

    Attributes:
        name: any; those of the semantic system are in `semcom.streams`.
        protection: class that decides its MCS.
        chunks: pieces that decode independently of each other; one packet each.
        delivery: what the receiver wants of a packet whose CRC fails: `erase` nothing, `bits` the bits as
            decoded, `llr` their LLRs too.
    """

    name: str
    protection: Protection
    chunks: tuple[bytes, ...]
    delivery: DeliveryKind = field(default="erase", kw_only=True)

    @property
    def num_bytes(self) -> int:
        """Content bytes, packet headers not included."""
        return sum(map(len, self.chunks))


@dataclass(frozen=True)
class AnalogStream(Stream):
    """Real values that travel as they are, two a symbol: no packets, no bits. Made by `of`.

    Attributes:
        values: [n] float, of mean square one: the power constraint.
    """

    values: Tensor

    @classmethod
    def of(cls, name: str, values: Tensor) -> AnalogStream:
        """The stream of these values."""
        return cls(name, Protection.ANALOG, (), values)


@dataclass(frozen=True)
class Message:
    """What one picture becomes.

    Attributes:
        streams: in order of importance; names are unique.
        width, height: of the picture in pixels. Part of the session like the packet sizes, used for
            rates and for the grey picture that stands for a message whose header was lost; a receiver
            takes the size from the header.
        bundle: streams of one chunk and one class that share the first packet and its CRC: they are lost
            together, and cost one CRC. Part of the grant.
        notes: of the sender, for reports. Not on the wire.
    """

    streams: tuple[Stream, ...]
    width: int
    height: int
    bundle: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def num_pixels(self) -> int:
        """H·W."""
        return self.width * self.height

    def __getitem__(self, name: str) -> Stream:
        for stream in self.streams:
            if stream.name == name:
                return stream
        raise KeyError(name)


@dataclass(frozen=True)
class ReceivedStream:
    """The same stream at the receiver: chunks that were erased are None.

    Attributes:
        name: of the stream.
        chunks: what arrived intact.
        doubtful: by place in `chunks`, what a stream with a `delivery` gets of those whose CRC failed.
    """

    name: str
    chunks: tuple[bytes | None, ...]
    doubtful: Mapping[int, Doubtful] = field(default_factory=dict, kw_only=True)

    @property
    def complete(self) -> bool:
        """Every chunk arrived."""
        return None not in self.chunks


@dataclass(frozen=True)
class ReceivedAnalogStream(ReceivedStream):
    """Values at the receiver, estimated with the least mean-square error. Made by `of`.

    Attributes:
        values: [n] float32.
        error_variance: [n] float32, the mean-square error of each, as the receiver believes it to be.
    """

    values: Tensor
    error_variance: Tensor

    @classmethod
    def of(cls, name: str, values: Tensor, error_variance: Tensor) -> ReceivedAnalogStream:
        """The stream of these values; `chunks` hold the same as bytes, by which messages are told apart."""
        content = tuple(t.detach().cpu().numpy().tobytes() for t in (values, error_variance))
        return cls(name, content, values, error_variance)


@dataclass(frozen=True)
class LinkReport:
    """What the link did for one message.

    Attributes:
        snr_db: Es/N0 per resource element, or None without a channel.
        channel_uses: resource elements spent, pilots, CRC and parity included.
        classes: per protection class the link's own report.
        channel_nmse: squared error of the channel estimate over the channel's power, in truth; None where
            nothing is estimated.
        radio: what an impaired radio did, in truth; None of an ideal one.
        figures: latency, throughput, energy a bit of packets: see `channels.links.report.Delivery.figures`.
    """

    snr_db: float | None
    channel_uses: int
    classes: Mapping[str, BurstReport]
    channel_nmse: float | None = None
    radio: RadioReport | None = None
    figures: Mapping[str, float | int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class ReceivedMessage:
    """What arrived of a message, and how it got there."""

    streams: tuple[ReceivedStream, ...]
    width: int
    height: int
    report: LinkReport

    def chunks(self, name: str) -> tuple[bytes | None, ...]:
        """Chunks of a stream, empty when the message has no such stream."""
        return next((stream.chunks for stream in self.streams if stream.name == name), ())

    def first(self, name: str) -> bytes | None:
        """The first chunk of a stream; None where it was erased or the message has no such stream."""
        return next(iter(self.chunks(name)), None)

    def first_doubtful(self, name: str) -> bytes | None:
        """The first chunk of a stream as decoded, where its CRC failed and it was wished all the same."""
        for stream in self.streams:
            if stream.name == name and 0 in stream.doubtful:
                return stream.doubtful[0].data
        return None

    def analog(self, name: str) -> ReceivedAnalogStream:
        """An analog stream. Raises `KeyError` where the message has none of that name."""
        for stream in self.streams:
            if stream.name == name and isinstance(stream, ReceivedAnalogStream):
                return stream
        raise KeyError(name)


@dataclass(frozen=True)
class Reconstruction:
    """The picture and what the receiver knows about it.

    Attributes:
        image: [3,H,W] float32 in [0,1].
        key_mask: [H/16,W/16] bool (rounded up), the key regions as received; None where they were lost, or
            for systems that have none.
        received: [H/16,W/16] float32 in [0,1]: 1 where the picture rests on received detail, 0 where
            it is generated; or None for systems that do not generate.
        caption: what the sender says the picture shows, or None when it sent none or it was lost.
        notes: conditions the user must know, for example "header lost: grey picture".
        seconds: time per receiver stage.
        parts: intermediate pictures for display, [3,h,w] each, such as `hci`.
    """

    image: Tensor
    key_mask: Tensor | None = None
    received: Tensor | None = None
    caption: str | None = None
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    parts: Mapping[str, Tensor] = field(default_factory=dict)
