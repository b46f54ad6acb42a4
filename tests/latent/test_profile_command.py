"""`semcom profile`: one screen of truth, without a network."""

from __future__ import annotations

import shutil

import pytest
from typer.testing import CliRunner

from semcom.cli.main import app
from semcom.latent import sources
from semcom.latent.spec import Source, read
from semcom.profile import folder_of


@pytest.fixture(autouse=True)
def empty_caches(tmp_path, monkeypatch):
    import huggingface_hub.constants as hub

    monkeypatch.setenv("SEMCOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))


def run(*words):
    return CliRunner().invoke(app, ["profile", *map(str, words)])


@pytest.mark.parametrize("name", ["sd-turbo", "sd21"])
def test_check_says_in_one_screen_what_is_absent(name):
    result = run("check", name)
    lines = result.output.splitlines()
    assert result.exit_code == 3 and len(lines) <= 24
    for component in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        assert any(line.startswith(component) and "MISSING" in line for line in lines)
    assert f"semcom profile download {name}" in result.output and "sam_vit_b_01ec64.pth" in result.output


def test_list_and_show_name_what_there_is():
    listed = run("list")
    assert listed.exit_code == 0
    assert "tiny         ready" in listed.output and "sd-turbo     needs unet" in listed.output
    assert "b261bac6fd2cf515557d5d0707481eafa0485ec2" in run("show", "sd-turbo").output
    assert "enhancer" in run("show", "tiny").output


def test_offline_is_respected():
    result = run("download", "sd-turbo")
    assert result.exit_code == 2 and "HF_HUB_OFFLINE forbids" in result.output


def test_using_it_before_it_is_there_says_how_to_get_it(sample_photo, tmp_path):
    words = ["send", str(sample_photo), "--profile", "sd-turbo", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2 and "semcom profile download sd-turbo" in result.output


def test_export_is_complete_and_checked(sd_folder, tmp_path):
    assert run("export", sd_folder, tmp_path / "mine").exit_code == 0
    here = run("check", tmp_path / "mine")
    assert here.exit_code == 0 and here.output.count("checksums right") == 5
    config = tmp_path / "mine" / "vae" / "config.json"
    config.write_text(config.read_text() + " ")
    damaged = run("check", tmp_path / "mine")
    assert damaged.exit_code == 3 and "DAMAGED config.json" in damaged.output


def test_a_component_in_the_hubs_cache_is_found_at_its_revision(sd_folder, tmp_path):
    commit = "a" * 40
    snapshot = tmp_path / "hub" / "models--some--model" / "snapshots" / commit
    shutil.copytree(sd_folder / "unet", snapshot / "unet")
    source = Source(hub="some/model", revision=commit, subfolder="unet")
    found = sources.locate("any", "unet", source)
    assert isinstance(found, sources.Found) and "config.json" in found.files
    other = sources.locate("any", "unet", source.model_copy(update={"revision": "b" * 40}))
    assert isinstance(other, sources.Absent)
    unpinned = sources.locate("any", "unet", source.model_copy(update={"revision": None}))
    assert isinstance(unpinned, sources.Absent) and "no revision pinned" in unpinned.reason


def test_download_pins_what_came(sd_folder, tmp_path, monkeypatch):
    """The hub's own function is stood in for; what semcom makes of it is tested."""
    import huggingface_hub

    commit, asked = "c" * 40, []
    snapshot = tmp_path / "hub" / "models--sd2-community--stable-diffusion-2-1" / "snapshots" / commit
    shutil.copytree(sd_folder, snapshot)
    real = huggingface_hub.snapshot_download

    def stand_in(repository, revision=None, allow_patterns=None, local_files_only=False):
        if local_files_only:
            return real(repository, revision=revision, local_files_only=True)
        asked.extend(allow_patterns)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", stand_in)
    import huggingface_hub.constants as hub

    from semcom.latent.download import download

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    spec = read(folder_of("sd21"), ["models.captioner=null"])
    download("sd21", spec, lambda text: None)
    lock = sources.locked("sd21")
    assert {entry["revision"] for entry in lock.values()} == {commit} and len(lock) == 5
    assert not any(pattern.endswith((".bin", ".ckpt", "*.safetensors")) for pattern in asked)
    assert isinstance(sources.locate("sd21", "unet", spec.models["unet"]), sources.Found)
    (snapshot / "vae" / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"vae: config\.json is not the file"):
        download("sd21", spec, lambda text: None)


def test_no_stage_trains_the_base_in_a_published_models_name(sd_folder):
    result = CliRunner().invoke(app, ["train", "decoder", "--profile", str(sd_folder)])
    assert result.exit_code == 2 and "not published models" in result.output
    assert not (sd_folder / "profile.json").exists()
