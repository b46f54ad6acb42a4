"""Where in a picture the classifier sees a class: the map that prompts SAM for a class name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from semcom.transmitter.features import FeatureExtractor, ImageFeatures
from semcom.transmitter.importance import blobs_of
from semcom.transmitter.prompts import Point

_PRESENT = 0.3  # 60 ImageNet photos: 100 % of the true classes reach it, 4 % of five words that are wrong
_PEAK = 0.5  # of the strongest evidence, that another object of the class must reach


@dataclass(frozen=True)
class ClassMap:
    """Evidence for a group of classes.

    Attributes:
        probability: largest probability of the group over the places of the picture.
        values: [H,W] in [0,1], 1 where the evidence for the group's likeliest class is strongest.
    """

    probability: float
    values: Tensor

    @property
    def peaks(self) -> list[Point]:
        """(x, y) in pixels of the strongest evidence in each connected region of strong evidence."""
        places = [int(part.argmax()) for part in blobs_of(self.values, _PEAK).maps]
        return [(float(i % self.values.shape[1]), float(i // self.values.shape[1])) for i in places]

    @property
    def present(self) -> bool:
        """Whether the class is likely to be in the picture at all."""
        return self.probability >= _PRESENT


def class_map(
    extractor: FeatureExtractor, features: ImageFeatures, classes: Sequence[int], height: int, width: int
) -> ClassMap:
    """Where the classifier sees one of `classes`, at the size [height,width] of the picture."""
    evidence = extractor.evidence(features)
    chosen = torch.tensor(classes)
    places = evidence.softmax(0)[chosen].sum(0)
    best = chosen[evidence[chosen].amax((1, 2)).argmax()]
    own = evidence[best]
    spread = (own - own.mean()).clamp(min=0)
    values = (spread / spread.max().clamp(min=1e-6))[None, None]
    full = F.interpolate(values, (height, width), mode="bilinear", align_corners=False)[0, 0]
    return ClassMap(places.max().item(), full)
