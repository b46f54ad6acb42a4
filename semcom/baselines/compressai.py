"""Learned codecs of CompressAI as systems, from checkpoints that the user has.

The message is the entropy-coded strings as they are, after

    width (2) │ height (2) │ checkpoint (1) │ length of every string but the last (3 each)

in one packet: a range coder cannot do with less. What a checkpoint computes in floating point decides how its
strings are parsed, so both ends must be machines of one kind.

The package pins numpy < 2, which this project is past, and works with newer ones all the same:

    pip install --no-deps compressai einops torch-geometric xxhash
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from semcom.baselines.loss import grey_picture, sane
from semcom.contracts import Budget, BudgetError
from semcom.message import Message, Protection, ReceivedMessage, Reconstruction, Stream
from semcom.metrics.reference import LastReference
from semcom.packets import packet_sizes

_HEADER = struct.Struct(">HHB")
_LENGTH_BYTES = 3
_MAX_SIDE = 65535


class CompressAISystem:
    """One architecture at one or more qualities.

    Args:
        architecture: CompressAI's name, such as `bmshj2018-hyperprior`, `mbt2018` or `cheng2020-anchor`.
        checkpoints: files of state dictionaries, one a quality; the message is the largest that fits.

    Raises:
        ValueError: the package is not installed, the architecture is unknown, or a checkpoint cannot be used.
    """

    def __init__(self, architecture: str, checkpoints: Sequence[str | Path]) -> None:
        if not checkpoints or len(checkpoints) > 256:
            raise ValueError(f"system compressai needs 1 to 256 checkpoints, not {len(checkpoints)}")
        known = _architectures()
        if architecture not in known:
            raise ValueError(f"unknown architecture {architecture!r}; known: {', '.join(known)}")
        self._models = [_load(known[architecture], Path(path)) for path in checkpoints]
        self._messages = LastReference(self._all_messages)

    def encode(self, image: Tensor, budget: Budget) -> Message:
        """Message of a picture [3,H,W] float in [0,1], by the checkpoint that spends most of the budget.

        Raises:
            BudgetError: no checkpoint's strings fit.
            ValueError: a picture of another shape, or a side above 65535.
        """
        if image.ndim != 3 or image.shape[0] != 3 or max(image.shape[1:]) > _MAX_SIDE:
            raise ValueError(
                f"image must be [3,H,W] with sides of at most {_MAX_SIDE}, not {list(image.shape)}"
            )
        messages = self._messages(image)
        fitting = [message for message in messages if budget.fits(message)]
        if not fitting:
            raise BudgetError(budget.limit, budget.cost(packet_sizes(messages[0])), budget.unit)
        return fitting[-1]

    @torch.inference_mode()
    def decode(self, received: ReceivedMessage) -> Reconstruction:
        """The picture, or a grey one where the packet was lost or holds none of the session's size."""
        try:
            return Reconstruction(self._picture(received))
        except Exception:  # a decoder that meets damaged bytes may raise anything
            return grey_picture(received)

    def _picture(self, received: ReceivedMessage) -> Tensor:
        (chunk,) = received.chunks("image")
        if chunk is None:
            raise ValueError("nothing of it arrived")
        width, height, index = _HEADER.unpack_from(chunk)
        if (width, height) != (received.width, received.height):
            raise ValueError("not a picture of this session")
        model = self._models[index]
        strings = _split(chunk[_HEADER.size :], _num_strings(model))
        factor = model.downsampling_factor
        shape = (-(-height // factor), -(-width // factor))
        picture = model.decompress([[string] for string in strings], shape)["x_hat"]
        return sane(picture[0, :, :height, :width], received)

    def _all_messages(self, image: Tensor) -> list[Message]:
        """One a checkpoint, the smallest first."""
        messages = [self._message(image, i) for i in range(len(self._models))]
        return sorted(messages, key=lambda message: message.streams[0].num_bytes)

    @torch.inference_mode()
    def _message(self, image: Tensor, index: int) -> Message:
        model = self._models[index]
        height, width = image.shape[1:]
        padding = (0, -width % model.downsampling_factor, 0, -height % model.downsampling_factor)
        coded = model.compress(F.pad(image[None], padding, mode="replicate"))
        strings = [group[0] for group in coded["strings"]]
        lengths = b"".join(len(string).to_bytes(_LENGTH_BYTES, "big") for string in strings[:-1])
        payload = _HEADER.pack(width, height, index) + lengths + b"".join(strings)
        return Message((Stream("image", Protection.BASE, (payload,)),), width, height)


def _split(data: bytes, count: int) -> list[bytes]:
    """Strings out of their lengths and bytes."""
    start, strings = _LENGTH_BYTES * (count - 1), []
    for i in range(count - 1):
        length = int.from_bytes(data[_LENGTH_BYTES * i : _LENGTH_BYTES * (i + 1)], "big")
        strings.append(data[start : start + length])
        start += length
    return [*strings, data[start:]]


def _num_strings(model: Any) -> int:
    """One, and one of side information where there is a hyperprior."""
    return 2 if hasattr(model, "h_a") else 1


def _architectures() -> dict[str, Any]:
    try:
        from compressai.zoo.image import model_architectures
    except ModuleNotFoundError as error:
        raise ValueError(
            f"system compressai needs the package {error.name}: "
            "pip install --no-deps compressai einops torch-geometric xxhash"
        ) from error
    return dict(model_architectures)


def _load(architecture: Any, path: Path) -> Any:
    """A model ready to code. Raises `ValueError` naming the file."""
    if not path.is_file():
        raise ValueError(f"checkpoint {path} does not exist: give the file of a CompressAI state dictionary")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        model = architecture.from_state_dict(state.get("state_dict", state))
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"checkpoint {path} is not one of {architecture.__name__}: {reason}") from error
    model.requires_grad_(False).eval().update()
    return model


SYSTEM = CompressAISystem
