"""What is still in the picture: objects, faces, people's identity, words, classes. Extra `tasks`.

One metric a file, functions on batches [B,3,H,W] in [0,1], as in `semcom.metrics`; NaN where the original has
nothing to find, which is not counted. What networks find in the original is the truth: where they err in it,
that is counted as if they did not. Nothing of this project is trained on these networks. The torchmetrics
classes are here by name.

| metric | of |
|---|---|
| `objects_found` | SSD-MobileNet-v2: the same class, IoU ≥ 0.5 |
| `faces_found` | MTCNN: IoU ≥ 0.5 |
| `identity_distance`, `same_person` | dlib's descriptor in the original's box, faces from 24 pixels on |
| `landmark_error` | dlib's five landmarks, in distances between the eyes |
| `text_found`, `text_error` | PP-OCRv4's recogniser in the original's box: lines without error, error rate |
| `top1_lite2`, `top5_lite2` | EfficientNet-Lite2: the original's class among the first |
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_CLASSES = (
    "ClassErrors",
    "FacesFound",
    "IdentityDistance",
    "LandmarkError",
    "ObjectsFound",
    "SamePerson",
    "TextError",
    "TextFound",
    "Top1",
    "Top5",
)


def __getattr__(name: str) -> Any:
    if name in _CLASSES:
        return getattr(import_module("semcom.metrics.tasks.classes"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
