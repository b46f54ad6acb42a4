"""What sees things in pictures: published networks that nothing of this project is trained on.

`semcom.metrics.tasks` measures with them what is still in a picture, `semcom.transmitter.detectors` points
with them at what is to be key. Weights are fetched once, pinned by hash (`semcom.pretrained`).

| file | finds | needs |
|---|---|---|
| `mtcnn` | faces | – |
| `ssd_mobilenet` | objects of 80 kinds | – |
| `lite2` | ImageNet's classes | – |
| `ppocr` | text and what it says | extra `tasks` (onnxruntime) |
| `face_identity` | whose face it is, landmarks | extra `tasks` (dlib) |
| `sentences` | what a sentence means | extra `tasks` (onnxruntime) |
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

_PACKAGES = ("dlib", "onnxruntime", "timm")
Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels."""


class MissingExtraError(ValueError):
    """A package of the extra `tasks` is not installed; the message says how to get it."""


def extra(package: str, purpose: str) -> ModuleType:
    """A package of the extra `tasks`.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise _missing(package, purpose) from error


def require(purpose: str) -> None:
    """Nothing is imported. Raises `MissingExtraError` unless the whole extra `tasks` is installed."""
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise _missing(package, purpose)


def _missing(package: str, purpose: str) -> MissingExtraError:
    return MissingExtraError(f"{purpose} needs the package {package}: pip install 'semcom[tasks]'")


def iou(a: Box, b: Box) -> float:
    """Area that two boxes share, of the area that they cover together: 0 to 1."""
    shared = _side(a, b, 0) * _side(a, b, 1)
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a, b)]
    return shared / max(sum(areas) - shared, 1e-9)


def _side(a: Box, b: Box, axis: int) -> float:
    return max(min(a[axis + 2], b[axis + 2]) - max(a[axis], b[axis]), 0.0)
