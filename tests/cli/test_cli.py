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
        assert montage.width > 2 * 480
    assert report["bits"] == sum(row["bits"] for row in report["streams"])
    assert report["bpp"] == pytest.approx(report["bits"] / (192 * 144))
    assert report["bpp"] <= 0.2
    assert report["lost"] == 0
    assert report["cbr"] == pytest.approx(report["channel_uses"] / (3 * 192 * 144))
    assert {"psnr", "ssim", "commit", "versions", "cores"} <= report.keys()
    assert report["command"]["seed"] == 3
    assert report["command"]["options"]["caption"] == "Kaffee ☕"
    assert report["command"]["options"]["num_words"] == 16
    assert report["profile"]["name"] == "tiny" and len(report["profile"]["sha256"]) == 64
    assert report["precision"]
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
        (("--speed-kmh", "5000"), "--speed-kmh"),
        (("--snr-db", "nan"), "--snr-db"),
        (("--key-share", "5"), "--key-share"),
        (("--channel", "rayliegh"), "did you mean 'rayleigh'"),
        (("--system", "avfi"), "did you mean 'avif'"),
        (("--system", "avif", "--num-words", "3"), "--num-words"),
        (("--link", "any.yaml", "--speed-kmh", "3"), "--link and --speed-kmh exclude each other"),
        (("--bpp", "0.1", "--cbr", "0.1"), "--bpp and --cbr exclude each other"),
        (("--rate", "low", "--cbr", "0.1"), "--rate and --cbr exclude each other"),
        (("--mcs", "29"), "--mcs"),
        (("--mcs", "critcal=3"), "critcal"),
        (("--mcs", "fast"), "--mcs"),
        (("--seed", "-1"), "--seed"),
        (("--trials", "0"), "--trials"),
        (("--key-class", "unicornzz"), "unicornzz"),
        (("--boxes", "1,2,3"), "--boxes"),
        (("--option", "quality"), "NAME=VALUE"),
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


HEAVY = {"torch", "torchvision", "sionna", "PIL", "numba", "diffusers", "transformers"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--snr-db", "nan"),
        ("--bpp", "-1"),
        ("--key-class", "unicornzz"),
        ("--boxes", "1,2,3"),
        ("--mcs", "x"),
    ],
)
def test_options_are_checked_before_anything_heavy_is_imported(arguments, tile):
    code = (
        "import sys; from semcom.cli.main import app\n"
        "try: app()\n"
        "except SystemExit as end: print(end.code, *sorted(sys.modules))"
    )
    command = [sys.executable, "-c", code, "send", str(tile), *arguments]
    status, *loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert status == "2"
    assert not HEAVY & set(loaded)


def test_a_budget_too_small_is_refused_in_the_unit_asked_for(tile, tmp_path):
    run = semcom("send", tile, "--bpp", "0.001", "--out", tmp_path / "out")
    assert run.returncode == 2
    enough = float(run.stderr.split("try --bpp ")[1])
    assert 0.001 < enough < 0.05


def test_out_that_is_a_file_is_refused_before_work(tile, tmp_path):
    (tmp_path / "file").touch()
    run = semcom("send", tile, "--out", tmp_path / "file")
    assert run.returncode == 2
    assert "give a folder" in run.stderr


@pytest.mark.parametrize("arguments", [("--version",), ("version",)])
def test_version(arguments):
    from semcom import __version__
    from semcom.provenance import git_commit

    run, commit = semcom(*arguments), git_commit()
    expected = __version__ if commit is None else f"{__version__} ({commit})"
    assert (run.returncode, run.stdout.strip()) == (0, expected)


def test_python_m_semcom():
    run = subprocess.run(
        [sys.executable, "-m", "semcom", "--help"], capture_output=True, text=True, check=True
    )
    assert "send" in run.stdout


def test_every_option_of_the_semantic_system_is_an_option_of_send():
    from semcom.options import SemanticOptions

    shown = semcom("send", "--help").stdout
    for name in SemanticOptions.model_fields:
        assert "--" + name.replace("_", "-") in shown


@pytest.fixture(scope="module")
def sent(tile, tmp_path_factory):
    """The same photo as AVIF at three SNRs and on the flat channel, at one number of bits."""
    results = {}
    for snr in ("20", "5", "-5"):
        out = tmp_path_factory.mktemp("sent")
        command = (
            "--system",
            "avif",
            "--bpp",
            "0.2",
            "--channel",
            "rayleigh",
            "--snr-db",
            snr,
            "--trials",
            "3",
        )
        run = semcom("send", tile, *command, "--out", out)
        assert run.returncode == 0, run.stderr
        results[float(snr)] = run.stdout, json.loads((out / "report.json").read_text())
    return results


def test_another_snr_is_another_mcs_and_other_channel_uses(sent):
    reports = {snr: report for snr, (_, report) in sent.items()}
    mcs = {snr: report["classes"]["base"]["mcs"] for snr, report in reports.items()}
    assert mcs[20] > mcs[5] >= mcs[-5] == 0
    assert reports[20]["channel_uses"] < reports[5]["channel_uses"]
    assert len({report["bits"] for report in reports.values()}) == 1


def test_the_choice_is_printed_with_its_reason_and_what_was_expected(sent):
    printed, report = sent[20.0]
    assert report["mcs_reason"] in " ".join(printed.split())
    assert report["expected_loss"]["base"] <= 0.05
    assert sent[-5.0][1]["expected_loss"]["base"] > 0.05


def test_the_report_says_all_that_a_repetition_needs(sent, tile):
    from hashlib import sha256

    report = sent[20.0][1]
    assert report["image_sha256"] == sha256(tile.read_bytes()).hexdigest()
    command = report["command"]
    assert command["line"][:2] == ["semcom", "send"] and "--trials" in command["line"]
    assert (command["system"], command["budget"], command["mcs"]) == ("avif", {"bpp": 0.2}, "auto")
    assert command["link"]["channel"]["model"] == "rayleigh"
    assert report["trials"]["trials"] == 3
    assert {"commit", "versions", "machine", "threads"} <= report.keys()


def test_tables_fit_eighty_columns(tile, tmp_path):
    command = [sys.executable, "-m", "semcom", "send", str(tile), "--system", "webp", "--bpp", "0.3"]
    run = subprocess.run(
        [*command, "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "80"},
    )
    tables = [line for line in run.stdout.splitlines() if line and line[0] in "┃│┏└"]
    assert tables
    assert all(len(line) <= 80 for line in tables)
    assert "…" not in "".join(tables)


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


def test_a_channel_model_is_described_by_its_name():
    described = semcom("channels", "describe", "TDL-C")
    assert described.returncode == 0, described.stderr
    assert "tdl-c" in described.stdout
