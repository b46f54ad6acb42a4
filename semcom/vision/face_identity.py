"""Whose face it is: dlib's descriptor of 128 numbers; two faces nearer than 0.6 are the same person.

As its author describes it (blog.dlib.net, 2017: "High Quality Face Recognition with Deep Metric Learning"),
99.38 % right on LFW at that distance. Five landmarks turn and scale the face before: the corners of both
eyes and the base of the nose.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from semcom import pretrained
from semcom.picture.pixels import to_pixels
from semcom.vision import Box, extra

SAME_PERSON = 0.6
"""Distance of two descriptors below which they are of one person."""


class Face(NamedTuple):
    """A face: its landmarks [5,2] as x, y in pixels and its descriptor [128]."""

    landmarks: Any
    descriptor: Any

    def distance(self, other: Face) -> float:
        """Of two descriptors: 0 for one picture, below 0.6 for one person."""
        return float(np.linalg.norm(self.descriptor - other.descriptor))

    def landmark_error(self, other: Face) -> float:
        """Mean distance of the landmarks, as a share of the distance between this face's eyes."""
        eyes = [self.landmarks[i : i + 2].mean(0) for i in (0, 2)]
        apart = np.linalg.norm(eyes[0] - eyes[1])
        return float(np.linalg.norm(self.landmarks - other.landmarks, axis=1).mean() / max(apart, 1.0))


def look(image: Tensor, box: Box) -> Face:
    """The face in a box of a picture [3,H,W] in [0,1], whatever is there.

    Raises:
        MissingExtraError: dlib is not installed.
        PretrainedError: the weights cannot be fetched.
    """
    dlib, landmarks, network = _models()
    pixels = np.ascontiguousarray(to_pixels(image))
    points = landmarks(pixels, dlib.rectangle(*(round(value) for value in box)))
    places = np.array([[point.x, point.y] for point in points.parts()], float)
    return Face(places, np.array(network.compute_face_descriptor(pixels, points)))


@cache
def _models() -> tuple[Any, Any, Any]:
    dlib = extra("dlib", "face identity")
    models = []
    for name, build in (
        ("dlib-landmarks", dlib.shape_predictor),
        ("dlib-identity", dlib.face_recognition_model_v1),
    ):
        with tempfile.TemporaryDirectory() as folder:  # it reads paths only
            path = Path(folder) / name
            path.write_bytes(pretrained.file_of(name))
            models.append(build(str(path)))
    return dlib, *models
