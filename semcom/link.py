"""The whole story: a picture goes in, packets cross a channel, a picture comes out.

image ──► system.encode ──► Message ──► link.send ──► ReceivedMessage ──► system.decode ──► Reconstruction
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from semcom.contracts import Budget, Link, System
from semcom.message import (
    AnalogStream,
    LinkReport,
    Message,
    PacketSize,
    Protection,
    ReceivedAnalogStream,
    ReceivedMessage,
    Reconstruction,
)
from semcom.packets import pack, unpack

if TYPE_CHECKING:
    from torch import Tensor

    from channels.links.analog import AnalogLink
    from channels.links.digital import DigitalLink
    from channels.links.report import Doubtful


@dataclass(frozen=True)
class Transmission:
    """One picture's way through the chain."""

    message: Message
    received: ReceivedMessage
    reconstruction: Reconstruction


def transmit(
    image: Tensor,
    system: System,
    link: Link,
    budget: Budget,
    snr_db: float,
    seed: int,
    announce: Callable[[str], object] = lambda stage: None,
) -> Transmission:
    """Sends one picture over one channel realisation.

    Args:
        image: [3,H,W] float in [0,1].
        system: semantic or a baseline.
        link: how packets cross the channel.
        budget: what the message may spend.
        snr_db: Es/N0 per resource element.
        seed: of the channel realisation and the noise; see `semcom.seeds`.
        announce: told the name of each stage as it begins, for progress displays.

    Raises:
        BudgetError: the system has no message that small.
        ValueError: `snr_db` is not finite.
    """
    if not math.isfinite(snr_db):
        raise ValueError(f"snr_db must be a finite number of decibels, not {snr_db}")
    announce("encoding")
    message = system.encode(image, budget)
    announce("crossing the channel")
    (received,) = link.send([message], snr_db, [seed])
    announce("rebuilding the picture")
    return Transmission(message, received, system.decode(received))


class ChannelLink:
    """A `Link` over one of the links of `channels`: messages become packets and come back.

    An analog stream crosses the same channel uncoded, by `AnalogLink`; a message is all packets or one
    analog stream.

    Args:
        digital: bit-exact link of `channels.links.digital`, or one with the same methods.
    """

    def __init__(self, digital: DigitalLink) -> None:
        self._digital = digital

    @cached_property
    def _analog(self) -> AnalogLink:
        from channels.links.analog import AnalogLink

        return AnalogLink(self._digital.spec)

    def send(
        self, messages: Sequence[Message], snr_db: float | Sequence[float], seeds: Sequence[int]
    ) -> list[ReceivedMessage]:
        """See `semcom.message.Link`. Raises `ValueError` for a mixture of packets and analog streams."""
        if any(_analog_stream(message) for message in messages):
            return self._send_values(messages, snr_db, seeds)
        return self._send_packets(messages, snr_db, seeds)

    def channel_uses(self, sizes: Sequence[PacketSize]) -> int:
        """See `semcom.message.Link`."""
        values = sum(size for name, size in sizes if name == Protection.ANALOG)
        return self._analog.channel_uses(values) if values else self._digital.channel_uses(sizes)

    def _send_packets(
        self, messages: Sequence[Message], snr_db: float | Sequence[float], seeds: Sequence[int]
    ) -> list[ReceivedMessage]:
        from channels.links.digital import Payload

        bursts = [[Payload(p.data, p.protection, p.delivery) for p in pack(message)] for message in messages]
        deliveries = self._digital.send(bursts, snr_db, seeds)
        return [
            _received(
                message,
                delivery.payloads,
                LinkReport(
                    delivery.snr_db,
                    delivery.channel_uses,
                    delivery.classes,
                    delivery.channel_nmse,
                    delivery.radio,
                    delivery.figures(),
                ),
                delivery.doubtful,
            )
            for message, delivery in zip(messages, deliveries, strict=True)
        ]

    def _send_values(
        self, messages: Sequence[Message], snr_db: float | Sequence[float], seeds: Sequence[int]
    ) -> list[ReceivedMessage]:
        from channels.links.report import AnalogReport

        streams = [_analog_stream(message) for message in messages]
        if any(len(message.streams) > 1 for message in messages) or None in streams:
            raise ValueError("one call of the link sends packets or analog streams, not both")
        sent = [stream for stream in streams if stream is not None]
        received = []
        deliveries = self._analog.send([stream.values for stream in sent], snr_db, seeds)
        for message, stream, delivery in zip(messages, sent, deliveries, strict=True):
            arrived = ReceivedAnalogStream.of(stream.name, delivery.values, delivery.error_variance)
            analog = AnalogReport(
                channel_uses=delivery.channel_uses - delivery.pilot_uses,
                effective_sinr_db=delivery.effective_sinr_db,
                values=stream.values.numel(),
                mean_square_error=delivery.mean_square_error,
            )
            classes = {stream.protection.value: analog}
            report = LinkReport(delivery.snr_db, delivery.channel_uses, classes, radio=delivery.radio)
            received.append(ReceivedMessage((arrived,), message.width, message.height, report))
        return received


class PerfectLink:
    """Everything arrives and nothing is spent: the codec alone."""

    def send(
        self, messages: Sequence[Message], snr_db: float | Sequence[float], seeds: Sequence[int]
    ) -> list[ReceivedMessage]:
        """See `semcom.message.Link`; the SNR and the seeds play no part."""
        report = LinkReport(None, 0, {})
        return [_received(message, [p.data for p in pack(message)], report) for message in messages]

    def channel_uses(self, sizes: Sequence[PacketSize]) -> int:
        """Zero."""
        return 0


def _analog_stream(message: Message) -> AnalogStream | None:
    return next((stream for stream in message.streams if isinstance(stream, AnalogStream)), None)


def _received(
    message: Message,
    arrived: Sequence[bytes | None],
    report: LinkReport,
    doubtful: Mapping[int, Doubtful] | None = None,
) -> ReceivedMessage:
    digital = {stream.name: stream for stream in unpack(message, arrived, doubtful)}
    streams = tuple(
        _untouched(stream) if isinstance(stream, AnalogStream) else digital[stream.name]
        for stream in message.streams
    )
    return ReceivedMessage(streams, message.width, message.height, report)


def _untouched(stream: AnalogStream) -> ReceivedAnalogStream:
    return ReceivedAnalogStream.of(stream.name, stream.values, stream.values.new_zeros(stream.values.shape))
