"""What the user may say about the key regions: points, boxes, a class, a drawn mask."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from semcom.picture.class_names import classes_of
from semcom.transmitter import detectors

if TYPE_CHECKING:
    from torch import Tensor

Point = tuple[float, float]
Box = tuple[float, float, float, float]


class PromptError(ValueError):
    """A prompt that cannot be followed; the message names it and what is allowed."""


@dataclass(frozen=True)
class Prompts:
    """The user's wishes; what they point at becomes key, together.

    Attributes:
        points: (x, y) in pixels from the upper left corner, each on one object.
        boxes: (x0, y0, x1, y1) in pixels, each around one object.
        key_class: an ImageNet class, an everyday word for several ("dog"), or what a detector finds ("face");
            several separated by commas.
    """

    points: tuple[Point, ...] = ()
    boxes: tuple[Box, ...] = ()
    key_class: str | None = None

    def __post_init__(self) -> None:
        for box in self.boxes:
            if not (box[0] < box[2] and box[1] < box[3]):
                raise PromptError(
                    f"box {_text(box)}: x0,y0 is the upper left corner and x1,y1 the lower right one"
                )
        for word in self.words:
            if word not in detectors.names():
                classes_of(word)

    @property
    def words(self) -> tuple[str, ...]:
        """What the key classes are, one by one."""
        if self.key_class is None:
            return ()
        return tuple(word.strip() for word in self.key_class.split(","))

    def __bool__(self) -> bool:
        return bool(self.points or self.boxes or self.key_class)

    def check(self, width: int, height: int) -> None:
        """Raises `PromptError` unless every point and box lies in a picture of that size."""
        for kind, prompts in (("point", self.points), ("box", self.boxes)):
            for prompt in prompts:
                inside = all(0 <= x <= width for x in prompt[::2]) and all(
                    0 <= y <= height for y in prompt[1::2]
                )
                if not inside:
                    raise PromptError(
                        f"{kind} {_text(prompt)} is outside the picture of {width}x{height} pixels"
                    )


def make_prompts(
    points: Iterable[Sequence[float]], boxes: Iterable[Sequence[float]], key_class: str | None
) -> Prompts:
    """Prompts from lists of numbers, as scenario files have them. Raises `PromptError`."""
    return Prompts(
        tuple((x, y) for x, y in (_check_numbers(point, 2, "point", "x,y") for point in points)),
        tuple((a, b, c, d) for a, b, c, d in (_check_numbers(x, 4, "box", "x0,y0,x1,y1") for x in boxes)),
        key_class,
    )


def parse_points(texts: Iterable[str]) -> tuple[Point, ...]:
    """Points written `x,y`, several separated by semicolons or spaces. Raises `PromptError`."""
    return tuple((x, y) for x, y in _parse(texts, 2, "point", "x,y"))


def parse_boxes(texts: Iterable[str]) -> tuple[Box, ...]:
    """Boxes written `x0,y0,x1,y1`, several separated by semicolons or spaces. Raises `PromptError`."""
    return tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in _parse(texts, 4, "box", "x0,y0,x1,y1"))


def load_mask(path: str | Path) -> Tensor:
    """A drawn mask: [H,W] bool, True where a grey or colour picture is brighter than half.

    Raises:
        PromptError: the file cannot be read.
    """
    import numpy as np
    import torch

    from semcom.picture import images

    try:
        values = np.asarray(images.read(path).convert("L"))
    except images.ImageError as error:
        raise PromptError(f"mask {error}") from error
    return torch.from_numpy(values > 127)


def _parse(texts: Iterable[str], count: int, kind: str, form: str) -> list[tuple[float, ...]]:
    return [
        _check_numbers(item.split(","), count, kind, form)
        for text in texts
        for item in text.replace(";", " ").split()
    ]


def _check_numbers(values: Sequence[float | str], count: int, kind: str, form: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise PromptError(f"{kind} {_text(values)}: expected {form} in pixels")
    return numbers


def _text(values: Sequence[float | str]) -> str:
    return ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
