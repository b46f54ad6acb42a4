"""Stage `analog`: LoRA adapters with which the enhancer restores what an analog channel left of a picture.

A photo crosses a channel of its own (bandwidth, SNR, fading) by the frozen DeepJSCC codec; a quarter of the
size of what arrives is the input of the enhancer. 2·LPIPS + 2.5·DISTS + L1: the codec itself was asked mostly
for the squared error, which at −5 dB is a blur.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from semcom.metrics.dists import DISTSNetwork
from semcom.metrics.lpips import LPIPSNetwork
from semcom.networks.deepjscc import DeepJSCC
from semcom.networks.enhancer import Enhancer
from semcom.networks.half import half_precision
from semcom.networks.key_transform import PLANES as KEY_PLANES
from semcom.picture.grid import HCI_SCALE
from semcom.picture.pixels import to_tensor
from semcom.picture.texture import PLANES as TEXTURE_PLANES
from semcom.profile import Profile, write_part
from semcom.receiver import adapters, analog
from semcom.train.data.crops import CROP, CodedCrops, list_photos
from semcom.train.stages.deepjscc import received_values
from semcom.train.training_run import TrainingRun, card_of, train_stage

PART = "enhancer_adapters_analog"
RANK = 8
SNR_DB = (-7.0, 8.0)  # above, packets are what is chosen
_REGION = 2 * CROP  # what crosses the channel, of which a crop is restored
_CROPS = 2  # of a region: reading a photo takes as long as learning from one
_CHANNELS = (2, 24)  # CBR 1/550 to 1/50
_LPIPS, _DISTS = 2.0, 2.5
_VALIDATION_REGIONS = 4
_VALIDATION = ((3, -5.0), (3, 0.0), (13, 5.0))  # channels, SNR in dB


class Regions(CodedCrops):
    """Regions of photos, the channel that each meets, and which crops of it are restored."""

    def __init__(self, photos: Sequence[Path], seed: int) -> None:
        super().__init__(photos, _REGION, (0, 0), seed)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """`target` [3,256,256], `channels`, `snr_db`, `fading` [], `corners` [2,2] in HCI pixels."""
        rng = np.random.default_rng([self.seed, index])
        photo = np.asarray(self._photo(rng)[0])
        y = int(rng.integers(0, photo.shape[0] - self.crop + 1))
        x = int(rng.integers(0, photo.shape[1] - self.crop + 1))
        channels = np.exp(rng.uniform(*np.log(_CHANNELS)))
        return {
            "target": to_tensor(photo[y : y + self.crop, x : x + self.crop]),
            "channels": torch.tensor(channels).float(),
            "snr_db": torch.tensor(rng.uniform(*SNR_DB)).float(),
            "fading": torch.tensor(float(rng.integers(0, 2))),
            "corners": torch.from_numpy(rng.integers(0, (_REGION - CROP) // HCI_SCALE + 1, (_CROPS, 2))),
        }


class AnalogStage:
    """See the module docstring.

    Args:
        photos: training photographs.
        validation: photographs of the fixed validation split.
        codec: trained by the stage `deepjscc`, kept frozen.
        enhancer: kept frozen; adapters are attached to it.
        start: adapters of an earlier run to go on from; empty for new ones, which do nothing yet.
    """

    name = "analog"
    batch_size = 1  # steps are what short training lacks
    warmup_steps = 10
    learning_rate = 1e-3
    ema_decay = 0.98

    def __init__(
        self,
        photos: Sequence[Path],
        validation: Sequence[Path],
        codec: DeepJSCC,
        enhancer: Enhancer,
        start: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:
        self.photos, self.validation, self.codec = photos, validation, codec
        torch.manual_seed(0)
        adapters.attach(enhancer, RANK)
        if start:
            adapters.restore(enhancer, start)
        self.model: nn.Module = enhancer
        self.lpips = LPIPSNetwork().to(memory_format=torch.channels_last)
        self.dists = DISTSNetwork().to(memory_format=torch.channels_last)

    def dataset(self, seed: int) -> Dataset[dict[str, Tensor]]:
        """A region a sample."""
        return Regions(self.photos, seed)

    def loss(self, batch: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        """DISTS is dear, so every other crop pays for it."""
        source, quality, target = self.samples(batch)
        with half_precision():
            output = restored(self.model, source, quality)
            return {
                "lpips": _LPIPS * self.lpips(output, target).mean(),
                "dists": _DISTS * self.dists(output[::_CROPS], target[::_CROPS]).mean(),
                "l1": (output - target).abs().mean(),
            }

    @torch.no_grad()
    def samples(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Noisy quarter-size crops [B,3,32,32], what the enhancer is told of each [B], targets."""
        whole = batch["target"].contiguous(memory_format=torch.channels_last)
        thumbs, quality = through_channel(
            self.codec, whole, batch["channels"], batch["snr_db"], batch["fading"]
        )
        side = CROP // HCI_SCALE
        source, target = [], []
        for thumb, picture, corners in zip(thumbs, whole, batch["corners"].tolist(), strict=True):
            for y, x in corners:
                source.append(thumb[:, y : y + side, x : x + side])
                top, left = HCI_SCALE * y, HCI_SCALE * x
                target.append(picture[:, top : top + CROP, left : left + CROP])
        return torch.stack(source), quality.repeat_interleave(_CROPS), torch.stack(target)

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """LPIPS and DISTS of fixed validation regions at four points, with and without adapters."""
        crops = Regions(self.validation, seed=1)
        target = torch.stack([crops[i]["target"] for i in range(_VALIDATION_REGIONS)])
        ones, scores = torch.ones(len(target)), {}
        for channels, snr_db in _VALIDATION:
            torch.manual_seed(0)
            source, quality = through_channel(self.codec, target, channels * ones, snr_db * ones, ones)
            for suffix, adapted in (("", True), ("_without_adapters", False)):
                for layer in adapters.layers(model).values():
                    layer.enable_adapters(adapted)
                with half_precision():
                    output = restored(model, source, quality).clamp(0, 1)
                place = f"{channels}_channels_{snr_db:g}_db{suffix}"
                scores[f"lpips_{place}"] = round(self.lpips(output, target).mean().item(), 4)
                scores[f"dists_{place}"] = round(self.dists(output, target).mean().item(), 4)
        return scores


