"""Task metrics as torchmetrics classes: means over pictures that have something to find."""

from __future__ import annotations

from importlib import import_module

import torch
from torch import Tensor
from torchmetrics import Metric

from semcom.metrics.classes import MeanOverPictures


class _Task(MeanOverPictures):
    """Mean of the metric of a file of this package.

    Raises:
        MissingExtraError: a package of the extra `tasks` is not installed.
    """

    name: str

    def __init__(self) -> None:
        super().__init__(import_module(f"semcom.metrics.tasks.{self.name}").METRIC.function)


class ObjectsFound(_Task):
    """Share of objects found again, class and place."""

    higher_is_better, name = True, "objects_found"


class FacesFound(_Task):
    """Share of faces found again."""

    higher_is_better, name = True, "faces_found"


class IdentityDistance(_Task):
    """Distance of face descriptors; below 0.6 it is the same person."""

    higher_is_better, name = False, "identity_distance"


class SamePerson(_Task):
    """Share of faces that are still the same person."""

    higher_is_better, name = True, "same_person"


class LandmarkError(_Task):
    """Error of five landmarks, in distances between the eyes."""

    higher_is_better, name = False, "landmark_error"


class TextFound(_Task):
    """Share of lines of text that are read without error."""

    higher_is_better, name = True, "text_found"


class TextError(_Task):
    """Character error rate of lines of text."""

    higher_is_better, name = False, "text_error"


class Top1(_Task):
    """Share of pictures whose class EfficientNet-Lite2 still sees first."""

    higher_is_better, name = True, "top1_lite2"


class Top5(_Task):
    """Share of pictures whose class EfficientNet-Lite2 still sees among its first five."""

    higher_is_better, name = True, "top5_lite2"


class ClassErrors(Metric):
    """Class errors that generation makes and those that it repairs, by EfficientNet-Lite2's first class.

    `update(preds, target, plain)`: the third is the picture without generation (the thumbnail, enlarged).
    """

    full_state_update = False
    is_differentiable = False
    new: Tensor
    repaired: Tensor

    def __init__(self) -> None:
        super().__init__()
        self._agrees = import_module("semcom.metrics.tasks.top1_lite2").METRIC.function
        for state in ("new", "repaired"):
            self.add_state(state, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor, plain: Tensor) -> None:
        """Adds pictures, each [B,3,H,W] in [0,1]."""
        ours, without = (self._agrees(x, target).bool() for x in (preds, plain))
        self.new += (without & ~ours).sum()
        self.repaired += (~without & ours).sum()

    def compute(self) -> dict[str, Tensor]:
        """`new` and `repaired`, counts."""
        return {"new": self.new, "repaired": self.repaired}
