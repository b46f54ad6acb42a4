"""Faces, their heads included: MTCNN's boxes, grown."""

from __future__ import annotations

from torch import Tensor

from semcom.vision import Box
from semcom.vision.mtcnn import detect as faces

MARGIN = 0.15
"""Of a box's sides, on every side: MTCNN's boxes end at chin and brows."""


def detect(image: Tensor) -> list[Box]:
    """Boxes of faces in a picture [3,H,W] in [0,1]."""
    return faces(image)
