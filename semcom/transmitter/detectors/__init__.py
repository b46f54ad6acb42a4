"""What finds things for `--key-class` that are no class of ImageNet: one file a detector, by name.

A file here has `detect(image) -> boxes` and a `MARGIN`; its name is the word. Weights come with first use.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from semcom.vision import Box, MissingExtraError

if TYPE_CHECKING:
    from torch import Tensor

_LEAST_MARGIN = 6  # pixels: outlines of small faces and letters blur into what is around them


@cache
def names() -> tuple[str, ...]:
    """Words that have a detector."""
    return tuple(sorted(f.stem for f in Path(__file__).parent.glob("[a-z]*.py")))


def detect(name: str, image: Tensor) -> list[Box]:
    """Boxes in pixels, with a margin, of what a detector finds in a picture [3,H,W] in [0,1].

    Raises:
        ValueError: its weights cannot be fetched, or a package that it needs is not installed.
    """
    from semcom.pretrained import PretrainedError

    module = import_module(f"{__package__}.{name}")
    try:
        found: list[Box] = module.detect(image)
    except (PretrainedError, MissingExtraError) as error:
        raise ValueError(f"key class {name!r}: {error}") from error
    height, width = image.shape[1:]
    return [_grown(box, module.MARGIN, width, height) for box in found]


def _grown(box: Box, margin: float, width: int, height: int) -> Box:
    x0, y0, x1, y1 = box
    dx, dy = (max(margin * side, _LEAST_MARGIN) for side in (x1 - x0, y1 - y0))
    return max(x0 - dx, 0), max(y0 - dy, 0), min(x1 + dx, width), min(y1 + dy, height)
