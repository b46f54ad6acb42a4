"""Stages of the multimodal decoder: what they train, what they leave alone, what the receiver loads."""

from itertools import count
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from flow_stage import CaptionedPhotos, FlowStage
from PIL import Image

from semcom.metrics.lpips import LPIPSNetwork
from semcom.networks.efficientnet import EfficientNetLite0
from semcom.networks.enhancer import Enhancer
from semcom.networks.key_transform import KeyTransform
from semcom.profile import Profile, write_part
from semcom.receiver.quantization import Quantization
from semcom.semantic import receiver_networks
from semcom.streams.caption import CaptionCoder
from semcom.train import loop
from semcom.train.adversary import Adversary, ProjectedHeads
from semcom.train.data.crops import list_photos
from semcom.train.data.decoder_data import BATCH, SCENES, ConditionedCrops, is_scene
from semcom.train.registry import run_stage
from semcom.train.stages import decoder, joint, quantise
from semcom.train.stages.channel import ChannelStage, erased
from semcom.train.stages.enhancer import refine
from semcom.train.training_run import TrainingRun
from semcom.transmitter.features import FeatureExtractor


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(4):
        coarse = Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8))
        coarse.resize((200, 150), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return str(folder)


@pytest.fixture(scope="module")
def small_profile(tmp_path_factory):
    """The shipped profile with an enhancer of one block."""
    folder = copytree(Profile.open("tiny")._folder, tmp_path_factory.mktemp("profiles") / "small")
    torch.manual_seed(0)
    write_part(folder, "enhancer", {"num_blocks": 1}, Enhancer(1).state_dict(), {"stage": "enhancer"})
    ranges = Profile.open(folder).tensors("enhancer_ranges")
    write_part(folder, "enhancer_ranges", {}, ranges | {"dense": ranges["dense"][:1]}, {})
    return folder


@pytest.fixture
def few_steps(monkeypatch):
    """One step a minute of training time, a short evaluation, and no VGG."""
    ticks = count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: 60.0 * next(ticks)))
    monkeypatch.setattr(decoder, "DISTSNetwork", LPIPSNetwork)
    monkeypatch.setattr(decoder, "_VALIDATION_SAMPLES", BATCH)
    monkeypatch.setattr(quantise, "_VALIDATION_BATCHES", 1)
    monkeypatch.setattr(quantise, "_CALIBRATION_CROPS", 2)
    monkeypatch.setattr(joint, "DISTSNetwork", LPIPSNetwork)
    monkeypatch.setattr(joint, "_VALIDATION_PHOTOS", 1)
    monkeypatch.setattr(joint, "_VALIDATION_BATCH", 1)
    monkeypatch.setattr(joint, "_GUIDED_STEPS", 1.0)
    monkeypatch.setattr(joint, "_INTEGERS_FROM", 0.0)
    monkeypatch.setattr(joint, "_INTEGER_STEPS", 1.0)


@pytest.fixture
def wanted(photos, small_profile, tmp_path, few_steps):
    profile = copytree(small_profile, tmp_path / "profile")
    return TrainingRun([photos], [photos], profile, 1.0, tmp_path / "run", 0, True)


PARTS = ("decoder", "pseudo_words", "enhancer", "key_transform")


def parts(folder):
    return {part: Profile.open(folder).tensors(part) for part in PARTS}


def changed(before, after):
    def differs(part):
        return any(not torch.equal(value, after[part][name]) for name, value in before[part].items())

    return {part for part in before if differs(part)}


def networks(wanted, level, adapters):
    """Enhancer and decoder as the receiver builds them."""
    return receiver_networks(Profile.open(wanted.profile), Quantization(level), adapters)


@pytest.mark.slow
def test_perceptual_goes_on_from_the_decoder(wanted):
    before = parts(wanted.profile)
    run_stage("perceptual", wanted)
    assert changed(before, parts(wanted.profile)) == {"decoder", "pseudo_words"}
    card = Profile.open(wanted.profile).card("decoder")
    assert card["stage"] == "perceptual" and card["earlier_run"]["stage"]
    assert {"dists_scene_decoder", "colour_shift_scene", "lpips_crop_x0"} <= card["validation"].keys()


