"""Tiny systems, links and metrics with the real contracts, importable in worker processes."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from channels.links.report import BurstReport
from semcom.chooser import Choice, Situation
from semcom.contracts import Budget
from semcom.message import (
    LinkReport,
    Message,
    PacketSize,
    Protection,
    ReceivedMessage,
    Reconstruction,
    Stream,
)
from semcom.metrics.registry import Metric
from semcom.packets import pack, packet_sizes, unpack


class ToySystem:
    """Sends the mean colour of each of 2×2 quarters as one packet of 3 bytes; a lost quarter is grey.

    Args:
        log: a file that gets a line per encode and decode with the time, to count them.
        kill_once: a file; while it is missing, the first decode makes it and ends the process.
        poison: every decode with something lost ends the process.
        refuse: raises when something is lost.
        seconds: a decode takes.
    """

    def __init__(
        self,
        log: str | None = None,
        kill_once: str | None = None,
        poison: bool = False,
        refuse: bool = False,
        seconds: float = 0.0,
    ) -> None:
        self._log, self._kill_once, self._poison = log, kill_once, poison
        self._refuse, self._seconds = refuse, seconds

    def encode(self, image: Tensor, budget: Budget) -> Message:
        self._note("encode")
        height, width = image.shape[-2:]
        means = torch.nn.functional.adaptive_avg_pool2d(image, 2).flatten(1).T  # [4, 3]
        chunks = tuple(bytes((row * 255).round().to(torch.uint8).tolist()) for row in means)
        streams = (
            Stream("header", Protection.CRITICAL, (b"H",)),
            Stream("image", Protection.DETAIL, chunks),
        )
        message = Message(streams, width, height)
        budget.cost(packet_sizes(message))
        return message

    def decode(self, received: ReceivedMessage) -> Reconstruction:
        self._note("decode")
        if self._seconds:
            time.sleep(self._seconds)
        chunks = received.chunks("image")
        if self._kill_once and not Path(self._kill_once).exists():
            Path(self._kill_once).touch()
            os._exit(1)
        if None in chunks and self._poison:
            os._exit(1)
        if None in chunks and self._refuse:
            raise RuntimeError("a quarter is missing")
        quarters = torch.tensor([list(c) if c is not None else [128] * 3 for c in chunks]) / 255
        image = torch.nn.functional.interpolate(
            quarters.T.reshape(1, 3, 2, 2), size=(received.height, received.width), mode="nearest"
        )[0]
        return Reconstruction(image)

    def _note(self, what: str) -> None:
        if self._log:
            with Path(self._log).open("a") as file:
                file.write(f"{what} {time.time()}\n")


_EXPECTED = {"dists": 0.5, "lpips": 0.5}


class ToyChooser(ToySystem):
    """Sends all four quarters over good channels and the first over bad ones, as it says itself."""

    def __init__(self, log: str | None = None, quarters: int = 4) -> None:
        super().__init__(log)
        self._quarters = quarters

    def over_the_air(self, known: Situation, fixed: Mapping[str, int]) -> Iterator[tuple[Choice, ToyChooser]]:
        quarters = 4 if known.snr_db > 10 else 1
        choice = Choice("digital", quarters, {"critical": 3, "detail": 7} | dict(fixed), _EXPECTED, 0.5)
        yield choice, ToyChooser(self._log, quarters)

    def encode(self, image: Tensor, budget: Budget) -> Message:
        message = super().encode(image, budget)
        header, quarters = message.streams
        return replace(message, streams=(header, replace(quarters, chunks=quarters.chunks[: self._quarters])))

    def decode(self, received: ReceivedMessage) -> Reconstruction:
        self._note("decode")
        return Reconstruction(torch.full((3, received.height, received.width), 0.5))


class ToyLink:
    """Loses each packet with a probability that falls with the SNR; each seed on its own.

    Args:
        slope: dB per nat of the loss probability.
        fail_at_db: raises for a batch that has this SNR.
    """

    def __init__(self, slope: float = 5.0, fail_at_db: float | None = None) -> None:
        self._slope, self._fail_at_db = slope, fail_at_db

    def send(
        self, messages: Sequence[Message], snr_db: float | Sequence[float], seeds: Sequence[int]
    ) -> list[ReceivedMessage]:
        snrs = list(snr_db) if isinstance(snr_db, Sequence) else [snr_db] * len(messages)
        if self._fail_at_db in snrs:
            raise RuntimeError(f"cannot do {self._fail_at_db} dB")
        return [self._send(*job) for job in zip(messages, snrs, seeds, strict=True)]

    def channel_uses(self, sizes: Sequence[PacketSize]) -> int:
        return sum(4 * size for _, size in sizes)

    def _send(self, message: Message, snr_db: float, seed: int) -> ReceivedMessage:
        generator, loss = random.Random(seed), 2.718281828 ** (-(snr_db + 5) / self._slope)
        packets = pack(message)
        arrived = [None if generator.random() < loss else packet.data for packet in packets]
        arrived[0] = packets[0].data
        classes = {
            name: BurstReport(
                packets=sum(p.protection == name for p in packets),
                lost=sum(p.protection == name and a is None for p, a in zip(packets, arrived, strict=True)),
                channel_uses=sum(4 * len(p.data) for p in packets if p.protection == name),
                effective_sinr_db=None,
            )
            for name in {p.protection for p in packets}
        }
        report = LinkReport(snr_db, self.channel_uses(packet_sizes(message)), classes)
        return ReceivedMessage(unpack(message, arrived), message.width, message.height, report)


def _mse(preds: Tensor, target: Tensor) -> Tensor:
    """Mean squared error per picture."""
    return ((preds - target) ** 2).mean((1, 2, 3))


mse = Metric("mse", _mse, higher_is_better=False, label="MSE", digits=5, range=(0.0, None))


def _mse_of_bright(preds, target):
    """Of bright pictures only: NaN for the others."""
    return torch.where(target.mean((1, 2, 3)) > 0.5, _mse(preds, target), float("nan"))


sparse = Metric("sparse", _mse_of_bright, higher_is_better=False, label="MSE if bright", sparse=True)
not_a_number = Metric("nan", lambda preds, target: _mse(preds, target) * float("nan"), False, "nothing")


class Misbehaving(ToySystem):
    """The toy system with one fault, see the tests of trust."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self._fault = fault
        if fault == "SystemExit in the constructor":
            raise SystemExit(3)

    def encode(self, image: Tensor, budget: Budget) -> Message:
        message = super().encode(image, budget)
        header, quarters = message.streams
        if self._fault == "changes the original":
            image.zero_()
        if self._fault == "SystemExit in encode":
            raise SystemExit(3)
        if self._fault == "no message":
            return {"header": b""}  # type: ignore[return-value]
        changed = {
            "beyond the budget": Message(
                (header, Stream("image", Protection.DETAIL, (b"x" * 5018,))), 64, 64
            ),
            "two streams of one name": Message((header, quarters, quarters), 64, 64),
            "an empty chunk": Message((header, Stream("image", Protection.DETAIL, (b"x", b""))), 64, 64),
            "a message of another size": Message(message.streams, 32, 64),
        }
        return changed.get(self._fault, message)

    def decode(self, received: ReceivedMessage) -> Reconstruction:
        picture = super().decode(received).image
        if self._fault == "hangs":
            time.sleep(600)
        if self._fault == "SystemExit in decode":
            raise SystemExit(3)
        if self._fault == "KeyboardInterrupt in decode":
            raise KeyboardInterrupt
        changed = {
            "one pixel": picture[:, :1, :1],
            "0 to 255": picture * 255,
            "uint8": (picture * 255).to(torch.uint8),
            "not finite": picture / 0,
        }
        return Reconstruction(changed.get(self._fault, picture))
