"""What the parts promise each other: a system, a link, and the budget that a message must fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from semcom.message import Message, PacketSize, ReceivedMessage, Reconstruction
from semcom.packets import packet_sizes

if TYPE_CHECKING:
    from torch import Tensor


class BudgetError(ValueError):
    """The budget is smaller than the smallest message the system can send.

    Attributes:
        smallest: the smallest budget that works, in the unit of the refused budget.
    """

    def __init__(self, limit: int, smallest: int, unit: str) -> None:
        super().__init__(
            f"a budget of {limit} {unit} is too small: the smallest that works is {smallest} {unit}"
        )
        self.smallest = smallest


@dataclass(frozen=True)
class Budget:
    """How much of the channel, or how many bytes, one message may spend.

    Attributes:
        limit: inclusive.
        cost: what a set of packets costs, in the unit of `limit`.
        unit: named in errors and reports.
    """

    limit: int
    cost: Callable[[Sequence[PacketSize]], int]
    unit: str

    @classmethod
    def of_channel_uses(cls, limit: int, link: Link) -> Budget:
        """At most `limit` resource elements on `link`, pilots, CRC and parity included."""
        return cls(limit, link.channel_uses, "channel uses")

    @classmethod
    def of_cbr(cls, cbr: float, width: int, height: int, link: Link) -> Budget:
        """At most `cbr`·3·H·W resource elements on `link`. Raises `ValueError` unless 0 < cbr."""
        _require_positive("cbr", cbr)
        return cls.of_channel_uses(int(cbr * 3 * width * height), link)

    @classmethod
    def of_bpp(cls, bpp: float, width: int, height: int) -> Budget:
        """At most `bpp`·H·W bits on the wire, packet headers included. Raises `ValueError` unless 0 < bpp."""
        _require_positive("bpp", bpp)
        return cls(int(bpp * width * height / 8), lambda sizes: sum(size for _, size in sizes), "bytes")

    def fits(self, message: Message) -> bool:
        """Whether the message, packet headers included, stays within the limit."""
        return self.cost(packet_sizes(message)) <= self.limit


def _require_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be a positive number, not {value}")


class System(Protocol):
    """Anything that turns a picture into a message and a received message back into a picture."""

    def encode(self, image: Tensor, budget: Budget) -> Message:
        """Message of a picture [3,H,W] float in [0,1]. Raises `BudgetError`."""
        ...

    def decode(self, received: ReceivedMessage) -> Reconstruction:
        """Picture of the same size, whatever arrived."""
        ...


class Link(Protocol):
    """Carries messages over a channel."""

    def send(
        self, messages: Sequence[Message], snr_db: float | Sequence[float], seeds: Sequence[int]
    ) -> list[ReceivedMessage]:
        """One channel realisation per message; `seeds[i]` alone decides that of message i."""
        ...

    def channel_uses(self, sizes: Sequence[PacketSize]) -> int:
        """Resource elements that packets of these classes and sizes occupy, without simulating."""
        ...
