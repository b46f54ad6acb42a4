"""The command line as a user meets it: real processes, real files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def semcom(*arguments, cwd=None):
    environment = os.environ | {"COLUMNS": "160"}
    command = [sys.executable, "-m", "semcom.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)


@pytest.fixture(scope="module")
def tile(tmp_path_factory, sample_photo):
    path = tmp_path_factory.mktemp("cli") / "tile.png"
    with Image.open(sample_photo) as photo:
        photo.crop((200, 120, 392, 264)).save(path)
    return path


def test_send_writes_pictures_and_report(tile, tmp_path):
    out = tmp_path / "out"
    run = semcom(
        "send", tile, "--snr-db", 25, "--bpp", 0.2, "--seed", 3, "--caption", "Kaffee ☕", "--out", out
    )
    assert run.returncode == 0, run.stderr
    assert "channel uses" in run.stdout
    assert "hci" in run.stdout
    report = json.loads((out / "report.json").read_text())
    with Image.open(out / "reconstruction.png") as picture:
        assert picture.size == (192, 144)
    with Image.open(out / "montage.png") as montage:
        assert montage.width > 3 * 480
    assert report["bits"] == sum(row["bits"] for row in report["streams"])
    assert report["bpp"] == pytest.approx(report["bits"] / (192 * 144))
    assert report["bpp"] <= 0.2
    assert report["lost"] == 0
    assert report["cbr"] == pytest.approx(report["channel_uses"] / (3 * 192 * 144))
    assert {"psnr", "ssim", "commit", "versions", "cores"} <= report.keys()
    assert report["command"]["seed"] == 3
    letters = "".join(report["detail_map"])
    assert len(letters) == 12 * 9
    assert letters.count("R") / len(letters) == pytest.approx(report["received_share"])
    assert "L" not in letters and report["lost_share"] == 0
    assert report["generated_share"] == pytest.approx(1 - report["received_share"])
    assert report["caption"] == "Kaffee ☕"
    assert "caption: Kaffee ☕" in run.stdout
    for row in report["classes"].values():
        assert row["bler"] == row["lost"] / row["packets"]
        assert "bler_interval" not in row  # packets of one fade are no independent trials


def missing(folder: Path) -> Path:
    return folder / "nowhere.png"


def text(folder: Path) -> Path:
    path = folder / "notes.png"
    path.write_text("not a picture at all\n" * 20)
    return path


def empty(folder: Path) -> Path:
    path = folder / "empty.jpg"
    path.touch()
    return path


def truncated(folder: Path) -> Path:
    path = folder / "half.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:9000])
    return path


def bomb(folder: Path) -> Path:
    """A PNG that announces 60000×60000 pixels in a few hundred bytes."""
    path = folder / "bomb.png"
    Image.new("L", (64, 64)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("make", [missing, text, empty, truncated, bomb])
def test_a_bad_file_is_one_line_and_exit_code_2(make, tmp_path):
    path, out = make(tmp_path), tmp_path / "out"
    run = semcom("send", path, "--out", out)
    assert run.returncode == 2
    assert run.stdout == ""
    lines = run.stderr.strip().splitlines()
    assert len(lines) == 1, run.stderr
    assert path.name in lines[0]
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--channel", "tdl-z"), "tdl-z"),
        (("--speed-kmh", "5000"), "speed_kmh"),
        (("--snr-db", "nan"), "snr_db"),
        (("--bpp", "0.0001"), "smallest"),
        (("--bpp", "nan"), "bpp"),
        (("--cbr", "-1"), "cbr"),
        (("--profile", "nothing"), "nothing"),
        (("--caption", "a" * 10_000), "500 are the limit"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(arguments, named, tile, tmp_path):
    out = tmp_path / "out"
    run = semcom("send", tile, *arguments, "--out", out)
    assert run.returncode == 2
    lines = run.stderr.strip().splitlines()
    assert len(lines) == 1, run.stderr
    assert named in lines[0]
    assert not out.exists()


@pytest.mark.parametrize("module", ["semcom", "semcom.cli.main", "channels"])
def test_imports_stay_light(module):
    """Help and `import semcom` are quick because nothing heavy is loaded: named, not timed."""
    code = f"import sys, {module}; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "sionna", "numpy", "PIL", "numba", "diffusers", "transformers", "pydantic"} & set(
        loaded
    )


def test_help_lists_the_commands():
    run = semcom("--help")
    assert run.returncode == 0
    for command in ("send", "train"):
        assert command in run.stdout


def test_channels_are_listed_and_described(tmp_path):
    listed = semcom("channels", "list")
    assert {"awgn", "tdl-a", "cdl-c", "uma"} <= {line.split()[0] for line in listed.stdout.splitlines()}
    spec = tmp_path / "link.yaml"
    spec.write_text("channel: {model: tdl-c, delay_spread_ns: 300, carrier_frequency_hz: 7.0e9}\n")
    described = semcom("channels", "describe", spec)
    assert described.returncode == 0, described.stderr
    for words in ("tdl-c", "300 ns", "7 GHz"):
        assert words in described.stdout


def test_a_bad_spec_file_is_one_line(tmp_path):
    spec = tmp_path / "link.yaml"
    spec.write_text("channel: {model: tdl-c, delay_spread_nss: 300}\n")
    run = semcom("channels", "describe", spec)
    assert run.returncode == 2
    assert "delay_spread_nss" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
