"""Text, signs and numbers, by the detector of PP-OCR (extra `tasks`)."""

from __future__ import annotations

from torch import Tensor

from semcom.vision import Box
from semcom.vision.ppocr import detect as lines

MARGIN = 0.05


def detect(image: Tensor) -> list[Box]:
    """Boxes of lines of text in a picture [3,H,W] in [0,1]."""
    return lines(image)
