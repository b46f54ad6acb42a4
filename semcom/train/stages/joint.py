"""Stage `joint`: everything between the pixels that is learned, end to end.

    picture, HCI ─ key transform ─ integers ─┐
    HCI, texture ────────────────────────────┴─ enhancer ─ x0 ─ MGDD ─ grain ─► picture
    picture ─ backbone ─ TASCM ─ pseudo-words, caption ───────────┘

Crops are rebuilt from all that the link carries, with key packets, texture, caption and pseudo-words left out
at random: LPIPS + 0.25·L1 + 2.5·DISTS, and what the key latents cost (bits of a Laplace distribution per
channel, at a price a little above what the HCI pays for the same gain). Scenes have lost their HCI: from
colour card, caption and pseudo-words the decoder draws a quarter-size picture, which a projected adversary
judges. The receiver does not use what it draws: after 217 000 crops it answered every card with one
pattern, which LPIPS and DISTS like and no eye does.
Most steps stop at x0, to which MGDD adds little, and are faster. In the second half of a run many steps round
the enhancer's activations as its eight-bit copy does (`fake_quantised`).
Made for a GPU; on a CPU it is as slow as the stages `enhancer` and `decoder` together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from semcom.metrics.dists import DISTSNetwork
from semcom.metrics.lpips import LPIPSNetwork
from semcom.networks.captioner import Captioner
from semcom.networks.efficientnet import EfficientNetLite0
from semcom.networks.enhancer import Enhancer
from semcom.networks.half import half_precision
from semcom.networks.key_transform import LATENTS, USUAL_FINENESS, KeyTransform
from semcom.networks.mgdd import Guidance, MultimodalDecoder, TextCondition, schedule, to_diffusion
from semcom.networks.pseudo_words import GRID, PseudoWordEncoder
from semcom.picture import grain
from semcom.profile import Profile, write_part
from semcom.receiver.concealment import GREY
from semcom.receiver.int8 import observe
from semcom.streams.caption import CaptionCoder
from semcom.train.adversary import Adversary, ProjectedHeads, strength
from semcom.train.data.crops import list_photos
from semcom.train.data.joint_data import CUTS, JointCrops, expanded, tokens, written_captions
from semcom.train.fake_quant import fake_quantised
from semcom.train.stages.decoder import NOISIEST
from semcom.train.stages.enhancer import JITTER, TEXTURE_LOST, any_fineness, refine, texture_planes
from semcom.train.training_run import TrainingRun, card_of, train_stage
from semcom.transmitter.captions import PhotoCaptioner
from semcom.transmitter.features import FRAME, FeatureExtractor

Rows = dict[str, list[Tensor]]
Ranges = dict[str, Tensor]
_NOISIEST_SHARE = 0.85
_WORDS_LOST, _TEXT_LOST, _CARD_LOST = 0.2, 0.2, 0.1
_NUM_WORDS = (16, 16, 16, 16, 8, 4, 32, 64)
# What the HCI pays around 0.036 bpp is 6 (LPIPS + 2.5·DISTS per bit per pixel, validation photos)
_PRICE = 7.0
_GUIDED_STEPS = 0.35  # share of the steps with MGDD; the others are faster
_SCENE_STEPS = 0.33  # share of those that have scenes too
_INTEGERS_FROM, _INTEGER_STEPS = 0.5, 0.6  # share of the run, and of the steps from there on
_OBSERVED_EVERY = 100  # steps with rounding: ranges change slowly
_OBSERVED_CROPS = 48
_LEARNING_RATE = 3e-4 / math.sqrt(28)  # of a batch of one photo
_REDUCTION = 8
_VALIDATION_PHOTOS, _VALIDATION_BATCH = 32, 8


class LaplaceBits(nn.Module):
    """Bits of latents under a zero-mean Laplace distribution per channel, differentiable.

    Args:
        channels: of the latents.
    """

    def __init__(self, channels: int = LATENTS) -> None:
        super().__init__()
        self.log_spread = nn.Parameter(torch.full((channels, 1, 1), math.log(0.5)))

    def forward(self, steps: Tensor) -> Tensor:
        """[B,1,h,w] bits of a cell of latents [B,C,h,w], rounded or with noise instead."""
        spread = self.log_spread.exp()
        likelihood = _laplace_cdf((steps + 0.5) / spread) - _laplace_cdf((steps - 0.5) / spread)
        return -likelihood.clamp_min(1e-6).log2().sum(1, keepdim=True)


def _laplace_cdf(x: Tensor) -> Tensor:
    return 0.5 - 0.5 * x.sign() * torch.expm1(-x.abs())


class Chain(nn.Module):
    """All that the stage trains.

    Args:
        enhancer, transform: to go on from.
        vocabulary: number of caption tokens.
    """

    def __init__(self, enhancer: Enhancer, transform: KeyTransform, vocabulary: int) -> None:
        super().__init__()
        self.enhancer, self.transform = enhancer, transform
        self.words, self.decoder = PseudoWordEncoder(), MultimodalDecoder(vocabulary)
        self.bits, self.heads = LaplaceBits(), ProjectedHeads()


class JointStage:
    """See the module docstring.

    Args:
        chain: to train.
        backbone: frozen; of the pseudo-words and of the adversary.
        photos, validation: photographs.
        texts: token ids of their captions.
        device: `cpu` or `cuda`.
        batch_size: photos a step; each is two crops and a scene.
    """

    name = "joint"
    ema_decay = 0.99

    def __init__(
        self,
        chain: Chain,
        backbone: EfficientNetLite0,
        photos: Sequence[Path],
        validation: Sequence[Path],
        texts: Mapping[Path, Tensor],
        device: str,
        batch_size: int,
    ) -> None:
        self.photos, self.validation, self.texts = photos, validation, texts
        self.device, self.batch_size = device, batch_size
        self.learning_rate = _LEARNING_RATE * math.sqrt(batch_size)
        self.chain = chain.requires_grad_(True).train().to(device).to(memory_format=torch.channels_last)
        self.model: nn.Module = self.chain
        self.backbone = backbone.requires_grad_(False).eval().to(device).to(memory_format=torch.channels_last)
        self.lpips = LPIPSNetwork().to(device).to(memory_format=torch.channels_last)
        self.dists = DISTSNetwork().to(device).to(memory_format=torch.channels_last)
        self.adversary = Adversary(self.backbone, self.chain.heads)
        self.scheduler = schedule()
        self._ranges: Ranges = {}
        self._roundings = 0

    def dataset(self, seed: int) -> Dataset[dict[str, Tensor]]:
        """See `JointCrops`."""
        return JointCrops(self.photos, self.texts, seed)

    def loss(self, batch: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        """Weighted terms of crops and scenes; see the module docstring."""
        sample = expanded(batch)
        num_words = _NUM_WORDS[int(torch.randint(len(_NUM_WORDS), ()))]
        with_words = bool(torch.rand(()) < _GUIDED_STEPS)
        rounded = progress >= _INTEGERS_FROM and bool(torch.rand(()) < _INTEGER_STEPS)
        as_run = (
            fake_quantised(self.chain.enhancer, self._ranges_lately(sample)) if rounded else nullcontext()
        )
        with half_precision(self.device), as_run:
            terms = self._crops(sample, num_words if with_words else None)
            if with_words and torch.rand(()) < _SCENE_STEPS:
                terms |= self._scenes(sample, num_words, progress)
        return terms

    def _ranges_lately(self, sample: Mapping[str, Tensor]) -> Ranges:
        """Of the enhancer's activations; seen on this batch, or on one not long ago."""
        crops = len(sample["target"])
        if self._roundings * crops < _OBSERVED_CROPS or self._roundings % _OBSERVED_EVERY == 0:
            with half_precision(self.device):  # of its own: autocast keeps what it has cast without gradient
                seen = self._observed(self.chain, sample)
            few = self._ranges and crops < _OBSERVED_CROPS
            self._ranges = _widest(self._ranges, seen) if few else seen
        self._roundings += 1
        return self._ranges

    def _observed(self, chain: Chain, sample: Mapping[str, Tensor]) -> Ranges:
        with torch.no_grad():
            source, detail, _ = refine(chain.transform, sample)
            seen = (source, sample["quality"], detail, texture_planes(sample))
        ranges = observe(chain.enhancer, [seen])
        return {name: spans.float().cpu() for name, spans in ranges.items()}

    def _crops(self, sample: Mapping[str, Tensor], num_words: int | None) -> dict[str, Tensor]:
        """Terms of crops; without MGDD where there is no number of words."""
        target = sample["target"].contiguous(memory_format=torch.channels_last)
        condition = None
        if num_words is not None:
            condition = self._text_condition(
                self.chain, target, _per_crop(sample["text"]), num_words, lost=True
            )
        steps = self.chain.transform(target, sample["hci"])
        output = self._rebuilt(self.chain, sample, steps, condition, any_fineness(), lost=True)
        noisy = steps + torch.rand_like(steps) - 0.5
        bits = (self.chain.bits(noisy) * sample["key_map"]).sum() / target[:, :1].numel()
        return {
            "lpips": self.lpips(output, target).mean(),
            "l1": 0.25 * (output - target).abs().mean(),
            "dists": 2.5 * self.dists(output, target).mean(),
            "key": _PRICE * bits,
        }

    def _rebuilt(
        self,
        chain: Chain,
        sample: Mapping[str, Tensor],
        steps: Tensor,
        condition: TextCondition | None,
        fineness: int = USUAL_FINENESS,
        *,
        lost: bool,
    ) -> Tensor:
        """Pictures of crops; `lost` leaves out texture at random and starts from any noise level."""
        target, arrived = sample["target"], sample["arrived"]
        coded = chain.transform.values(chain.transform.quantise(steps, fineness), fineness)
        rounded = steps + (coded - steps).detach()
        latents = rounded * arrived
        source, detail = chain.transform.refine(sample["hci"], latents, arrived)
        known = (_chance(target, 1 - TEXTURE_LOST) if lost else 1.0) * sample.get("texture", 1.0)
        fine = texture_planes(sample, JITTER if lost else 0.0) * known
        output = chain.enhancer(source, sample["quality"], detail, fine)
        if condition is not None:
            guidance = condition.about(source, latents, sample["key_map"], arrived)
            output = output + self._residual(chain, output, target, guidance, lost)
        return grain.added(output, sample["noise"], torch.randn_like(output))

    def _scenes(self, sample: Mapping[str, Tensor], num_words: int, progress: float) -> dict[str, Tensor]:
        target = sample["scene"].contiguous(memory_format=torch.channels_last)
        condition = self._text_condition(self.chain, target, sample["text"], num_words, lost=True)
        x0 = GREY + (sample["scene_card"] - GREY) * _chance(target, 1 - _CARD_LOST)
        output = x0 + self._residual(self.chain, x0, target, condition.about_nothing(x0), lost=True)
        maker, heads = self.adversary.losses(output, target, x0)
        error = output - target
        return {
            "scene_lpips": self.lpips(output, target).mean(),
            "scene_l1": error.abs().mean(),
            "scene_colours": 4 * F.avg_pool2d(error, _REDUCTION).abs().mean(),
            "adversary": 0.1 * strength(progress) * maker.mean(),
            "heads": 0.1 * heads,
        }

    def _residual(self, chain: Chain, x0: Tensor, target: Tensor, guidance: Guidance, lost: bool) -> Tensor:
        clean = to_diffusion((target - x0).detach())
        level = torch.full((len(x0),), NOISIEST, device=x0.device)
        if lost:
            any_level = torch.randint_like(level, NOISIEST + 1)
            level = torch.where(torch.rand(len(x0), device=x0.device) < _NOISIEST_SHARE, level, any_level)
        noisy = self.scheduler.add_noise(clean, torch.randn_like(clean), cast(torch.IntTensor, level))
        return chain.decoder(noisy, level, x0, guidance)

    def _text_condition(
        self, chain: Chain, pictures: Tensor, text: Tensor, num_words: int, lost: bool
    ) -> TextCondition:
        with torch.no_grad():
            framed = F.interpolate(pictures, (FRAME, FRAME), mode="bilinear", antialias=True)
            features = F.adaptive_avg_pool2d(self.backbone.features(framed).stride32, (GRID, GRID))
        words = chain.words.fsq(chain.words(features, num_words).float())
        present = _chance(pictures, 1 - _TEXT_LOST if lost else 1.0).view(-1, 1)
        has_words = _chance(pictures, 1 - _WORDS_LOST if lost else 1.0).view(-1)
        return TextCondition(text * present.long(), words, has_words)

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """LPIPS and DISTS of crops with everything, and without one thing at a time; of scenes; key bits.

        `key` is of pictures that are key everywhere; `other` words are another picture's.
        """
        assert isinstance(model, Chain)
        model.to(self.device)
        rows: Rows = {}
        torch.manual_seed(0)
        for batch in self._validation():
            self._measure_crops(model, batch, rows)
            self._measure_scenes(model, batch, rows)
        return {name: torch.cat(values).mean().item() for name, values in rows.items()}

    def _validation(self) -> Iterator[dict[str, Tensor]]:
        crops = JointCrops(self.validation, self.texts, seed=1)
        for start in range(0, _VALIDATION_PHOTOS, _VALIDATION_BATCH):
            batch = default_collate([crops[i] for i in range(start, start + _VALIDATION_BATCH)])
            yield expanded({name: value.to(self.device) for name, value in batch.items()})

    def _measure_crops(self, model: Chain, sample: Mapping[str, Tensor], rows: Rows) -> None:
        target, text = sample["target"], _per_crop(sample["text"])
        steps = model.transform(target, sample["hci"])
        condition = self._text_condition(model, target, text, 16, lost=False)
        silent = _silent(condition)
        nowhere, everywhere = torch.zeros_like(sample["arrived"]), torch.ones_like(sample["arrived"])
        plain = {**sample, "arrived": nowhere, "key_map": nowhere}
        cases = {
            "": (plain, condition),
            "_key": ({**sample, "arrived": everywhere, "key_map": everywhere}, condition),
            "_key_lost": ({**sample, "arrived": nowhere, "key_map": everywhere}, condition),
            "_without_texture": ({**plain, "texture": torch.zeros((), device=target.device)}, condition),
            "_without_words": (plain, silent),
            "_without_caption": (
                plain,
                TextCondition(silent.text, condition.words, condition.has_words),
            ),
            "_without_spw": (plain, TextCondition(text, silent.words, silent.has_words)),
            "_other_spw": (
                plain,
                TextCondition(text, condition.words.roll(CUTS, 0), condition.has_words),
            ),
            "_without_mgdd": (plain, None),
            "_integers": (plain, condition),
        }
        ranges = self._observed(model, sample)
        for name, (case, words) in cases.items():
            torch.manual_seed(0)  # the same noise in every case
            with fake_quantised(model.enhancer, ranges) if name == "_integers" else nullcontext():
                output = self._rebuilt(model, case, steps, words, lost=False).clamp(0, 1)
            self._note(rows, name, output, target)
        bits = model.bits(model.transform.quantise(steps))
        rows.setdefault("key_bits_per_cell", []).append(bits.mean((1, 2, 3)))

    def _measure_scenes(self, model: Chain, sample: Mapping[str, Tensor], rows: Rows) -> None:
        scene, x0 = sample["scene"], sample["scene_card"]
        condition = self._text_condition(model, scene, sample["text"], 16, lost=False)
        for name, words in (("_scene", condition), ("_scene_without_words", _silent(condition))):
            residual = self._residual(model, x0, scene, words.about_nothing(x0), lost=False)
            self._note(rows, name, (x0 + residual).clamp(0, 1), scene)
        self._note(rows, "_scene_card", x0, scene)

    def _note(self, rows: Rows, name: str, output: Tensor, target: Tensor) -> None:
        rows.setdefault("lpips" + name, []).append(self.lpips(output, target))
        rows.setdefault("dists" + name, []).append(self.dists(output, target))


