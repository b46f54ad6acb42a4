"""Profiles: whole or refused, with one error that names the file."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from semcom.profile import Profile, ProfileError, write_part


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "small"
    write_part(
        target, "net", {"in_features": 3, "out_features": 2}, nn.Linear(3, 2).state_dict(), {"stage": "t"}
    )
    write_part(target, "table", {}, {"counts": torch.arange(4, dtype=torch.int16)}, {})
    return target


def edit_manifest(folder: Path, change) -> None:
    path = folder / "profile.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_round_trip(folder):
    profile = Profile.open(folder)
    model = profile.build("net", nn.Linear)
    assert model.weight.dtype == torch.float32
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert profile.tensors("table")["counts"].tolist() == [0, 1, 2, 3]


def truncate(folder):
    path = folder / "net.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def poison(folder):
    state = nn.Linear(3, 2).state_dict()
    state["weight"][0, 0] = float("nan")
    write_part(folder, "net", {"in_features": 3, "out_features": 2}, state, {})


def pickle_instead(folder):
    torch.save({}, folder / "net.pt")
    edit_manifest(folder, lambda m: m["parts"]["net"].update(file="net.pt"))


def foreign(folder):
    save_file({"x": torch.zeros(2)}, folder / "net.safetensors")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, "net.safetensors: SHA-256"),
        (foreign, "net.safetensors: SHA-256"),
        (poison, "net.safetensors: weight holds values that are not finite"),
        (pickle_instead, "net.pt: weights are read from .safetensors only"),
        (lambda f: (f / "net.safetensors").unlink(), "net.safetensors: No such file"),
        (lambda f: (f / "profile.json").write_text("{"), "profile.json: not a profile manifest"),
        (
            lambda f: edit_manifest(f, lambda m: m.update(version=99)),
            "version 99, this program reads version 1",
        ),
        (lambda f: edit_manifest(f, lambda m: m["parts"]["net"].pop("config")), "every part needs"),
        (lambda f: shutil.rmtree(f), "no profile"),
    ],
)
def test_damage_is_one_clear_error(folder, damage, reason):
    damage(folder)
    with pytest.raises(ProfileError, match=reason) as caught:
        Profile.open(folder)
    assert "\n" not in str(caught.value)


def test_weights_of_another_model_are_refused(folder):
    edit_manifest(folder, lambda m: m["parts"]["net"].update(config={"in_features": 5, "out_features": 2}))
    with pytest.raises(ProfileError, match="part net does not fit its model"):
        Profile.open(folder).build("net", nn.Linear)


def test_a_missing_part_is_named(folder):
    with pytest.raises(ProfileError, match="no part 'decoder'; it has net, table"):
        Profile.open(folder).build("decoder", nn.Linear)
