"""Stage `decoder`: MGDD and TASCM learn together, on top of the frozen enhancer (LPIPS + L1 + DISTS).

Each batch has two kinds of samples: restored crops, whose key packets are erased at random rates, and
whole scenes whose HCI is lost, of which only the colour card, the caption and the pseudo-words are
left. Guidance is left out at random. Most samples start from pure noise, which one step must resolve;
the others from any noise level, for refinement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from semcom.metrics.dists import DISTSNetwork
from semcom.metrics.lpips import LPIPSNetwork
from semcom.networks.efficientnet import EfficientNetLite0
from semcom.networks.enhancer import Enhancer
from semcom.networks.key_transform import KeyTransform
from semcom.networks.mgdd import Guidance, MultimodalDecoder, TextCondition, schedule, to_diffusion
from semcom.networks.pseudo_words import PseudoWordEncoder
from semcom.profile import Profile, write_part
from semcom.receiver.int8 import with_int8_trunk
from semcom.streams.caption import CaptionCoder
from semcom.train.data.crops import list_photos
from semcom.train.data.decoder_data import BATCH, SCENES, ConditionedCrops
from semcom.train.stages.enhancer import refine, texture_planes
from semcom.train.training_run import TrainingRun, card_of, train_stage
from semcom.transmitter.features import FeatureExtractor
from semcom.vocabulary import Vocabulary

_NUM_WORDS = (16, 16, 16, 8, 4, 32, 64, 0)
CROPS = BATCH - SCENES
_DISTS_SAMPLES = 2
NOISIEST, _NOISIEST_SHARE = 999, 0.6
_VALIDATION_SAMPLES = 64


class DecoderWithWords(nn.Module):
    """Both ends of the pseudo-words in one trainable model.

    Args:
        vocabulary: number of caption tokens.
    """

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.words, self.decoder = PseudoWordEncoder(), MultimodalDecoder(vocabulary)


@dataclass(frozen=True)
class FrozenParts:
    """What every stage of the decoder needs and leaves as it is.

    Attributes:
        photos, validation: training and validation photographs.
        enhancer: trained.
        transform: of the key latents.
        vocabulary: of captions.
        extractor: of the backbone's features.
    """

    photos: Sequence[Path]
    validation: Sequence[Path]
    enhancer: Enhancer
    transform: KeyTransform
    vocabulary: Vocabulary
    extractor: FeatureExtractor


class DecoderStage:
    """See the module docstring.

    Args:
        frozen: frozen networks and photographs.
    """

    name = "decoder"
    batch_size = BATCH
    learning_rate = 4e-4
    ema_decay = 0.99

    def __init__(self, frozen: FrozenParts) -> None:
        self.frozen, self.enhancer, self.transform = frozen, frozen.enhancer, frozen.transform
        torch.manual_seed(0)  # of the initial weights
        self.with_words = DecoderWithWords(len(frozen.vocabulary)).to(memory_format=torch.channels_last)
        self.model: nn.Module = self.with_words
        self.scheduler = schedule()
        self.lpips = LPIPSNetwork().to(memory_format=torch.channels_last)
        self.dists = DISTSNetwork().to(memory_format=torch.channels_last)

    def dataset(self, seed: int) -> Dataset[dict[str, Tensor]]:
        """Coded crops and their scenes."""
        return ConditionedCrops(self.frozen.photos, self.frozen.vocabulary, self.frozen.extractor, seed)

    def loss(self, batch: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        """DISTS is the dearest term, so a quarter of each batch pays for it."""
        output, target, _ = self.reconstruct(self.with_words, batch)
        few = slice(0, _DISTS_SAMPLES)
        return {
            "lpips": self.lpips(output, target).mean(),
            "l1": (output - target).abs().mean(),
            "dists": self.dists(output[few], target[few]).mean(),
        }

    def reconstruct(
        self, model: DecoderWithWords, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures from a random noise level and number of words, targets and x0, [B,3,128,128] each."""
        num_words = _NUM_WORDS[int(torch.randint(len(_NUM_WORDS), ()))]
        x0, target, guidance = self.mixed(model, batch, num_words)
        clean = to_diffusion(target - x0)
        level = torch.randint(NOISIEST + 1, (len(x0),))
        level = torch.where(torch.rand(len(x0)) < _NOISIEST_SHARE, NOISIEST, level)
        noisy = self.scheduler.add_noise(clean, torch.randn_like(clean), cast(torch.IntTensor, level))
        return x0 + model.decoder(noisy, level, x0, guidance), target, x0

    def mixed(
        self, model: DecoderWithWords, batch: Mapping[str, Tensor], num_words: int
    ) -> tuple[Tensor, Tensor, Guidance]:
        """x0 and target [B,3,128,128] and the guidance: the last samples of the batch are scenes."""
        crop = (torch.arange(BATCH) < CROPS).float()
        arrived = batch["arrived"] * crop.view(-1, 1, 1, 1)
        with torch.no_grad():
            hci, detail, latents = self.refined({**batch, "arrived": arrived})
            quality = batch["quality"][:CROPS]
            fine = texture_planes(batch)[:CROPS]
            restored = self.enhancer(hci[:CROPS], quality, detail[:CROPS], fine).clamp(0, 1)
            x0 = torch.cat((restored, batch["scene_card"][CROPS:]))
            target = torch.cat((batch["target"][:CROPS], batch["scene"][CROPS:]))
        words = model.words.fsq(model.words(batch["features"], num_words))
        text_condition = TextCondition(batch["text"], words, batch["has_words"])
        present = text_condition.about(hci * crop.view(-1, 1, 1, 1), latents, batch["key_map"], arrived)
        guidance = replace(present, has_hci=present.has_hci * crop.view(-1, 1, 1, 1))
        return x0, target, guidance

    def refined(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """See `refine`: HCI with what arrived of the key latents, where that is, and the latents."""
        return refine(self.transform, batch)

    def validation_batches(self, count: int) -> Iterator[dict[str, Tensor]]:
        """The first batches of the fixed validation split, every sample with its features."""
        frozen = self.frozen
        samples = ConditionedCrops(
            frozen.validation, frozen.vocabulary, frozen.extractor, seed=1, with_words=True
        )
        for start in range(0, count * BATCH, BATCH):
            yield default_collate([samples[i] for i in range(start, start + BATCH)])

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """LPIPS and DISTS of x0 and of one step on 32 crops and 32 scenes, and LPIPS without guidance.

        `colour_shift` is the largest mean error of a colour channel, in steps of 8 bits.
        """
        assert isinstance(model, DecoderWithWords)
        rows: dict[str, list[Tensor]] = {}
        generator = torch.Generator().manual_seed(0)
        torch.manual_seed(0)  # of a stage's own randomness
        for batch in self.validation_batches(_VALIDATION_SAMPLES // BATCH):
            for suffix, num_words in (("", 16), ("_unguided", 0)):
                if not num_words:
                    batch["text"] = torch.zeros_like(batch["text"])
                x0, target, guidance = self.mixed(model, batch, num_words)
                noise = torch.randn(to_diffusion(x0).shape, generator=generator)
                output = x0 + model.decoder(noise, torch.full((BATCH,), NOISIEST), x0, guidance)
                self._measure(rows, x0, output.clamp(0, 1), target, suffix)
        shifts = {name: values for name, values in rows.items() if name.startswith("colour_shift")}
        means = {name: torch.cat(rows[name]).mean().item() for name in rows.keys() - shifts.keys()}
        return means | {
            name: 255 * torch.cat(values).mean(0).abs().max().item() for name, values in shifts.items()
        }

    def _measure(
        self, rows: dict[str, list[Tensor]], x0: Tensor, output: Tensor, target: Tensor, suffix: str
    ) -> None:
        metrics = {"lpips": self.lpips} | ({} if suffix else {"dists": self.dists})
        for kind, part in (("crop", slice(0, CROPS)), ("scene", slice(CROPS, BATCH))):
            for label, picture in (("x0", x0), ("decoder", output)):
                for name, metric in metrics.items():
                    values = metric(picture[part], target[part])
                    rows.setdefault(f"{name}_{kind}_{label}{suffix}", []).append(values)
            shift = (output[part] - target[part]).mean((2, 3))
            rows.setdefault(f"colour_shift_{kind}{suffix}", []).append(shift)


def train(wanted: TrainingRun) -> None:
    """Trains the parts `decoder` and `pseudo_words`."""
    frozen = frozen_parts(wanted)
    stage = DecoderStage(frozen)
    trained = train_stage(stage, wanted)
    card = card_of(stage, trained, wanted, len(frozen.photos))
    write_decoder(wanted, trained.model, card | {"losses": "LPIPS-Alex + L1 + DISTS (2 of 8)"})


def frozen_parts(wanted: TrainingRun) -> FrozenParts:
    """Frozen networks of the profile, and the photos, for stages of the decoder."""
    profile = Profile.open(wanted.profile)
    enhancer, transform = profile.build("enhancer", Enhancer), profile.build("key_transform", KeyTransform)
    if "enhancer_ranges" in profile:  # integers: training runs the enhancer once per sample
        enhancer = with_int8_trunk(enhancer, profile.tensors("enhancer_ranges"))
    vocabulary = CaptionCoder.from_tensors(profile.tensors("vocabulary")).vocabulary
    extractor = FeatureExtractor(profile.build("backbone", EfficientNetLite0))
    photos, validation = list_photos(wanted.data), list_photos(wanted.validation)
    return FrozenParts(photos, validation, enhancer, transform, vocabulary, extractor)


def decoder_tensors(profile: Profile) -> dict[str, Tensor]:
    """State of `DecoderWithWords`."""
    return {
        f"{name}.{key}": value
        for name, part in (("words", "pseudo_words"), ("decoder", "decoder"))
        for key, value in profile.tensors(part).items()
    }


def write_decoder(wanted: TrainingRun, model: nn.Module, card: dict[str, Any]) -> None:
    """Writes the parts `decoder` and `pseudo_words`."""
    assert isinstance(model, DecoderWithWords)
    config = {"vocabulary": model.decoder.text.config.vocab_size}
    write_part(wanted.profile, "decoder", config, model.decoder.state_dict(), card)
    write_part(wanted.profile, "pseudo_words", {}, model.words.state_dict(), card)