def _widest(a: Ranges, b: Ranges) -> Ranges:
    """Ranges [...,2] that hold those of both."""
    return {
        name: torch.stack(
            (torch.minimum(a[name], b[name])[..., 0], torch.maximum(a[name], b[name])[..., 1]), -1
        )
        for name in a
    }


def _silent(condition: TextCondition) -> TextCondition:
    """Nothing, about as many pictures."""
    return TextCondition(
        torch.zeros_like(condition.text),
        condition.words[:, :0],
        torch.zeros_like(condition.has_words),
    )


def _per_crop(text: Tensor) -> Tensor:
    """Of a photo's crops, [B·cuts,40]."""
    return text.repeat_interleave(CUTS, 0)


def _chance(like: Tensor, share: float) -> Tensor:
    """[B,1,1,1] 1 in this share of the cases, else 0."""
    return (torch.rand(len(like), 1, 1, 1, device=like.device) < share).float()


_GPU_PHOTOS = 40  # a step: 40 GB


def train(wanted: TrainingRun) -> None:
    """Trains `enhancer`, `key_transform`, `decoder` and `pseudo_words` together."""
    profile = Profile.open(wanted.profile)
    photos, validation = list_photos(wanted.data), list_photos(wanted.validation)
    vocabulary = CaptionCoder.from_tensors(profile.tensors("vocabulary")).vocabulary
    backbone = profile.build("backbone", EfficientNetLite0)
    describer = PhotoCaptioner(backbone, profile.build("captioner", Captioner), vocabulary, beams=1)
    captions = written_captions(
        [*photos, *validation], describer, FeatureExtractor(backbone), wanted.folder / "captions.tsv"
    )
    chain = Chain(
        profile.build("enhancer", Enhancer), profile.build("key_transform", KeyTransform), len(vocabulary)
    )
    if "decoder" in profile:
        chain.decoder.load_state_dict(profile.tensors("decoder"))
        chain.words.load_state_dict(profile.tensors("pseudo_words"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = _GPU_PHOTOS if device == "cuda" else 1
    stage = JointStage(chain, backbone, photos, validation, tokens(captions, vocabulary), device, size)
    earlier = profile.card("enhancer")
    trained = train_stage(stage, wanted)
    card = card_of(stage, trained, wanted, len(photos)) | {
        "losses": "LPIPS-Alex + 0.25·L1 + 2.5·DISTS + 7·bits of key latents per pixel; scenes: see the stage",
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "earlier_run": earlier,
    }
    _write_chain(wanted.profile, trained.model, card)


def _write_chain(folder: Path, model: nn.Module, card: dict[str, Any]) -> None:
    """Parts of a profile that the stage `joint` trains."""
    assert isinstance(model, Chain)
    blocks = {"num_blocks": len(model.enhancer.trunk.body)}
    write_part(folder, "enhancer", blocks, model.enhancer.state_dict(), card)
    short = {name: value for name, value in card.items() if name != "earlier_run"}
    write_part(folder, "key_transform", {}, model.transform.state_dict(), short)
    write_part(folder, "pseudo_words", {}, model.words.state_dict(), short)
    config = {"vocabulary": model.decoder.text.config.vocab_size}
    write_part(folder, "decoder", config, model.decoder.state_dict(), short)