def through_channel(
    codec: DeepJSCC, pictures: Tensor, channels: Tensor, snr_db: Tensor, fading: Tensor
) -> tuple[Tensor, Tensor]:
    """Quarter-size pictures as received over a channel each, and what the enhancer is told of each.

    Args: see `semcom.train.stages.deepjscc.through_noise`.
    """
    values, error = received_values(codec, pictures, channels, snr_db, fading)
    size = pictures.shape[-2:]
    arrived = codec.receive(values, error, *size)
    return analog.thumbnail(arrived), analog.quality(error, size.numel())


def restored(enhancer: nn.Module, source: Tensor, quality: Tensor) -> Tensor:
    """[B,3,4h,4w] of [B,3,h,w], without key latents and texture."""
    detail, texture = (
        source.new_zeros(len(source), planes, *source.shape[-2:])
        for planes in (1 + KEY_PLANES, TEXTURE_PLANES)
    )
    output: Tensor = enhancer(source, quality, detail, texture)
    return output


def train(wanted: TrainingRun) -> None:
    """Trains the part `enhancer_adapters_analog`, from what the profile has of it."""
    photos, profile = list_photos(wanted.data), Profile.open(wanted.profile)
    codec = Profile.open("deepjscc").build("codec", DeepJSCC)
    start = profile.tensors(PART) if PART in profile else {}
    enhancer = profile.build("enhancer", Enhancer)
    stage = AnalogStage(photos, list_photos(wanted.validation), codec, enhancer, start)
    trained = train_stage(stage, wanted)
    card = card_of(stage, trained, wanted, len(photos)) | {
        "started_from": ("adapters of the profile" if start else "nothing")
        + "; beside the frozen part `enhancer`, behind the frozen codec of `deepjscc`",
        "losses": f"{_LPIPS}·LPIPS-Alex + {_DISTS}·DISTS (half of the crops) + L1; {_CROPS} crops a sample",
        "rank": RANK,
    }
    write_part(wanted.profile, PART, {}, adapters.tensors(trained.model), card)
