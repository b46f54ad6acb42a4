"""What finds things for `--key-class` that are no class of ImageNet: one file a detector, by name.

A file here has `detect(image) -> boxes`; its name is the word. Weights come with first use.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Box = tuple[float, float, float, float]


def names() -> tuple[str, ...]:
    """Words that have a detector."""
    return tuple(sorted(f.stem for f in Path(__file__).parent.glob("[a-z]*.py")))


def detect(name: str, image: Tensor) -> list[Box]:
    """Boxes (x0, y0, x1, y1) in pixels of what a detector finds in a picture [3,H,W] in [0,1].

    Raises:
        ValueError: its weights cannot be fetched.
    """
    from semcom.pretrained import PretrainedError

    try:
        found: list[Box] = import_module(f"{__package__}.{name}").detect(image)
    except PretrainedError as error:
        raise ValueError(f"key class {name!r}: {error}") from error
    return found
