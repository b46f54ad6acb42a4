"""Stage `key_codec`: key encoder and residual decoder learn together, on top of the frozen enhancer.

Loss: LPIPS + 2·L1 + 1.5·DISTS + λ·rate. The rate term starts switched off, so that the decoder first
learns to read the latents; then a controller moves log λ until the latents cost the target (recipe §3:
without the free start the latents shrink to nothing, without the cap the controller winds up). The
decoder sees rounded latents (straight through), the rate term sees additive uniform noise.

Key regions are rectangles of random size, and whole packets (polyphase cells) are erased at random
rates, so that holes are inputs the decoder knows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from semcom.metrics.dists import DISTSNetwork
from semcom.metrics.lpips import LPIPSNetwork
from semcom.models.blocks import round_straight_through
from semcom.models.key_bitstream import MAX_MAGNITUDE
from semcom.receiver.decoder import ResidualDecoder
from semcom.receiver.enhancer import Enhancer
from semcom.train.data import CodedCrops
from semcom.transmitter.key_codec import KeyEncoder

CROP = 128
QUALITIES = (12, 50)
_CELLS = CROP // 16
_FREE = 0.08  # share of the run without a rate term
_RAMP = 0.30  # share of the run after which the rate goal is reached
_TARGET_BITS_PER_CELL = 0.016 * 256
_RATE_GAIN, _RATE_STEP = 0.06, 0.05


class KeyModels(nn.Module):
    """Everything this stage trains, and the rate controller's state, which a resumed run continues."""

    log_weight: Tensor
    free_rate: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encoder = KeyEncoder()
        self.decoder = ResidualDecoder()
        self.log_scale = nn.Parameter(torch.zeros(self.encoder.latents.out_channels))
        self.register_buffer("log_weight", torch.tensor(math.log(1e-4)))
        self.register_buffer("free_rate", torch.tensor(0.0))

    def rate(self, latents: Tensor, key_map: Tensor) -> Tensor:
        """Bits per key cell of noisy latents under a Laplace model with one scale per channel."""
        scale = self.log_scale.exp().view(1, -1, 1, 1)
        probability = _laplace_cdf((latents + 0.5) / scale) - _laplace_cdf((latents - 0.5) / scale)
        bits = -probability.clamp_min(1e-6).log2()
        return (bits * key_map).sum() / key_map.sum().clamp_min(1)


