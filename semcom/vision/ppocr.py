"""Text, by PP-OCRv4 (arXiv 2009.09941): where it is, and what it says. Latin letters, figures and Chinese.

The detector gives the probability of text for every pixel; connected regions become upright boxes, grown as
its authors grow them (DB, arXiv 1911.08947: by area · ratio / perimeter). The recogniser reads a line of 48
pixels' height, and its classes collapse as CTC has it.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from semcom import pretrained
from semcom.vision import Box, extra

_SHORT_SIDE, _STEP = 736, 32
_PIXEL, _REGION = 0.3, 0.5  # least probability of a pixel of text, and on average of a region
_GROWTH = 1.6
_SMALLEST = 3  # pixels of a region
_LINE, _WIDEST = 48, 1280


class Line(NamedTuple):
    """One line of text: its box in pixels, what it says and how sure the recogniser is, 0 to 1."""

    box: Box
    text: str
    score: float


@torch.inference_mode()
def detect(image: Tensor) -> list[Box]:
    """Boxes of lines of text in a picture [3,H,W] in [0,1].

    Raises:
        MissingExtraError: onnxruntime is not installed.
        PretrainedError: the weights cannot be fetched.
    """
    session = _session("ppocr-det")
    height, width = image.shape[1:]
    scale = max(_SHORT_SIDE / min(height, width), 1.0)
    size = [max(round(side * scale / _STEP) * _STEP, _STEP) for side in (height, width)]
    pixels = F.interpolate(image[None].flip(1), size, mode="bilinear") * 2 - 1
    likely = session.run(None, {"x": pixels.numpy()})[0][0, 0]
    regions = ndimage.binary_dilation(likely > _PIXEL, np.ones((2, 2)))
    labels, count = ndimage.label(regions, np.ones((3, 3)))
    boxes = []
    for i, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        tall, wide = rows.stop - rows.start, columns.stop - columns.start
        if min(tall, wide) < _SMALLEST or likely[labels == i].mean() < _REGION:
            continue
        grow = tall * wide * _GROWTH / (2 * (tall + wide))
        x0, x1 = ((x * width / size[1]) for x in (columns.start - grow, columns.stop + grow))
        y0, y1 = ((y * height / size[0]) for y in (rows.start - grow, rows.stop + grow))
        boxes.append((max(x0, 0.0), max(y0, 0.0), min(x1, width), min(y1, height)))
    assert count == labels.max(initial=0)
    return boxes


def read(image: Tensor) -> list[Line]:
    """Every line of text in a picture [3,H,W] in [0,1]; raises as `detect`."""
    return [Line(box, *read_box(image, box)) for box in detect(image)]


@torch.inference_mode()
def read_box(image: Tensor, box: Box) -> tuple[str, float]:
    """What the recogniser reads in a box of a picture [3,H,W] in [0,1], and how sure it is."""
    session = _session("ppocr-rec")
    x0, y0, x1, y1 = (round(value) for value in box)
    crop = image[None, :, y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)].flip(1)
    wide = min(max(round(_LINE * crop.shape[3] / crop.shape[2]), 8), _WIDEST)
    line = F.interpolate(crop, (_LINE, wide), mode="bilinear") * 2 - 1
    line = F.pad(line, (0, max(320 - wide, 0)))
    scores = session.run(None, {"x": line.numpy()})[0][0]
    best = scores.argmax(1)
    kept = (best != 0) & np.concatenate([[True], best[1:] != best[:-1]])
    letters = _letters()
    text = "".join(letters[i] for i in best[kept])
    return text, float(scores.max(1)[kept].mean()) if kept.any() else 0.0


@cache
def _letters() -> list[str]:
    characters = _session("ppocr-rec").get_modelmeta().custom_metadata_map["character"]
    return ["", *characters.splitlines(), " "]


@cache
def _session(name: str) -> Any:
    runtime = extra("onnxruntime", "reading text")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    return runtime.InferenceSession(pretrained.file_of(name), options, providers=["CPUExecutionProvider"])
