"""EfficientNet-Lite0 (arXiv 1905.11946, the variant without squeeze-and-excitation), batch norms folded.

A pretrained ImageNet trunk of 4.7 M parameters whose features at four scales others build upon: the
segmenter's image encoder, the captioner, and the classifier behind the top-k agreement metric.

    picture ─► stem /2 ─► blocks ─► 24 at /4 ─► 40 at /8 ─► 112 at /16 ─► 320 at /32 ─► mean ─► 1000 classes
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

NUM_CLASSES = 1000
CLASSIFIER_SIZE = 224
FEATURE_CHANNELS = (24, 40, 112, 320)
FEATURE_STRIDES = (4, 8, 16, 32)
_STEM, _HEAD = 32, 1280
# (blocks, kernel, stride of the first block, expansion, channels, last of its scale)
_STAGES = (
    (1, 3, 1, 1, 16, False),
    (2, 3, 2, 6, 24, True),
    (2, 5, 2, 6, 40, True),
    (3, 3, 2, 6, 80, False),
    (3, 5, 1, 6, 112, True),
    (4, 5, 2, 6, 192, False),
    (1, 3, 1, 6, 320, True),
)


class Features(NamedTuple):
    """Feature maps [B,C,⌈H/s⌉,⌈W/s⌉] of 24, 40, 112 and 320 channels."""

    stride4: Tensor
    stride8: Tensor
    stride16: Tensor
    stride32: Tensor


class InvertedResidual(nn.Module):
    """1×1 expansion, depthwise convolution, linear 1×1 projection, and the input added where shapes agree."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.expand = nn.Conv2d(channels, inner, 1) if expansion > 1 else None
        self.depthwise = SameConv2d(inner, inner, kernel, stride, groups=inner)
        self.project = nn.Conv2d(inner, width, 1)
        self._residual = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        """[B,channels,h,w] to [B,width,⌈h/stride⌉,⌈w/stride⌉]."""
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self._residual else y


class SameConv2d(nn.Conv2d):
    """TensorFlow's SAME padding, as the weights were trained: ⌈h/stride⌉ rows, the odd one at the bottom."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__(channels, width, kernel, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """[B,channels,h,w] to [B,width,⌈h/stride⌉,⌈w/stride⌉]."""
        return super().forward(self.pad(x, self.kernel_size, self.stride))

    @staticmethod
    def pad(x: Tensor, kernels: Sequence[int], strides: Sequence[int]) -> Tensor:
        """[B,C,h,w] with the zeros around it that a convolution needs; kernels and strides: rows, columns."""
        pads = [
            max((-(-side // step) - 1) * step + kernel - side, 0)
            for side, kernel, step in zip(x.shape[:1:-1], kernels[::-1], strides[::-1], strict=True)
        ]
        return F.pad(x, [part for pad in pads for part in (pad // 2, pad - pad // 2)])


class EfficientNetLite0(nn.Module):
    """The trunk and its classifier. Random weights; `semcom.pretrained` has the published ones."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, _STEM, 3, 2)
        self.scales = nn.ModuleList()
        blocks: list[nn.Module] = []
        channels = _STEM
        for count, kernel, stride, expansion, width, last in _STAGES:
            for i in range(count):
                blocks.append(InvertedResidual(channels, width, kernel, 1 if i else stride, expansion))
                channels = width
            if last:
                self.scales.append(nn.Sequential(*blocks))
                blocks = []
        self.head = nn.Conv2d(channels, _HEAD, 1)
        self.classifier = nn.Linear(_HEAD, NUM_CLASSES)

    def features(self, image: Tensor) -> Features:
        """Feature maps of pictures [B,3,H,W] float RGB in [0,1], any size; see `Features`."""
        x = F.relu6(self.stem((image * 255 - 127) / 128))
        maps = []
        for scale in self.scales:
            x = scale(x)
            maps.append(x)
        return Features(*maps)

    def embedding(self, features: Features) -> Tensor:
        """[B,1280] float: the mean over the picture of what the classifier reads."""
        return F.relu6(self.head(features.stride32)).mean((2, 3))

    def logits(self, features: Features) -> Tensor:
        """[B,1000] float, in the order of ImageNet's synsets."""
        return self.classifier(self.embedding(features))

    def forward(self, image: Tensor) -> Tensor:
        """Logits [B,1000] of pictures [B,3,H,W] float in [0,1]; trained at 224×224, see `center_crop`."""
        return self.logits(self.features(image))


def center_crop(image: Tensor, size: int = CLASSIFIER_SIZE) -> Tensor:
    """The square in the middle at the size the classifier was trained with, bicubic with antialiasing.

    Args:
        image: [B,3,H,W] float in [0,1].
        size: side of the result.

    Returns:
        [B,3,size,size] float in [0,1].
    """
    height, width = image.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[:, :, top : top + side, left : left + side]
    return F.interpolate(square, (size, size), mode="bicubic", antialias=True).clamp(0, 1)


def fold_batch_norms(state: dict[str, Tensor], epsilon: float = 1e-3) -> dict[str, Tensor]:
    """Weights of `EfficientNetLite0` from a checkpoint with batch norms, in the checkpoint's order.

    Args:
        state: convolution weight, then scale, shift, mean and variance of its batch norm, and so on;
            the classifier's weight and bias last. Names play no part.
        epsilon: of the batch norms.
    """
    values = [value.float() for name, value in state.items() if not name.endswith("num_batches_tracked")]
    folded: list[Tensor] = []
    for weight, scale, shift, mean, variance in zip(*(values[i:-2:5] for i in range(5)), strict=True):
        gain = scale / (variance + epsilon).sqrt()
        folded += [weight * gain.view(-1, 1, 1, 1), shift - mean * gain]
    tensors = [value.contiguous() for value in (*folded, *values[-2:])]
    return dict(zip(EfficientNetLite0().state_dict(), tensors, strict=True))
