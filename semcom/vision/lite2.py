"""ImageNet's classes by EfficientNet-Lite2: not the backbone of any profile, so no judge in its own cause.

Of the same family as profile `tiny`'s backbone (Lite0) and trained on the same pictures: partly independent.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from semcom import pretrained
from semcom.networks.efficientnet import center_crop
from semcom.vision import extra

_RESIZED, _SIZE = 292, 260


@torch.inference_mode()
def probabilities(image: Tensor) -> Tensor:
    """[B,1000] of pictures [B,3,H,W] in [0,1], of the square in the middle.

    Raises:
        MissingExtraError: timm is not installed.
        PretrainedError: the weights cannot be fetched.
    """
    border = (_RESIZED - _SIZE) // 2
    middle = center_crop(image, _RESIZED)[:, :, border:-border, border:-border]
    return F.softmax(_network()((middle * 255 - 127) / 128), 1)


@cache
def _network() -> Any:
    network = extra("timm", "the classifier EfficientNet-Lite2").create_model("tf_efficientnet_lite2").eval()
    names = [name for name in network.state_dict() if not name.endswith("num_batches_tracked")]
    values = [value for _, value in sorted(pretrained.load("efficientnet-lite2").items())]
    network.load_state_dict(dict(zip(names, values, strict=True)), strict=False)
    return network
