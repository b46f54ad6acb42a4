"""Stage `flow`: the decoder's UNet and text encoder learn photographs from captions by flow matching.

    grey + residual at t = 1 ◄── straight path ──► noise at t = 0

Conditional flow matching (arXiv 2210.02747) with the network's own x-prediction: its picture gives the
velocity, whose squared error is the loss. No stream but the caption is there. What it learns is where the
stage `decoder` may start; `benchmarks/flow_matching.py` shows what that is worth.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from semcom.networks.mgdd import Guidance, TextCondition, to_diffusion
from semcom.picture.pixels import to_tensor
from semcom.receiver.concealment import GREY
from semcom.streams.coding.fsq import LEVELS
from semcom.train.data.crops import CROP
from semcom.train.data.decoder_data import ConditionedCrops
from semcom.train.stages.decoder import NOISIEST, DecoderWithWords, FrozenParts

_SPREAD = 0.5  # residuals of a grey picture are four times as strong as those of a restored one
_CLEAREST = 0.95  # the velocity of a nearly finished picture is not asked for: its error is divided by 1 - t
_VALIDATION_SAMPLES = 64


class CaptionedPhotos(ConditionedCrops):
    """Whole photographs at 128² with their captions; arguments as of `ConditionedCrops`."""

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """`target` [3,128,128] in [0,1] and `text` [40] token ids, zero for none."""
        rng = np.random.default_rng([self.seed, index])
        photo, path = self._photo(rng)
        scene = photo.resize((CROP, CROP), Image.Resampling.LANCZOS)
        return {"target": to_tensor(np.asarray(scene)), "text": self._text(path, rng)}


class FlowStage:
    """See the module docstring.

    Args:
        frozen: photographs and vocabulary.
    """

    name = "flow"
    batch_size = 16
    learning_rate = 4e-4
    ema_decay = 0.99

    def __init__(self, frozen: FrozenParts) -> None:
        self.frozen = frozen
        torch.manual_seed(0)  # of the initial weights
        self.with_words = DecoderWithWords(len(frozen.vocabulary)).to(memory_format=torch.channels_last)
        self.model: nn.Module = self.with_words

    def dataset(self, seed: int) -> Dataset[dict[str, Tensor]]:
        """Photographs and captions."""
        frozen = self.frozen
        return CaptionedPhotos(frozen.photos, frozen.vocabulary, frozen.extractor, seed)

    def loss(self, batch: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        """Squared error of the velocity at times of a logit-normal distribution (arXiv 2403.03206)."""
        time = torch.sigmoid(torch.randn(len(batch["target"])))
        return {"velocity": self._error(self.with_words, batch, time)}

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Velocity error on 64 fixed validation photographs at four times, with and without captions."""
        assert isinstance(model, DecoderWithWords)
        frozen, size = self.frozen, self.batch_size
        samples = CaptionedPhotos(frozen.validation, frozen.vocabulary, frozen.extractor, seed=1)
        totals = {"velocity": 0.0, "velocity_without_caption": 0.0}
        starts = range(0, _VALIDATION_SAMPLES, size)
        for start in starts:
            batch = default_collate([samples[i] for i in range(start, start + size)])
            time = torch.tensor((0.1, 0.3, 0.5, 0.8)).repeat(size // 4)
            for name, text in (("velocity", 1), ("velocity_without_caption", 0)):
                torch.manual_seed(start)
                error = self._error(model, {**batch, "text": batch["text"] * text}, time)
                totals[name] += error.item() / len(starts)
        return totals

    def _error(self, model: DecoderWithWords, batch: Mapping[str, Tensor], time: Tensor) -> Tensor:
        clean = _SPREAD * to_diffusion(batch["target"] - GREY)
        noise, t = torch.randn_like(clean), time.view(-1, 1, 1, 1)
        grey = torch.full_like(batch["target"], GREY)
        path = torch.lerp(noise, clean, t)
        level = ((1 - time) * NOISIEST).round().long()
        predicted = _SPREAD * to_diffusion(
            model.decoder(path, level, grey, _caption_only(batch["text"], grey))
        )
        remaining = (1 - t).clamp_min(1 - _CLEAREST)
        return ((predicted - clean) / remaining).square().mean()


def _caption_only(text: Tensor, grey: Tensor) -> Guidance:
    """Guidance of which everything but the caption is missing."""
    count = len(text)
    return TextCondition(text, torch.zeros(count, 0, len(LEVELS)), torch.zeros(count)).about_nothing(grey)
