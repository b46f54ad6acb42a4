"""Between 8-bit pixels and the float pictures of the networks."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """[H,W,3] uint8 → [3,H,W] float32 in [0,1]."""
    return torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32) / 255)


def to_pixels(image: Tensor) -> NDArray[np.uint8]:
    """[3,H,W] float in [0,1] → [H,W,3] uint8, rounded."""
    return (image * 255).round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()
