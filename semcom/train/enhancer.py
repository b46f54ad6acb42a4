"""Stage `enhancer`: the restoration trunk learns AV1 thumbnails (LPIPS + 2·L1 + 1.5·DISTS).

Starts from Real-ESRGAN ×4 (BSD-3-Clause), pruned to every other block. No adversary: the published
network's texture prior is kept by the two perceptual losses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from semcom import pretrained
from semcom.metrics.dists import DISTSNetwork
from semcom.metrics.lpips import LPIPSNetwork
from semcom.models.rrdb import prune_blocks
from semcom.receiver.enhancer import Enhancer
from semcom.train.data import CodedCrops

CROP = 128
QUALITIES = (12, 50)
_PUBLISHED_BLOCKS = 23


class EnhancerStage:
    """See the module docstring.

    Args:
        photos: training photographs.
        validation: photographs of the fixed validation split.
        num_blocks: blocks kept of the published 23, evenly spread.
    """

    name = "enhancer"
    batch_size = 8
    learning_rate = 1.5e-4
    ema_decay = 0.995

    def __init__(self, photos: Sequence[Path], validation: Sequence[Path], num_blocks: int = 12) -> None:
        self.photos, self.validation = photos, validation
        self.model: nn.Module = start_from_published(num_blocks).to(memory_format=torch.channels_last)
        self.lpips = LPIPSNetwork().to(memory_format=torch.channels_last)
        self.dists = DISTSNetwork().to(memory_format=torch.channels_last)

    def dataset(self, seed: int) -> Dataset[dict[str, Tensor]]:
        """Crops coded at random qualities."""
        return CodedCrops(self.photos, CROP, QUALITIES, seed)

    def loss(self, batch: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        """DISTS is the dearest term, so half of each batch pays for it."""
        target = batch["target"].contiguous(memory_format=torch.channels_last)
        output = self.model(batch["hci"].contiguous(memory_format=torch.channels_last), batch["quality"])
        half = len(target) // 2
        return {
            "lpips": self.lpips(output, target).mean(),
            "l1": 2 * (output - target).abs().mean(),
            "dists": 1.5 * self.dists(output[:half], target[:half]).mean(),
        }

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """LPIPS and DISTS on 32 fixed validation crops of 256² pixels."""
        crops = CodedCrops(self.validation, 256, QUALITIES, seed=1)
        totals = {"lpips": 0.0, "dists": 0.0}
        count = 32
        for i in range(count):
            sample = {name: value[None] for name, value in crops[i].items()}
            output = model(sample["hci"], sample["quality"]).clamp(0, 1)
            totals["lpips"] += self.lpips(output, sample["target"]).item() / count
            totals["dists"] += self.dists(output, sample["target"]).item() / count
        return totals


def start_from_published(num_blocks: int) -> Enhancer:
    """The enhancer with Real-ESRGAN's weights; the quality plane starts unread."""
    keep = torch.linspace(0, _PUBLISHED_BLOCKS - 1, num_blocks).round().int().tolist()
    state = prune_blocks(pretrained.load("realesrgan-x4plus"), keep)
    first = state["conv_first.weight"]
    state["conv_first.weight"] = torch.cat((first, torch.zeros_like(first[:, :1])), 1)
    enhancer = Enhancer(num_blocks)
    enhancer.trunk.load_state_dict(state)
    return enhancer
