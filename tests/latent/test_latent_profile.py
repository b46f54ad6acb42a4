"""A profile of published models: the real classes in miniature, from disk, over the link."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from semcom.cli.main import app
from semcom.contracts import Budget
from semcom.link import PerfectLink
from semcom.message import ReceivedStream
from semcom.networks.latent_diffusion import Sampling, clean_and_noise
from semcom.picture import images
from semcom.profile import Profile, ProfileError, write_part
from semcom.semantic import SemanticSystem


@pytest.fixture(scope="module")
def received(semantic, small_photo):
    message = semantic.encode(small_photo, Budget.of_bpp(0.08, 200, 150))
    (arrived,) = PerfectLink().send([message], 0.0, [0])
    return arrived


@pytest.fixture(scope="module")
def system(sd_folder):
    return SemanticSystem(sd_folder)


@pytest.fixture()
def folder(sd_folder, tmp_path):
    return shutil.copytree(sd_folder, tmp_path / "mine")


def lost(received, *names):
    streams = tuple(
        ReceivedStream(s.name, (None,) * len(s.chunks)) if s.name in names else s for s in received.streams
    )
    return type(received)(streams, received.width, received.height, received.report)


def test_messages_are_those_of_the_base(system, semantic, small_photo, received):
    message = system.encode(small_photo, Budget.of_bpp(0.08, 200, 150))
    assert message == semantic.encode(small_photo, Budget.of_bpp(0.08, 200, 150))


@pytest.mark.parametrize(
    "precision",
    ["fp32", pytest.param("nf4", marks=pytest.mark.slow), pytest.param("int8", marks=pytest.mark.slow)],
)
def test_send_over_the_air(sd_folder, small_photo, tmp_path, precision):
    images.save(small_photo, tmp_path / "photo.png")
    words = ["send", str(tmp_path / "photo.png"), "--profile", str(sd_folder), "--snr-db", "20", "--bpp"]
    words += ["0.08", "--quantization", precision, "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["precision"] == precision and report["profile"]["name"] == sd_folder.name
    assert report["lost"] == 0 and "decode" in report["seconds"]


def test_rounded_networks_stay_close_to_exact_ones(system, received):
    exact = system.decode(received).image
    for precision in ("nf4", "int8"):
        other = system.with_options(quantization=precision)
        kinds = {type(layer).__name__ for layer in other.receiver.generator.unet.modules()}
        kinds_of_text = {type(layer).__name__ for layer in other.receiver.generator.text_encoder.modules()}
        packed = {"nf4": "Linear4bit", "int8": "Linear8bitLt"}[precision]
        assert packed in kinds and packed in kinds_of_text
        assert 0 < (other.decode(received).image - exact).abs().mean() < 0.1


def test_own_replacement_is_what_diffusers_makes(system, sd_folder, monkeypatch):
    """On a CPU diffusers refuses its quantization_config; where it is let through, the outputs agree."""
    from diffusers import BitsAndBytesConfig, UNet2DConditionModel
    from diffusers.quantizers.bitsandbytes.bnb_quantizer import BnB4BitDiffusersQuantizer

    from semcom.latent.loading import _bitsandbytes
    from semcom.receiver.precision import Quantization

    monkeypatch.setattr(BnB4BitDiffusersQuantizer, "validate_environment", lambda self, *a, **k: None)
    config = BitsAndBytesConfig(**_bitsandbytes(Quantization.NF4, "cpu"))
    theirs = UNet2DConditionModel.from_pretrained(
        sd_folder / "unet", quantization_config=config, device_map={"": "cpu"}, torch_dtype=torch.float32
    )
    ours = system.with_options(quantization="nf4").receiver.generator.unet
    torch.manual_seed(0)
    sample, tokens = torch.randn(1, 4, 8, 8), torch.randn(1, 24, 64)
    with torch.inference_mode():
        pair = [net(sample, torch.tensor([499]), tokens, return_dict=False)[0] for net in (ours, theirs)]
    torch.testing.assert_close(*pair, atol=1e-4, rtol=1e-3)


def test_less_that_arrived_leaves_more_to_the_generator(system, received):
    start = system.receiver.enhancer  # the first picture is the base's
    assert start is not None
    whole = system.decode(received)
    card = system.decode(lost(received, "hci"))
    assert torch.equal(system.decode(received).image, whole.image)  # same seed, same picture
    assert any("the generator" in note for note in card.notes) and card.image.isfinite().all()
    silent = system.decode(lost(received, "hci", "card", "caption", "spw"))
    assert silent.image.isfinite().all() and not torch.equal(silent.image, card.image)


def test_caption_steers_the_picture(system, received):
    assert not torch.equal(system.decode(lost(received, "caption")).image, system.decode(received).image)


def test_strength_follows_what_arrived():
    sampling = Sampling("epsilon")
    strengths = [sampling.strength(q, 1) for q in (63, 30, 0)]
    assert strengths == sorted(strengths) and strengths[-1] == sampling.strength(40, 2)
    assert sampling.strength(None, 1) == 1.0


def test_schedule_keeps_to_the_levels_of_a_distilled_network():
    turbo = Sampling("epsilon", levels=(249, 499, 749, 999))
    assert turbo.schedule(0.5, 1) == [499] and turbo.schedule(1.0, 4) == [999, 749, 499, 249]
    assert turbo.schedule(0.3, 8) == [249]  # it knows no more below
    assert Sampling("epsilon").schedule(1.0, 3) == [999, 666, 333]


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_predictions_agree_with_diffusers(prediction):
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(prediction_type=prediction, clip_sample=False)
    scheduler.set_timesteps(1000)
    torch.manual_seed(0)
    noisy, output = torch.randn(2, 1, 4, 8, 8)
    ours, _ = clean_and_noise(noisy, output, scheduler.alphas_cumprod[[400]], prediction)
    theirs = scheduler.step(output, 400, noisy).pred_original_sample
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_controlnet_and_words_and_adapters_take_part(folder, sd_folder, system, received):
    import miniature

    from semcom.networks.pseudo_words import PseudoWordReader

    plain = system.decode(received).image
    miniature.add_controlnet(folder)
    controlled = SemanticSystem(folder)
    assert controlled.receiver.generator.controlnet is not None
    assert not torch.equal(controlled.decode(received).image, plain)
    torch.manual_seed(2)
    write_part(
        folder, "word_reader", {"width": miniature.WIDTH}, PseudoWordReader(miniature.WIDTH).state_dict(), {}
    )
    spoken = SemanticSystem(folder)
    assert not torch.equal(spoken.decode(received).image, controlled.decode(received).image)
    miniature.save_lora(folder / "lora" / "one", 1)
    miniature.save_lora(folder / "lora" / "two", 2)
    setting = f"[{{path: {folder}/lora/one, weight: 0.7}}, {{path: {folder}/lora/two}}]"
    pictures = {}
    for merged in ("false", "true"):
        tuned = SemanticSystem(folder, set={"lora": setting, "merge_lora": merged})
        pictures[merged] = tuned.decode(received).image
        assert not torch.equal(pictures[merged], spoken.decode(received).image)
        unet = tuned.receiver.generator.unet
        assert bool(getattr(unet, "peft_config", None)) is (merged == "false")
    torch.testing.assert_close(pictures["true"], pictures["false"], atol=2e-3, rtol=0)
    without = SemanticSystem(folder, set={"lora": setting}, adapters=False).decode(received).image
    assert torch.equal(without, spoken.decode(received).image)


@pytest.mark.slow
def test_adapters_unload_one_by_one(folder):
    import miniature

    miniature.save_lora(folder / "a", 1)
    unet = SemanticSystem(
        folder, set={"lora": f"[{{path: {folder}/a}}]"}, quantization="nf4"
    ).receiver.generator.unet
    assert list(unet.peft_config) == ["a"]
    unet.delete_adapters("a")
    assert not any("lora_A" in name for name, _ in unet.named_parameters())


def test_an_adapter_of_another_network_is_refused(folder, received):
    from safetensors.torch import save_file

    save_file({"strange.lora_A.weight": torch.zeros(2, 8)}, folder / "bad.safetensors")
    system = SemanticSystem(folder, set={"lora": f"[{{path: {folder}/bad.safetensors}}]"})
    with pytest.raises(ValueError, match=r"lora .*bad"):
        system.decode(received)


def test_mismatches_name_both_numbers(folder):
    import miniature

    miniature.vae(latent_channels=8).save_pretrained(folder / "wide")
    miniature.text_encoder(width=32).save_pretrained(folder / "narrow")
    for settings, words in (
        ({"models.vae": folder / "wide"}, ("latent channels", "8", "4")),
        ({"models.text_encoder": folder / "narrow"}, ("cross-attention width", "64", "32")),
        ({"prediction": "v_prediction"}, ("prediction type", "v_prediction", "epsilon")),
        ({"models.text_encoder": "null"}, ("no text_encoder", "--set models.text_encoder")),
    ):
        with pytest.raises(ValueError) as error:
            SemanticSystem(folder, set=settings)
        assert all(word in str(error.value) for word in words), error.value


def test_a_controlnet_of_another_unet_is_refused(folder):
    import miniature

    miniature.add_controlnet(folder, conditioning_channels=7)
    with pytest.raises(ValueError, match="conditioning channels: the controlnet has 7, given are 3 or 4"):
        SemanticSystem(folder)


def test_weights_that_are_incomplete_or_pickled_are_refused(folder, received):
    from safetensors.torch import save_file

    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    state.pop("conv_in.weight")
    save_file(state, path)
    with pytest.raises(ValueError, match=r"unet: .*conv_in"):
        SemanticSystem(folder).decode(received)
    path.rename(path.with_suffix(".bin"))
    with pytest.raises(ValueError, match="pickle"):
        SemanticSystem(folder)


def test_a_wrong_setting_is_one_sentence(folder):
    for setting, words in (("nonsense=1", "no such field"), ("models", "NAME=VALUE"), ("steps=0", "steps")):
        with pytest.raises(ProfileError, match=words):
            SemanticSystem(folder, set=[setting])
    with pytest.raises(ProfileError, match="no published models"):
        SemanticSystem("tiny", set=["steps=2"])


def test_digest_follows_weights_and_settings(folder):
    first = Profile.open(folder).digest
    assert Profile.open(folder).digest == first
    assert Profile.open(folder, ["steps=2"]).digest != first
    path = folder / "vae" / "config.json"
    path.write_text(path.read_text() + "\n")
    assert Profile.open(folder).digest != first


def test_nothing_of_it_is_imported_for_tiny():
    import subprocess
    import sys

    code = "import sys; from semcom.profile import Profile; Profile.open('tiny'); "
    code += "import semcom.semantic; print([m for m in sys.modules if 'latent' in m and 'semcom' in m])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
