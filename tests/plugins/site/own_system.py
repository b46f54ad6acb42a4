"""A whole system from outside: the picture's mean colour in three bytes, a flat picture back."""

import torch

from semcom.contracts import BudgetError
from semcom.message import Message, Protection, Reconstruction, Stream
from semcom.packets import packet_sizes


class MeanColour:
    def encode(self, image, budget):
        colour = (image.mean((1, 2)) * 255).round().to(torch.uint8)
        stream = Stream("colour", Protection.CRITICAL, (bytes(colour.tolist()),))
        message = Message((stream,), image.shape[-1], image.shape[-2])
        if not budget.fits(message):
            raise BudgetError(budget.limit, budget.cost(packet_sizes(message)), budget.unit)
        return message

    def decode(self, received):
        (chunk,) = received.chunks("colour")
        colour = torch.tensor(list(chunk or b"\x80\x80\x80")) / 255
        return Reconstruction(colour.view(3, 1, 1).expand(3, received.height, received.width).contiguous())