@pytest.mark.slow
def test_joint_trains_the_whole_chain_and_keeps_the_captions(wanted):
    before = parts(wanted.profile)
    run_stage("joint", wanted)
    assert changed(before, parts(wanted.profile)) == set(PARTS)
    card = Profile.open(wanted.profile).card("enhancer")
    assert card["stage"] == "joint" and card["earlier_run"] == {"stage": "enhancer"}
    cases = {"lpips", "lpips_key", "lpips_key_lost", "lpips_without_spw", "lpips_scene", "key_bits_per_cell"}
    cases |= {"lpips_integers", "lpips_without_mgdd"}
    assert cases <= card["validation"].keys()
    lines = (wanted.folder / "captions.tsv").read_text().splitlines()
    assert len(lines) == 4 and all(line.count("\t") == 1 for line in lines)  # of noise, perhaps no word


def test_bits_are_those_of_the_distribution():
    """Of integers: the code length of a discretised Laplace distribution, by numerical integration."""
    bits = joint.LaplaceBits(3)
    with torch.no_grad():
        bits.log_spread.copy_(torch.tensor([0.3, 0.7, 2.0]).log().view(3, 1, 1))
    steps = torch.tensor([0.0, -1.0, 3.0]).view(1, 3, 1, 1)
    x = torch.linspace(-0.5, 0.5, 20001, dtype=torch.float64)
    expected = 0.0
    for step, spread in zip((0.0, -1.0, 3.0), (0.3, 0.7, 2.0), strict=True):
        density = torch.exp(-(step + x).abs() / spread) / (2 * spread)
        expected -= torch.trapezoid(density, x).log2().item()
    assert bits(steps).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_channel_tunes_adapters_that_the_receiver_loads_or_not(wanted):
    before = parts(wanted.profile)
    run_stage("channel", wanted)
    assert changed(before, parts(wanted.profile)) == set()
    plain, tuned = (networks(wanted, "fp32", adapters)[1].state_dict() for adapters in (False, True))
    different = {name for name in plain if not torch.equal(plain[name], tuned[name])}
    assert "unet.conv_in.weight" in different and "rgb.weight" not in different
    assert any(name.endswith("attn2.to_q.weight") for name in different)


@pytest.mark.slow
def test_quantise_writes_what_nf4_loads(wanted):
    run_stage("quantise", wanted)
    with torch.inference_mode():
        exact, bare, recovered = (
            networks(wanted, level, adapters)[0]
            for level, adapters in (("fp32", True), ("nf4", False), ("nf4", True))
        )
        crop = (
            torch.rand(1, 3, 24, 24),
            torch.tensor([30.0]),
            torch.zeros(1, 9, 24, 24),
            torch.zeros(1, 3, 24, 24),
        )
        target = exact(*crop)
        assert (recovered(*crop) - target).norm() < (bare(*crop) - target).norm()


def test_each_side_of_the_adversary_has_a_gradient_of_its_own():
    torch.manual_seed(0)
    heads = ProjectedHeads()
    rival = Adversary(EfficientNetLite0().requires_grad_(False).eval(), heads)
    output, target, x0 = (torch.rand(2, 3, 64, 64) for _ in range(3))
    maker, judge = rival.losses(output.requires_grad_(), target, x0)
    assert maker.shape == (2,)
    maker.sum().backward()
    assert output.grad.abs().sum() > 0
    assert all(p.grad is None for p in heads.parameters())
    output.grad = None
    judge.backward()
    assert output.grad is None
    assert all(p.grad.abs().sum() > 0 for name, p in heads.named_parameters() if name.endswith("weight"))


def test_heads_look_at_what_the_picture_was_made_from():
    torch.manual_seed(0)
    heads, maps = ProjectedHeads(), [torch.randn(1, width, 4, 4) for width in (24, 40, 112)]
    x0 = torch.rand(1, 3, 16, 16)
    for one, other in zip(heads(maps, x0), heads(maps, 1 - x0), strict=True):
        assert one.shape == (1, 1, 4, 4) and not torch.allclose(one, other)


def test_a_batch_ends_in_scenes_and_words_come_with_features(photos):
    assert [is_scene(i) for i in range(BATCH)] == [False] * (BATCH - SCENES) + [True] * SCENES
    profile = Profile.open("tiny")
    vocabulary = CaptionCoder.from_tensors(profile.tensors("vocabulary")).vocabulary
    extractor = FeatureExtractor(profile.build("backbone", EfficientNetLite0))
    files = list_photos([photos])
    samples = [ConditionedCrops(files, vocabulary, extractor, seed=2)[i] for i in range(BATCH)]
    for sample in samples:
        assert bool(sample["has_words"]) == bool(sample["features"].any())
    assert 0 < sum(sample["has_words"].item() for sample in samples) < BATCH


