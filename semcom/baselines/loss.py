"""What every baseline shows where nothing of a picture can be decoded."""

from __future__ import annotations

import torch
from torch import Tensor

from semcom.message import ReceivedMessage, Reconstruction

_GREY = 0.5


def grey_picture(received: ReceivedMessage) -> Reconstruction:
    """A grey picture of the session's size, with a note that says so."""
    grey = torch.full((3, received.height, received.width), _GREY)
    return Reconstruction(grey, notes=("image lost: grey picture",))


def sane(picture: Tensor, received: ReceivedMessage) -> Tensor:
    """A network's output [3,H,W] limited to [0,1]. Raises `ValueError`: another size, or not finite."""
    if picture.shape != (3, received.height, received.width) or not bool(torch.isfinite(picture).all()):
        raise ValueError("not a picture of this session")
    return picture.clamp(0, 1).contiguous()
