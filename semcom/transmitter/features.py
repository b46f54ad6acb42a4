"""The shared backbone's features of a picture, computed once and handed to whoever needs them.

picture ─► long side 384, padded to a square ─► EfficientNet-Lite0 ─► ImageFeatures
                                    SAM's neck ◄── maps ──┤
                          captioner ◄── cells (grid) ─────┤
   key class, class agreement ◄── evidence ──────────────┘
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from semcom.networks.efficientnet import FEATURE_STRIDES, EfficientNetLite0, Features

FRAME = 384
"""Side of the square frame: the picture fills its long side, black the rest."""
_DEEPEST = FEATURE_STRIDES[-1]


@dataclass(frozen=True)
class ImageFeatures:
    """Features of one picture.

    Attributes:
        maps: of the whole frame, [1,C,384/s,384/s] at strides 4, 8, 16 and 32.
        height, width: of the resized picture in the frame.
    """

    maps: Features
    height: int
    width: int

    @property
    def deepest(self) -> Tensor:
        """[1,320,rows,columns] at stride 32, the padding cut off: 8×12 cells for a 3:2 picture."""
        rows, columns = -(-self.height // _DEEPEST), -(-self.width // _DEEPEST)
        return self.maps.stride32[:, :, :rows, :columns]

    def grid(self, rows: int, columns: int) -> Tensor:
        """[1,320,rows,columns]: `deepest` averaged to a grid of any size, whatever the picture's shape."""
        return F.adaptive_avg_pool2d(self.deepest, (rows, columns))


class FeatureExtractor:
    """Computes features; one pass a picture.

    Args:
        backbone: part `backbone` of a profile.
    """

    def __init__(self, backbone: EfficientNetLite0) -> None:
        self.backbone = backbone

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> ImageFeatures:
        """Features of a picture [3,H,W] float in [0,1]."""
        height, width = frame_size(*image.shape[-2:])
        framed = F.pad(resized(image, height, width)[None], (0, FRAME - width, 0, FRAME - height))
        maps = self.backbone.features(framed.contiguous(memory_format=torch.channels_last))
        return ImageFeatures(maps, height, width)

    @torch.inference_mode()
    def evidence(self, features: ImageFeatures) -> Tensor:
        """Class-activation maps [1000,rows,columns]; their mean over the picture is the classifier's answer.

        Source: Zhou et al., Learning Deep Features for Discriminative Localization (arXiv 1512.04150).
        """
        head = F.relu6(self.backbone.head(features.deepest))[0]
        classifier = self.backbone.classifier
        return torch.einsum("kc,chw->khw", classifier.weight, head) + classifier.bias[:, None, None]

    def label(self, image: Tensor) -> int:
        """ImageNet's class of a picture [3,H,W] in [0,1]."""
        return int(self.evidence(self(image)).mean((1, 2)).argmax())


def frame_size(height: int, width: int, side: int = FRAME) -> tuple[int, int]:
    """Height and width at which a picture fills a frame, rounded as `segment_anything` rounds."""
    scale = side / max(height, width)
    return max(1, math.floor(height * scale + 0.5)), max(1, math.floor(width * scale + 0.5))


def resized(image: Tensor, height: int, width: int) -> Tensor:
    """[3,height,width] of a picture [3,H,W], antialiased."""
    size = (height, width)
    return F.interpolate(image[None], size, mode="bilinear", antialias=True, align_corners=False)[0]
