"""The analog picture at the sender: DeepJSCC values, as many as the budget buys, straight onto subcarriers.

The sender need not know the SNR; the receiver knows how noisy each value is (`semcom.receiver.analog`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from semcom.contracts import Budget, BudgetError
from semcom.message import AnalogStream, Message, Protection
from semcom.networks.deepjscc import CHANNELS, DeepJSCC, normalise, num_values

_FEWEST_CHANNELS = 2  # what the codec was trained for


@torch.inference_mode()
def encode(codec: DeepJSCC, image: Tensor, budget: Budget, name: str) -> Message:
    """One analog stream of as many values as the budget buys, of unit mean square.

    Args:
        codec: both ends of it.
        image: [3,H,W] float in [0,1].
        budget: in channel uses: bytes buy no values.
        name: of the stream.

    Raises:
        BudgetError: it buys fewer than two values per 16×16 pixels.
        ValueError: a budget in bytes.
    """
    height, width = image.shape[-2:]
    count = affordable(budget, height, width)
    values = normalise(codec.send(image[None])[:, :count])[0]
    return Message((AnalogStream.of(name, values.clone()),), width, height)


def affordable(budget: Budget, height: int, width: int) -> int:
    """The most values of a picture that fit.

    Raises:
        BudgetError: fewer fit than the codec can read.
        ValueError: the budget is not in channel uses.
    """
    if budget.unit != "channel uses":
        raise ValueError(
            f"an analog picture is symbols, not {budget.unit}: give its budget as a CBR or in channel uses "
            "(in a benchmark with `mcs: none`)"
        )
    most = num_values(height, width)
    fewest = most * _FEWEST_CHANNELS // CHANNELS

    def cost(count: int) -> int:
        return budget.cost([(Protection.ANALOG.value, count)])

    if cost(fewest) > budget.limit:
        raise BudgetError(budget.limit, cost(fewest), budget.unit)
    low, high = fewest, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if cost(middle) <= budget.limit else (low, middle - 1)
    return low
