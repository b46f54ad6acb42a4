"""Profiles of strangers: whole and sane, or one `ProfileError` that names the file."""

import json
import os
import random
import shutil
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from semcom.profile import Profile, ProfileError

SHIPPED = Path(str(files("semcom"))) / "profiles" / "tiny"
TABLES = ("key_tables", "key_shares", "enhancer_ranges", "vocabulary")


@pytest.fixture
def folder(tmp_path):
    """The shipped profile's tables."""
    target = tmp_path / "bad"
    target.mkdir()
    manifest = json.loads((SHIPPED / "profile.json").read_text())
    manifest["parts"] = {part: manifest["parts"][part] for part in TABLES}
    (target / "profile.json").write_text(json.dumps(manifest))
    for part in TABLES:
        shutil.copy(SHIPPED / f"{part}.safetensors", target)
    return target


def edit(folder, change):
    path = folder / "profile.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def change(folder, part, values):
    """Other tensors under a renewed hash."""
    file = folder / f"{part}.safetensors"
    tensors = load_file(file)
    tensors |= {name: value(tensors[name]).contiguous() for name, value in values.items()}
    save_file(tensors, file)
    digest = sha256(file.read_bytes()).hexdigest()
    edit(folder, lambda manifest: manifest["parts"][part].update(sha256=digest))


def refused(folder):
    with pytest.raises(ProfileError) as caught:
        Profile.open(folder)
    message = str(caught.value)
    assert "bad" in message
    assert "\n" not in message
    assert len(message) < 1000
    return message


def test_the_shipped_tables_are_sane(folder):
    assert "vocabulary" in Profile.open(folder)


@pytest.mark.parametrize(
    ("part", "name", "value", "reason"),
    [
        ("key_tables", "symbols", torch.zeros_like, "sum to 4096"),
        ("key_tables", "symbols", lambda t: t // 2, "sum to 4096"),
        ("key_tables", "symbols", lambda t: -t, "sum to 4096"),
        ("key_tables", "symbols", lambda t: t[0], "3 dimensions"),
        ("key_tables", "sets", lambda t: t.float(), "integers"),
        ("key_shares", "share", lambda t: t + 2, "0 to 1"),
        ("key_shares", "bpp", lambda t: t.flip(0), "rise"),
        ("enhancer_ranges", "dense", torch.zeros_like, "pairs"),
        ("enhancer_ranges", "outer", lambda t: t * float("nan"), "not finite"),
        ("enhancer_ranges", "outer", lambda t: t.sign() * 60_000, "beyond"),
        ("vocabulary", "ones", torch.zeros_like, "positive count"),
        ("vocabulary", "ones", lambda t: -t, "positive count"),
        ("vocabulary", "ones", lambda t: t[:100], "do not exist"),
        ("vocabulary", "twos", lambda t: t - 1, "twos"),
        ("vocabulary", "definition", lambda t: t | 0x80, "not text"),
    ],
)
def test_tables_that_would_hang_or_lie_are_refused(folder, part, name, value, reason):
    change(folder, part, {name: value})
    assert reason in refused(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "5",
        "[]",
        "[" * 100_000,
        "{",
        '{"version": 1, "parts": 3}',
        "\x00",
        '{"version": 1}',
        "9" * 5000,
    ],
)
def test_manifests_that_are_none(folder, text):
    (folder / "profile.json").write_text(text)
    refused(folder)


@pytest.mark.parametrize(
    "config", [None, [], 5, {"num_blocks": 100_000}, {"widths": [0, 0]}, {"a": {}}, {"n": 1e9}]
)
def test_configurations_that_nobody_can_build(folder, config):
    edit(folder, lambda manifest: manifest["parts"]["key_tables"].update(config=config))
    assert "configuration" in refused(folder)


@pytest.mark.parametrize("file", ["../x.safetensors", "/x.safetensors", "", 5, None, "a/b.safetensors"])
def test_parts_stay_in_the_folder(folder, file):
    edit(folder, lambda manifest: manifest["parts"]["key_tables"].update(file=file))
    assert "inside of the folder" in refused(folder)


@pytest.mark.parametrize("name", ["profile.json", "key_tables.safetensors"])
def test_pipes_and_devices_are_refused(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert "not a regular file" in refused(folder)
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    assert "not a regular file" in refused(folder)


def test_a_folder_does_not_shadow_a_shipped_profile(folder, tmp_path, monkeypatch):
    folder.rename(tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    assert "enhancer" in Profile.open("tiny")
    assert "enhancer" not in Profile.open("./tiny")
    assert "enhancer" not in Profile.open(tmp_path / "tiny")


def test_a_thousand_mutations_are_read_or_refused(folder, limited):
    rng = random.Random(24)
    names = [
        "profile.json",
        "key_tables.safetensors",
        "key_shares.safetensors",
        "enhancer_ranges.safetensors",
    ]
    good = {name: (folder / name).read_bytes() for name in names}
    opened = 0
    for _ in range(1000):
        name = rng.choice(names)
        content = bytearray(good[name])
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(min(len(content), 600))
            content[place : place + rng.choice((0, 1, 1, 4))] = rng.randbytes(rng.choice((0, 1, 1, 4)))
        (folder / name).write_bytes(content)
        if name != "profile.json":  # a stranger renews the hash
            digest = sha256(content).hexdigest()
            edit(
                folder, lambda manifest, d=digest, n=name: manifest["parts"][n.split(".")[0]].update(sha256=d)
            )
        try:
            with limited():
                Profile.open(folder)
            opened += 1
        except ProfileError as error:
            assert "\n" not in str(error)
        for each, content in good.items():
            (folder / each).write_bytes(content)
    assert 0 < opened < 900
