"""Objects of COCO's 80 kinds, by SSD with MobileNet-v2 (arXiv 1512.02325, 1801.04381), at 300×300.

The network of TensorFlow's detection zoo (`ssd_mobilenet_v2_coco_2018_03_29`), batch norms folded:

    picture ─► Conv ─► 16 blocks ─► 13's expansion at /16, Conv_1 at /32 ─► four smaller maps
                                    └─ a class and a box for every anchor of each map
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms

from semcom import pretrained
from semcom.networks.efficientnet import SameConv2d
from semcom.vision import Box

SIZE = 300
SURE = 0.5
"""Score from which on an object counts as being there."""
_OVERLAP = 0.6  # of two boxes of one class, above which the weaker goes
_SCALES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)
_RATIOS = (1.0, 2.0, 0.5, 3.0, 1 / 3)
_LOWEST = ((0.1, 1.0), (0.2, 2.0), (0.2, 0.5))  # scale and ratio of the anchors of the largest map
_VARIANCES = (10.0, 10.0, 5.0, 5.0)
# (stride, channels added to the input where they agree) of the 17 blocks
_STRIDES = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)
_EXTRA = ("2_{}_512 1x1_256", "3_{}_256 1x1_128", "4_{}_256 1x1_128", "5_{}_128 1x1_64")
_BRANCH = 13
_NAMES = """
1 person|2 bicycle|3 car|4 motorcycle|5 airplane|6 bus|7 train|8 truck|9 boat|10 traffic light|
11 fire hydrant|13 stop sign|14 parking meter|15 bench|16 bird|17 cat|18 dog|19 horse|20 sheep|21 cow|
22 elephant|23 bear|24 zebra|25 giraffe|27 backpack|28 umbrella|31 handbag|32 tie|33 suitcase|
34 frisbee|35 skis|36 snowboard|37 sports ball|38 kite|39 baseball bat|40 baseball glove|41 skateboard|
42 surfboard|43 tennis racket|44 bottle|46 wine glass|47 cup|48 fork|49 knife|50 spoon|51 bowl|
52 banana|53 apple|54 sandwich|55 orange|56 broccoli|57 carrot|58 hot dog|59 pizza|60 donut|61 cake|
62 chair|63 couch|64 potted plant|65 bed|67 dining table|70 toilet|72 tv|73 laptop|74 mouse|75 remote|
76 keyboard|77 cell phone|78 microwave|79 oven|80 toaster|81 sink|82 refrigerator|84 book|85 clock|
86 vase|87 scissors|88 teddy bear|89 hair drier|90 toothbrush"""
CLASSES = {
    int(number): name
    for number, _, name in (entry.strip().partition(" ") for entry in _NAMES.replace("\n", "").split("|"))
}
"""COCO's names by number."""
ANIMALS = frozenset(CLASSES[i] for i in range(16, 26))


class Found(NamedTuple):
    """One object: its class, its box in pixels and the network's score, 0 to 1."""

    name: str
    box: Box
    score: float


@torch.inference_mode()
def detect(image: Tensor, least: float = SURE) -> list[Found]:
    """Objects in a picture [3,H,W] in [0,1], the surest first.

    Raises:
        PretrainedError: the weights cannot be fetched.
    """
    height, width = image.shape[1:]
    squeezed = F.interpolate(image[None], (SIZE, SIZE), mode="bilinear")  # not smoothed, as it was trained
    scores, boxes = network(squeezed * 2 - 1)
    place, kind = (scores >= least).nonzero().unbind(1)
    likely, corners = scores[place, kind], boxes[place].clamp(0, 1)
    kept = batched_nms(corners, likely, kind, _OVERLAP)
    found = []
    for i in kept.tolist():
        x0, y0, x1, y1 = (corners[i] * torch.tensor([width, height, width, height])).tolist()
        if int(kind[i]) in CLASSES and x0 < x1 and y0 < y1:
            found.append(Found(CLASSES[int(kind[i])], (x0, y0, x1, y1), float(likely[i])))
    return found


def network(x: Tensor) -> tuple[Tensor, Tensor]:
    """Scores [n,91] and boxes [n,4] as x0, y0, x1, y1 in shares of the picture, of [1,3,300,300]."""
    scores, boxes = [], []
    for level, features in enumerate(_maps(x)):
        encoded = _head(features, level, "BoxEncodingPredictor", 4)
        scores.append(_head(features, level, "ClassPredictor", 91).sigmoid())
        boxes.append(_decoded(encoded, anchors(level, features.shape[2], features.shape[3])))
    values = torch.cat(scores)
    values[:, 0] = 0  # background
    return values, torch.cat(boxes)


def anchors(level: int, rows: int, columns: int) -> Tensor:
    """[rows·columns·kinds, 4] middle y and x, height and width, in shares of the picture."""
    kinds: tuple[tuple[float, float], ...] = _LOWEST
    if level:
        between = math.sqrt(_SCALES[level] * _SCALES[level + 1])
        kinds = (*((_SCALES[level], ratio) for ratio in _RATIOS), (between, 1.0))
    sides = torch.tensor([(scale / math.sqrt(ratio), scale * math.sqrt(ratio)) for scale, ratio in kinds])
    y, x = ((torch.arange(n) + 0.5) / n for n in (rows, columns))
    middles = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).view(-1, 1, 2)
    return torch.cat([middles.expand(-1, len(kinds), -1), sides.expand(len(middles), -1, -1)], -1).flatten(
        0, 1
    )


def _decoded(encoded: Tensor, places: Tensor) -> Tensor:
    shift = encoded / torch.tensor(_VARIANCES)
    middle = shift[:, :2] * places[:, 2:] + places[:, :2]
    half = shift[:, 2:].exp() * places[:, 2:] / 2
    return torch.cat([middle - half, middle + half], 1)[:, [1, 0, 3, 2]]


def _maps(x: Tensor) -> list[Tensor]:
    maps = []
    x = F.relu6(_same(x, "Conv", 2))
    for i, stride in enumerate(_STRIDES):
        name = f"expanded_conv_{i}" if i else "expanded_conv"
        inner = F.relu6(_same(x, f"{name}/expand")) if i else x
        if i == _BRANCH:
            maps.append(inner)
        y = _same(F.relu6(_same(inner, f"{name}/depthwise", stride)), f"{name}/project")
        x = x + y if stride == 1 and x.shape == y.shape else y
    x = F.relu6(_same(x, "Conv_1"))
    maps.append(x)
    for names in _EXTRA:
        wide, narrow = names.split()
        level = wide[0]
        x = F.relu6(_same(x, f"layer_19_1_Conv2d_{level}_{narrow}"))
        layer = f"layer_19_2_Conv2d_{wide.format('3x3_s2')}"
        x = F.relu6(_same(F.relu6(_same(x, f"{layer}_depthwise", 2)), layer))
        maps.append(x)
    return maps


def _head(features: Tensor, level: int, name: str, values: int) -> Tensor:
    return _same(features, f"BoxPredictor_{level}/{name}").permute(0, 2, 3, 1).reshape(-1, values)


def _same(x: Tensor, name: str, stride: int = 1) -> Tensor:
    weights = _weights()
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    depthwise = weight.shape[1] == 1
    padded = SameConv2d.pad(x, weight.shape[2:], (stride, stride))
    return F.conv2d(padded, weight, bias, stride, groups=weight.shape[0] if depthwise else 1)


@cache
def _weights() -> dict[str, Tensor]:
    return pretrained.load("ssd-mobilenet-v2")
