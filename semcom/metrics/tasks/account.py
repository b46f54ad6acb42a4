"""What of one picture's contents is still there, thing by thing, and in sentences."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from semcom.metrics.tasks.original import Original, original
from semcom.vision import face_identity, ppocr


def account(photo: Tensor, picture: Tensor) -> dict[str, Any]:
    """Every value of `Original`'s methods, as plain data, of a photo and its reconstruction [3,H,W] in [0,1].

    Raises:
        MissingExtraError: a package of the extra `tasks` is not installed.
        PretrainedError: weights cannot be fetched.
    """
    truth = original(photo)
    return seen(truth, picture) | {
        "objects": [thing.name for thing in truth.objects],
        "text": [line.text for line in truth.lines],
    }


def seen(truth: Original, picture: Tensor) -> dict[str, Any]:
    """Of everything there is to find in the original, by kind, in its order."""
    looks = [(known, face_identity.look(picture, box)) for box, known in truth.known_faces]
    errors = truth.text_error(picture)
    return {
        "objects_found": truth.objects_found(picture),
        "faces_found": truth.faces_found(picture),
        "text_found": [float(error == 0) for error in errors],
        "text_error": errors,
        "text_read": [ppocr.read_box(picture, line.box)[0] for line in truth.lines],
        "identity_distance": [known.distance(there) for known, there in looks],
        "landmark_error": [known.landmark_error(there) for known, there in looks],
        "face_widths": [box[2] - box[0] for box, _ in truth.known_faces],
        "top1": truth.top1(picture)[0],
        "top5": truth.top5(picture)[0],
    }


def told(found: dict[str, Any]) -> list[str]:
    """An account in lines of text."""
    lines = []
    names = list(zip(found["objects"], found["objects_found"], strict=True))
    if names:
        gone = [name for name, there in names if not there]
        rest = f"; not {', '.join(gone)}" if gone else ""
        lines.append(f"objects found again: {len(names) - len(gone)} of {len(names)}{rest}")
    if found["faces_found"]:
        lines.append(f"faces found again: {sum(found['faces_found']):.0f} of {len(found['faces_found'])}")
    if found["identity_distance"]:
        distances = ", ".join(f"{value:.2f}" for value in found["identity_distance"])
        lines.append(
            f"face identity distance: {distances} (below {face_identity.SAME_PERSON} the same person)"
        )
    for truth, read in zip(found["text"], found["text_read"], strict=True):
        lines.append(f"text {truth!r} is read as {read!r}")
    lines.append(f"class (EfficientNet-Lite2): {'the same' if found['top1'] else 'another one'}")
    return lines