def test_erasures_take_whole_packets_at_every_rate():
    torch.manual_seed(0)
    n = 400
    batch = {
        "key_map": torch.ones(n, 1, 8, 8),
        "arrived": torch.ones(n, 1, 8, 8),
        "text": torch.full((n, 40), 7),
        "has_words": torch.ones(n),
        "scene_card": torch.full((n, 3, 4, 4), 0.9),
    }
    result = erased(batch)
    by_phase = result["arrived"].view(n, 4, 2, 4, 2).transpose(2, 3)
    assert torch.equal(by_phase.amax((1, 2)), by_phase.amin((1, 2)))  # a phase is one packet
    phases = result["arrived"][:, 0, :2, :2].sum((1, 2))
    assert set(phases.tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0}
    # The rate is u², u uniform: two thirds arrive in the mean.
    for arrived in (
        phases / 4,
        (result["text"] > 0).all(1).float(),
        result["has_words"],
        (result["scene_card"] > 0.6).float().mean((1, 2, 3)),
    ):
        assert arrived.mean().item() == pytest.approx(2 / 3, abs=0.08)
    assert set(result["text"].flatten().tolist()) == {0, 7}
    assert torch.equal(result["scene_card"].unique(), torch.tensor([0.5, 0.9]))


def test_noise_falls_on_arrived_latents_alone():
    torch.manual_seed(0)
    stage = ChannelStage.__new__(ChannelStage)
    stage.transform = Profile.open("tiny").build("key_transform", KeyTransform)
    arrived = torch.zeros(BATCH, 1, 4, 4)
    arrived[:, :, 0] = 1
    batch = {
        "target": torch.full((BATCH, 3, 64, 64), 0.5),
        "hci": torch.full((BATCH, 3, 16, 16), 0.5),
        "arrived": arrived,
    }
    hci, detail, latents = stage.refined(batch)
    assert not latents[:, :, 1:].any() and not (hci - 0.5)[:, :, 4:].any() and not detail[:, :, 4:].any()
    _, _, exact = refine(stage.transform, batch)
    noisy = (latents - exact)[:, :, 0].abs().amax((1, 2)) > 0
    assert 0 < noisy.sum() < BATCH  # some samples came as bits
    torch.testing.assert_close(hci, stage.transform.refine(batch["hci"], latents, arrived)[0])
    assert torch.equal(detail[:, :1, :4].unique(), torch.tensor([1.0]))


def flow_batch(count):
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(count, 3, 128, 128, generator=generator)
    return {"target": target, "text": torch.zeros(count, 40, dtype=torch.long)}


def test_the_true_picture_has_no_velocity_error_and_grey_has_that_of_theory(wanted):
    """At t the velocity of a prediction that is off by d is off by d / (1 - t)."""
    stage, batch = FlowStage(decoder.frozen_parts(wanted)), flow_batch(4)
    truth, time = batch["target"] - 0.5, torch.full((4,), 0.5)
    exact = SimpleNamespace(decoder=lambda *_: truth)
    grey = SimpleNamespace(decoder=lambda *_: torch.zeros_like(truth))
    assert stage._error(exact, batch, time).item() == pytest.approx(0, abs=1e-8)
    expected = (4 * truth / 0.5).square().mean().item()
    assert stage._error(grey, batch, time).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_flow_trains_the_unet_and_the_decoder_can_start_from_it(wanted):
    frozen = decoder.frozen_parts(wanted)
    stage = FlowStage(frozen)
    before = {name: value.clone() for name, value in stage.model.state_dict().items()}
    trained = loop.run(stage, wanted.folder, 3.0, 0, resume=False)
    after = trained.model.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    for layer in ("decoder.unet.conv_in.weight", "decoder.missing"):
        assert layer in moved
    assert trained.metrics.keys() == {"velocity", "velocity_without_caption"}
    decoder.DecoderStage(frozen).model.load_state_dict(after)


def test_captioned_photos_are_whole(photos):
    files = sorted(Path(photos).glob("*.png"))
    samples = CaptionedPhotos(files, SimpleNamespace(), None, seed=0)
    first, again = samples[0], samples[0]
    assert first["target"].shape == (3, 128, 128) and first["text"].shape == (40,)
    assert torch.equal(first["target"], again["target"])