class KeyCodecStage:
    """See the module docstring.

    Args:
        photos: training photographs.
        validation: photographs of the fixed validation split.
        enhancer: trained, kept frozen.
    """

    name = "key_codec"
    batch_size = 8
    learning_rate = 4e-4
    ema_decay = 0.995

    def __init__(self, photos: Sequence[Path], validation: Sequence[Path], enhancer: Enhancer) -> None:
        self.photos, self.validation = photos, validation
        self.model: nn.Module = KeyModels().to(memory_format=torch.channels_last)
        self.enhancer = enhancer.requires_grad_(False).eval().to(memory_format=torch.channels_last)
        self.lpips = LPIPSNetwork().to(memory_format=torch.channels_last)
        self.dists = DISTSNetwork().to(memory_format=torch.channels_last)

    def dataset(self, seed: int) -> Dataset[dict[str, Tensor]]:
        """Coded crops with a key map and a hole map each."""
        return KeyCrops(self.photos, seed)

    def loss(self, batch: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        """Weighted terms; the rate term carries the controller's weight."""
        assert isinstance(self.model, KeyModels)
        target, key_map, arrived = batch["target"], batch["key_map"], batch["arrived"]
        with torch.no_grad():
            x0 = self.enhancer(batch["hci"], batch["quality"]).clamp(0, 1)
        latents = self.model.encoder(target, batch["hci"])
        noisy = latents + torch.rand_like(latents) - 0.5
        bits = self.model.rate(noisy, key_map)
        sent = round_straight_through(latents).clamp(-MAX_MAGNITUDE, MAX_MAGNITUDE) * arrived
        output = self.model.decoder(x0, sent, key_map, arrived)
        half = len(target) // 2
        return {
            "lpips": self.lpips(output, target).mean(),
            "l1": 2 * (output - target).abs().mean(),
            "dists": 1.5 * self.dists(output[:half], target[:half]).mean(),
            "rate": rate_weight(self.model, bits.item(), progress) * bits,
        }

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """LPIPS and DISTS on 32 fixed crops: key latents everywhere, nowhere, and the enhancer alone."""
        assert isinstance(model, KeyModels)
        crops = CodedCrops(self.validation, 256, QUALITIES, seed=1)
        totals: dict[str, float] = {}
        count = 32
        for i in range(count):
            sample = {name: value[None] for name, value in crops[i].items()}
            x0 = self.enhancer(sample["hci"], sample["quality"]).clamp(0, 1)
            latents = (
                model.encoder(sample["target"], sample["hci"]).round().clamp(-MAX_MAGNITUDE, MAX_MAGNITUDE)
            )
            ones = torch.ones_like(latents[:, :1])
            pictures = {
                "enhancer": x0,
                "nowhere": model.decoder(x0, 0 * latents, 0 * ones, 0 * ones),
                "everywhere": model.decoder(x0, latents, ones, ones),
            }
            for name, picture in pictures.items():
                for metric in (self.lpips, self.dists):
                    key = f"{metric.__class__.__name__.removesuffix('Network').lower()}_{name}"
                    value = metric(picture.clamp(0, 1), sample["target"]).item()
                    totals[key] = totals.get(key, 0) + value / count
            totals["nonzero"] = totals.get("nonzero", 0) + (latents != 0).float().mean().item() / count
            totals["bits"] = totals.get("bits", 0) + model.rate(latents, ones).item() / count
        return totals


def rate_weight(models: KeyModels, bits: float, progress: float) -> float:
    """λ of the rate term; follows a goal that falls geometrically from the free rate to the target."""
    if progress < _FREE:
        models.free_rate.lerp_(torch.tensor(bits), 0.1 if models.free_rate else 1.0)
        return 1e-6  # the scales of the rate model learn, the latents hardly notice
    ramp = min(1.0, (progress - _FREE) / (_RAMP - _FREE))
    goal = (models.free_rate.item() or bits) ** (1 - ramp) * _TARGET_BITS_PER_CELL**ramp
    step = _RATE_GAIN * (bits / goal - 1)
    models.log_weight += max(-_RATE_STEP, min(_RATE_STEP, step))
    return models.log_weight.exp().item()


class KeyCrops(CodedCrops):
    """Coded crops with a random key map and the cells whose packet arrived."""

    def __init__(self, photos: Sequence[Path], seed: int) -> None:
        super().__init__(photos, CROP, QUALITIES, seed)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """The crop's tensors, `key_map` and `arrived` [1,cells,cells]."""
        rng = np.random.default_rng([self.seed, index, 1])
        key_map = _random_key_map(rng)
        lost = rng.random(4) < rng.choice([0.0, 0.0, 0.1, 0.3, 1.0])
        phases = 2 * (np.arange(_CELLS)[:, None] % 2) + np.arange(_CELLS)[None] % 2
        arrived = key_map & ~lost[phases]
        maps = {"key_map": key_map, "arrived": arrived}
        return super().__getitem__(index) | {
            name: torch.from_numpy(value[None].astype(np.float32)) for name, value in maps.items()
        }


def _random_key_map(rng: np.random.Generator) -> np.ndarray:
    """A tenth empty, half full, otherwise a rectangle."""
    key_map = np.zeros((_CELLS, _CELLS), bool)
    kind = rng.random()
    if kind < 0.5:
        key_map[:] = True
    elif kind > 0.6:
        height, width = rng.integers(2, _CELLS + 1, 2)
        y, x = rng.integers(0, _CELLS - height + 1), rng.integers(0, _CELLS - width + 1)
        key_map[y : y + height, x : x + width] = True
    return key_map


def _laplace_cdf(x: Tensor) -> Tensor:
    return 0.5 + 0.5 * x.sign() * (1 - (-x.abs()).exp())
