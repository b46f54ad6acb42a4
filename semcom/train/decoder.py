"""Stage `decoder`: the residual decoder learns on top of the frozen enhancer (LPIPS + 2·L1 + 1.5·DISTS).

Key regions are rectangles of random size, and whole packets (polyphase cells) are erased at random rates,
so that holes are inputs the decoder knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from semcom.metrics.dists import DISTSNetwork
from semcom.metrics.lpips import LPIPSNetwork
from semcom.models.key_transform import KeyTransform
from semcom.receiver.decoder import ResidualDecoder
from semcom.receiver.enhancer import Enhancer
from semcom.train.data import CodedCrops

CROP = 128
QUALITIES = (12, 50)
_CELLS = CROP // 16
_LOSS_RATES = (0.0, 0.0, 0.1, 0.3, 1.0)


class DecoderStage:
    """See the module docstring.

    Args:
        photos: training photographs.
        validation: photographs of the fixed validation split.
        enhancer: trained, kept frozen.
        transform: learned, kept frozen.
    """

    name = "decoder"
    batch_size = 8
    learning_rate = 4e-4
    ema_decay = 0.99

    def __init__(
        self,
        photos: Sequence[Path],
        validation: Sequence[Path],
        enhancer: Enhancer,
        transform: KeyTransform,
    ) -> None:
        self.photos, self.validation = photos, validation
        self.model: nn.Module = ResidualDecoder().to(memory_format=torch.channels_last)
        self.enhancer, self.transform = enhancer, transform
        self.lpips = LPIPSNetwork().to(memory_format=torch.channels_last)
        self.dists = DISTSNetwork().to(memory_format=torch.channels_last)

    def dataset(self, seed: int) -> Dataset[dict[str, Tensor]]:
        """Coded crops with a key map and a hole map each."""
        return KeyCrops(self.photos, seed)

    def loss(self, batch: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        """DISTS is the dearest term, so half of each batch pays for it."""
        target, key_map, arrived = batch["target"], batch["key_map"], batch["arrived"]
        x0, latents = self.restored(batch, arrived)
        output = self.model(x0, latents, key_map, arrived)
        half = len(target) // 2
        return {
            "lpips": self.lpips(output, target).mean(),
            "l1": 2 * (output - target).abs().mean(),
            "dists": 1.5 * self.dists(output[:half], target[:half]).mean(),
        }

    @torch.no_grad()
    def restored(self, batch: Mapping[str, Tensor], arrived: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures from the HCI and the key latents in `arrived` cells, and those latents."""
        latents = self.transform.quantise(batch["thumb"] - batch["hci"]) * arrived
        refined = (batch["hci"] + self.transform.residual(latents)).clamp(0, 1)
        return self.enhancer(refined, batch["quality"]).clamp(0, 1), latents

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """LPIPS and DISTS on 16 fixed crops of 256²: key cells everywhere or nowhere, decoder on or off."""
        crops = CodedCrops(self.validation, 256, QUALITIES, seed=1)
        totals: dict[str, float] = {}
        count = 16
        for i in range(count):
            sample = {name: value[None] for name, value in crops[i].items()}
            for where, level in (("nowhere", 0.0), ("everywhere", 1.0)):
                cells = torch.full((1, 1, 16, 16), level)
                x0, latents = self.restored(sample, cells)
                decoded = model(x0, latents, cells, cells).clamp(0, 1)
                for name, picture in (("enhancer", x0), ("decoder", decoded)):
                    for metric, network in (("lpips", self.lpips), ("dists", self.dists)):
                        value = network(picture, sample["target"]).item()
                        key = f"{metric}_{name}_key_{where}"
                        totals[key] = totals.get(key, 0.0) + value / count
        return totals


class KeyCrops(CodedCrops):
    """Coded crops with a random key map and the cells whose packet arrived."""

    def __init__(self, photos: Sequence[Path], seed: int) -> None:
        super().__init__(photos, CROP, QUALITIES, seed)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """The crop's tensors, `key_map` and `arrived` [1,cells,cells]."""
        rng = np.random.default_rng([self.seed, index, 1])
        key_map = _random_key_map(rng)
        lost = rng.random(4) < rng.choice(_LOSS_RATES)
        phases = 2 * (np.arange(_CELLS)[:, None] % 2) + np.arange(_CELLS)[None] % 2
        arrived = key_map & ~lost[phases]
        maps = {"key_map": key_map, "arrived": arrived}
        return super().__getitem__(index) | {
            name: torch.from_numpy(value[None].astype(np.float32)) for name, value in maps.items()
        }


def _random_key_map(rng: np.random.Generator) -> np.ndarray:
    """Three tenths empty, three tenths full, otherwise a rectangle."""
    key_map = np.zeros((_CELLS, _CELLS), bool)
    kind = rng.random()
    if kind < 0.3:
        key_map[:] = True
    elif kind > 0.6:
        height, width = rng.integers(2, _CELLS + 1, 2)
        y, x = rng.integers(0, _CELLS - height + 1), rng.integers(0, _CELLS - width + 1)
        key_map[y : y + height, x : x + width] = True
    return key_map
