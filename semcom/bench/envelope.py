"""The MCS envelope: per SNR and budget the best modulation and coding scheme of the whole 3GPP table.

A baseline at one fixed MCS has flat quality, then a cliff; compared that way, anything graceful wins. What a
sender would do is choose the MCS by the SNR. A low MCS loses few packets but leaves few bytes for the
picture, so the choice is one of expected quality:

    E[quality](mcs) = (1 − BLER) · quality(bytes that the MCS leaves) + BLER · quality of a lost picture

BLER comes from the abstraction link, averaged over channel realisations (the sender knows the statistics of
the channel, not the realisation), quality by bytes from the codec itself. What is predicted best, and next
best, is then sent bit by bit, and the best of that counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from semcom.bisection import largest
from semcom.contracts import Budget, System
from semcom.link import PerfectLink
from semcom.mcs import with_mcs
from semcom.message import Message, PacketSize, ReceivedMessage, ReceivedStream
from semcom.sweep import parts

if TYPE_CHECKING:
    from torch import Tensor

    from channels.links.abstraction import AbstractLink
    from channels.spec import LinkSpec

Metric = Callable[["Tensor", "Tensor"], "Tensor"]
HOPELESS = 0.98  # faster schemes are not simulated: they lose as much at least


def higher_is_better(metric: str) -> bool:
    """Which way a metric points, registered or `module:name`. Raises ValueError."""
    return parts.metric(metric).higher_is_better


@dataclass(frozen=True)
class RateQuality:
    """Quality of a system's pictures by the bytes they may take, no channel in between.

    Attributes:
        num_bytes: ascending, packet headers included; the first is what the system can do with at least.
        quality: per metric one value for each of `num_bytes`.
        lost: per metric the value when nothing arrived.
    """

    num_bytes: tuple[int, ...]
    quality: Mapping[str, tuple[float, ...]]
    lost: Mapping[str, float]

    def at(self, metric: str, num_bytes: int) -> float | None:
        """Quality, interpolated over the logarithm of the bytes; None for too few of them."""
        if num_bytes < self.num_bytes[0]:
            return None
        return float(np.interp(math.log(num_bytes), np.log(self.num_bytes), self.quality[metric]))


@dataclass(frozen=True)
class Prediction:
    """What the abstraction link says of one MCS at one SNR: bytes that fit, and how often they are lost."""

    mcs: int
    num_bytes: int
    bler: float

    def expected(self, metric: str, curve: RateQuality) -> float | None:
        """Expected value of a metric; None where the system has no message that small."""
        quality = curve.at(metric, self.num_bytes)
        return None if quality is None else (1 - self.bler) * quality + self.bler * curve.lost[metric]


def rate_quality(
    system: System,
    images: Sequence[Tensor],
    smallest: int,
    sizes: Sequence[int],
    metrics: Mapping[str, Metric],
) -> RateQuality:
    """Measures a system without channel.

    Args:
        system: with one protection class.
        images: [3,H,W] float in [0,1], few: the curve only ranks schemes.
        smallest: bytes that every picture to be sent can do with, packet headers included.
        sizes: bytes to measure at besides; those below `smallest` are left out.
        metrics: functions of two batches [1,3,H,W], by name.
    """
    messages: dict[int, list[Message]] = {
        size: [system.encode(image, _bytes_budget(size)) for image in images]
        for size in sorted({smallest, *(size for size in sizes if size > smallest)})
    }
    measured = {
        size: _quality(system, PerfectLink().send(messages[size], 0.0, [0] * len(images)), images, metrics)
        for size in messages
    }
    lost = _quality(system, [received_of(message, ()) for message in messages[smallest]], images, metrics)
    curves = {name: tuple(values[name] for values in measured.values()) for name in metrics}
    return RateQuality(tuple(measured), curves, lost)


def predict(
    spec: LinkSpec, protection: str, limit: int, snr_db: float, seeds: Sequence[int]
) -> list[Prediction]:
    """Every MCS that the abstraction holds for: the largest packet that fits, and the chance of losing it.

    Args:
        spec: of the link; the class's own MCS plays no part.
        protection: class that the whole message travels in.
        limit: channel uses, pilots, CRC and parity included.
        snr_db: Es/N0 per resource element.
        seeds: of the channel realisations that are averaged over.
    """
    from channels.coding.mcs import mcs, mcs_table_size
    from channels.links.abstraction import AbstractLink
    from channels.links.validity import refusal

    indices = range(mcs_table_size(spec.mcs_table))
    predictions, hopeless, bler = [], False, 0.0
    for index in sorted(indices, key=lambda i: mcs(spec.mcs_table, i).spectral_efficiency):
        if refusal(spec.ofdm, mcs(spec.mcs_table, index)) is not None:
            continue
        link = AbstractLink(with_mcs(spec, {protection: index}))
        size = _largest_packet(link, protection, limit)
        if size == 0:
            continue
        if not hopeless:
            bler = float(link.error_probabilities([(protection, size)], snr_db, seeds).mean())
        predictions.append(Prediction(index, size, bler))
        hopeless = hopeless or bler > HOPELESS
    return predictions


def best(
    predictions: Sequence[Prediction], curve: RateQuality, metrics: Sequence[str], keep: int
) -> set[int]:
    """MCS indices that are among the `keep` best of the predicted ones in at least one metric."""
    chosen: set[int] = set()
    for metric in metrics:
        scored = [(p.mcs, p.expected(metric, curve)) for p in predictions]
        chosen |= set(ranked({index: v for index, v in scored if v is not None}, metric)[:keep])
    return chosen


def ranked(values: Mapping[int, float], metric: str) -> list[int]:
    """Keys by their value of a metric, the best first; the greater key where values are equal."""
    sign = 1 if higher_is_better(metric) else -1
    return sorted(values, key=lambda key: (sign * values[key], key), reverse=True)


def _largest_packet(link: AbstractLink, protection: str, limit: int) -> int:
    """Bytes of the largest packet that fits; 0 where not even one byte does."""
    return largest(lambda size: link.channel_uses([(protection, size)]) <= limit)


def _bytes_budget(limit: int) -> Budget:
    def cost(sizes: Sequence[PacketSize]) -> int:
        return sum(size for _, size in sizes)

    return Budget(limit, cost, "bytes")


def received_of(message: Message, arrived: Collection[str]) -> ReceivedMessage:
    """What is received when the streams of these protection classes arrive and all others are lost."""
    (everything,) = PerfectLink().send([message], 0.0, [0])
    streams = tuple(
        stream
        if message[stream.name].protection in arrived
        else ReceivedStream(stream.name, (None,) * len(stream.chunks))
        for stream in everything.streams
    )
    return replace(everything, streams=streams)


@torch.no_grad()
def _quality(
    system: System,
    received: Sequence[ReceivedMessage],
    images: Sequence[Tensor],
    metrics: Mapping[str, Metric],
) -> dict[str, float]:
    pictures = [system.decode(message).image for message in received]
    return {
        name: float(np.mean([metric(a[None], b[None]).item() for a, b in zip(pictures, images, strict=True)]))
        for name, metric in metrics.items()
    }
