"""Text, signs and numbers that PP-OCR can read (extra `tasks`)."""

from __future__ import annotations

from torch import Tensor

from semcom.vision import Box
from semcom.vision.ppocr import read

MARGIN = 0.05
LEAST = 0.5
"""Score of the recogniser: what it cannot read in the original is no text, or not worth its bytes."""


def detect(image: Tensor) -> list[Box]:
    """Boxes of lines of text in a picture [3,H,W] in [0,1]."""
    return [line.box for line in read(image) if line.score >= LEAST]
