"""What a system, a link or a metric must give back; what it gives instead is named in the failure.

A system that breaks a rule would falsify its own numbers or those of others: a message beyond the budget wins
every comparison, a picture of another shape is broadcast by a metric without a word.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from semcom.contracts import Budget
from semcom.message import AnalogStream, Message, ReceivedMessage
from semcom.packets import packet_sizes

if TYPE_CHECKING:
    from torch import Tensor

_RANGE_TOLERANCE = 1e-4  # of pictures that were scaled without being clamped


class ContractError(ValueError):
    """A system, a link or a metric broke a rule of its contract."""


def message(given: Message, budget: Budget, image: Tensor) -> None:
    """A message of a picture [3,H,W] within a budget. Raises ContractError."""
    if not isinstance(given, Message):
        raise ContractError(f"encode gave a {type(given).__name__} instead of a Message")
    height, width = image.shape[-2:]
    if (given.width, given.height) != (width, height):
        raise ContractError(f"the message is of {given.width}x{given.height} pixels, not {width}x{height}")
    names = [stream.name for stream in given.streams]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise ContractError(f"the message has two streams {repeated!r}")
    for stream in given.streams:
        if not isinstance(stream, AnalogStream) and not all(
            isinstance(chunk, bytes) and chunk for chunk in stream.chunks
        ):
            raise ContractError(f"stream {stream.name!r} has a chunk that is empty or no bytes")
    cost = budget.cost(packet_sizes(given))
    if cost > budget.limit:
        raise ContractError(f"the message takes {cost} {budget.unit} of a budget of {budget.limit}")


def picture(given: Tensor, original: Tensor) -> None:
    """A reconstruction of an original [3,H,W]. Raises ContractError."""
    import torch

    if not isinstance(given, torch.Tensor):
        raise ContractError(f"decode gave a picture of type {type(given).__name__}")
    if given.shape != original.shape:
        raise ContractError(f"the picture has the shape {list(given.shape)}, not {list(original.shape)}")
    if not given.is_floating_point():
        raise ContractError(f"the picture is of {given.dtype}, not floating point in [0,1]")
    if not bool(given.isfinite().all()):
        raise ContractError("the picture has values that are not finite")
    low, high = given.min().item(), given.max().item()
    if low < -_RANGE_TOLERANCE or high > 1 + _RANGE_TOLERANCE:
        raise ContractError(f"the picture has values from {low:.4g} to {high:.4g}, not in [0,1]")


def deliveries(given: Any, count: int) -> list[ReceivedMessage]:
    """What a link returned for some messages. Raises ContractError."""
    if not isinstance(given, list) or len(given) != count:
        found = f"{len(given)}" if isinstance(given, list) else f"a {type(given).__name__}"
        raise ContractError(f"the link was given {count} messages and returned {found}")
    return given


def measured(value: Any, metric: str, sparse: bool = False) -> float:
    """A metric of one picture; NaN, nothing to measure, is a value of sparse ones. Raises ContractError."""
    if getattr(value, "numel", lambda: 0)() != 1:
        shape = list(value.shape) if hasattr(value, "shape") else type(value).__name__
        raise ContractError(f"{metric} gave {shape} for one picture, not one number")
    number = float(value.item())
    if math.isnan(number) and not sparse:
        raise ContractError(f"{metric} gave NaN")
    return number
