"""Faces, by MTCNN with the published weights that `facenet-pytorch` carries (2 MB, MIT).

Source: Zhang et al., Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks,
IEEE Signal Processing Letters 2016 (arXiv 1604.02878): a pyramid of windows of 12 pixels, then two networks
that look closer at what each left over.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import nms

from semcom import pretrained
from semcom.vision import Box

_SMALLEST, _FACTOR = 20, 0.709  # pixels of a face; from one level of the pyramid to the next
_WINDOW, _STRIDE = 12, 2
_LEAST = (0.6, 0.7, 0.9)  # of the score, after each network
_Weights = dict[str, Tensor]


@torch.inference_mode()
def detect(image: Tensor) -> list[Box]:
    """Boxes (x0, y0, x1, y1) in pixels, within a picture [3,H,W] in [0,1]."""
    height, width = image.shape[1:]
    pixels = (image[None] * 255 - 127.5) / 128
    boxes = _proposals(pixels)
    for name, size, least in (("rnet", 24, _LEAST[1]), ("onet", 48, _LEAST[2])):
        if len(boxes):
            boxes = _refined(name, pixels, boxes, size, least)
    limits = torch.tensor([width, height, width, height])
    inside = torch.minimum(boxes.clamp(min=0), limits)
    return [(a, b, c, d) for a, b, c, d in inside.tolist() if a < c and b < d]


def _proposals(pixels: Tensor) -> Tensor:
    """[n,4] squares that the first network takes for faces at any scale."""
    found, scores = [torch.zeros(0, 4)], [torch.zeros(0)]
    scale = _WINDOW / _SMALLEST
    while min(pixels.shape[2:]) * scale >= _WINDOW:
        size = [int(side * scale + 1) for side in pixels.shape[2:]]
        likely, shift = _pnet(F.interpolate(pixels, size, mode="area"))
        y, x = (likely >= _LEAST[0]).nonzero().unbind(1)
        corners = torch.stack([x, y, x, y], 1) * _STRIDE + torch.tensor([1, 1, _WINDOW, _WINDOW])
        boxes, score = _moved(corners / scale, shift[:, y, x].T), likely[y, x]
        kept = nms(boxes, score, 0.5)
        found.append(boxes[kept])
        scores.append(score[kept])
        scale *= _FACTOR
    boxes, score = torch.cat(found), torch.cat(scores)
    return _squares(boxes[nms(boxes, score, 0.7)])


def _refined(name: str, pixels: Tensor, boxes: Tensor, size: int, least: float) -> Tensor:
    likely, shift = _look_closer(name, torch.cat([_cut(pixels, box, size) for box in boxes.tolist()]))
    sure = likely >= least
    boxes, likely = _moved(boxes[sure], shift[sure]), likely[sure]
    boxes = boxes[nms(boxes, likely, 0.7 if name == "rnet" else 0.4)]
    return _squares(boxes) if name == "rnet" else boxes


def _pnet(x: Tensor) -> tuple[Tensor, Tensor]:
    """Probability [h,w] of a face at every window and the shifts [4,h,w] of its sides."""
    w = _weights("pnet")
    x = F.max_pool2d(_conv(x, w, "1"), 2, 2, ceil_mode=True)
    x = _conv(_conv(x, w, "2"), w, "3")
    return _plain(x, w, "conv4_1").softmax(1)[0, 1], _plain(x, w, "conv4_2")[0]


def _look_closer(name: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """Probability [n] of a face in each of [n,3,s,s] and the shifts [n,4]: networks of 24 and 48 pixels."""
    w, pools = _weights(name), {"rnet": (3, 3), "onet": (3, 3, 2)}[name]
    for i, window in enumerate(pools, 1):
        x = F.max_pool2d(_conv(x, w, str(i)), window, 2, ceil_mode=True)
    x = _conv(x, w, str(len(pools) + 1))
    x = x.permute(0, 3, 2, 1).flatten(1)  # the weights come from a framework with columns first
    dense = len(pools) + 2
    x = F.prelu(F.linear(x, w[f"dense{dense}.weight"], w[f"dense{dense}.bias"]), w[f"prelu{dense}.weight"])
    face, shift = (
        F.linear(x, w[f"dense{dense + 1}_{i}.weight"], w[f"dense{dense + 1}_{i}.bias"]) for i in (1, 2)
    )
    return face.softmax(1)[:, 1], shift


def _conv(x: Tensor, w: _Weights, index: str) -> Tensor:
    return F.prelu(_plain(x, w, f"conv{index}"), w[f"prelu{index}.weight"])


def _plain(x: Tensor, w: _Weights, layer: str) -> Tensor:
    return F.conv2d(x, w[f"{layer}.weight"], w[f"{layer}.bias"])


def _cut(pixels: Tensor, box: list[float], size: int) -> Tensor:
    """[1,3,size,size] of a box; black where it leaves the picture."""
    left, top, right, bottom = (int(value) for value in box)
    height, width = pixels.shape[2:]
    margins = (max(-left, 0), max(right - width, 0), max(-top, 0), max(bottom - height, 0))
    inside = pixels[:, :, max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    return F.interpolate(F.pad(inside, margins), (size, size), mode="area")


def _moved(boxes: Tensor, shift: Tensor) -> Tensor:
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes + shift * sides.repeat(1, 2)


def _squares(boxes: Tensor) -> Tensor:
    middle, side = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True)
    return torch.cat([middle - side / 2, middle + side / 2], 1)


@cache
def _weights(name: str) -> _Weights:
    return pretrained.load(f"mtcnn-{name}")
