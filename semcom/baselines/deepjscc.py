"""DeepJSCC as a system: latents straight onto the subcarriers, no bits, no packets, no cliff.

The budget decides how many values are sent, the most important channel first. The sender does not know the
SNR; the receiver knows how noisy each value is. The picture's size is part of the session, like the grant.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from semcom.baselines.loss import grey_picture, sane
from semcom.contracts import Budget, BudgetError
from semcom.message import AnalogStream, Message, Protection, ReceivedMessage, Reconstruction
from semcom.networks.deepjscc import CHANNELS, DeepJSCC, normalise, num_values
from semcom.profile import Profile

_FEWEST_CHANNELS = 2  # what it was trained for


class DeepJSCCSystem:
    """One network for every size, budget, SNR and channel.

    Args:
        profile: name of a shipped profile or path of a folder with a part `codec`.

    Raises:
        ProfileError: the profile cannot be used.
    """

    def __init__(self, profile: str | Path = "deepjscc") -> None:
        self.profile = Profile.open(profile)
        self._codec = self.profile.build("codec", DeepJSCC)

    @torch.inference_mode()
    def encode(self, image: Tensor, budget: Budget) -> Message:
        """As many values as the budget buys, of unit mean square.

        Args:
            image: [3,H,W] float in [0,1].
            budget: in channel uses: bytes buy no values.

        Raises:
            BudgetError: it buys fewer than two values per 16×16 pixels.
            ValueError: a budget in bytes, or a picture of another shape.
        """
        if image.ndim != 3 or image.shape[0] != 3:
            raise ValueError(f"image must be [3,H,W], not {list(image.shape)}")
        height, width = image.shape[1:]
        count = _affordable(budget, height, width)
        values = normalise(self._codec.send(image[None])[:, :count])[0]
        return Message((AnalogStream.of("image", values.clone()),), width, height)

    @torch.inference_mode()
    def decode(self, received: ReceivedMessage) -> Reconstruction:
        """The picture from noisy values; a grey one where they are none of the session's picture."""
        try:
            stream = received.analog("image")
            planes = stream.values[None].float(), stream.error_variance[None].float()
            picture = self._codec.receive(*planes, received.height, received.width)[0]
            return Reconstruction(sane(picture, received))
        except (KeyError, ValueError, RuntimeError, IndexError):
            return grey_picture(received)


def _affordable(budget: Budget, height: int, width: int) -> int:
    """The most values that fit."""
    if budget.unit != "channel uses":
        raise ValueError(
            f"deepjscc sends symbols, not {budget.unit}: give its budget as a CBR or in channel uses "
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


SYSTEM = DeepJSCCSystem
