"""The HTML report: honest axes, numbers under pictures, escaped names, both themes, and 390 px."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import yaml
from PIL import Image

from semcom.sweep import api, report
from semcom.sweep.plots import plot_curves
from semcom.sweep.result import SweepResult

EVIL = "<img src=x onerror=alert(1)>.png"
_METRIC = {"psnr": {"label": "PSNR (dB)", "higher_is_better": True, "range": [None, None], "digits": 2}}


@pytest.fixture(scope="module")
def result(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    folder = tmp_path_factory.mktemp("evil")
    shutil.copy(photos / "photo0.png", folder / EVIL)
    shutil.copy(photos / "photo1.png", folder / "photo1.png")
    scenario: dict[str, Any] = {
        "name": "looks",
        "seed": 7,
        "images": [str(folder)],
        "systems": {"webp": {}, "jpeg": {}},
        "link": {"channel": {"model": "rayleigh"}},
        "budget": {"bpp": 4.0},
        "grid": {"snr_db": [0, 10, 20], "link.ofdm.num_subcarriers": [72, 144]},
        "stop": {"trials": 2},
        "metrics": ["psnr", "ssim"],
    }
    path = folder / "looks.yaml"
    path.write_text(yaml.safe_dump(scenario))
    return api.run(path, folder / "run", executor="serial", show_progress=False)


@pytest.fixture(scope="module")
def page(result: SweepResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report.write(result, tmp_path_factory.mktemp("page"))


def test_a_picture_of_a_run_that_is_a_program_is_refused(result: SweepResult, tmp_path: Path) -> None:
    """`report` once started Ghostscript for it (reliability.md 3)."""
    folder = tmp_path / "run"
    shutil.copytree(result.store.folder, folder)
    picture = next((folder / "pictures").glob("original-*.png"))
    picture.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n(x) = showpage\n%%EOF\n")
    with pytest.raises(ValueError, match=rf"{picture.name}: not a picture of a known format"):
        report.write(api.load(folder), tmp_path / "report")


def test_axes_follow_the_curves_and_not_the_bands() -> None:
    """Two pictures make a band of ±65 dB (use.md 9); the axis is that of a curve from 15 to 25 dB."""
    table = pd.DataFrame(
        {"system": ["a"] * 3, "snr_db": [0, 5, 10], "psnr": [15.0, 20.0, 25.0], "psnr_half_width": [65.0] * 3}
    )
    ax = plot_curves(table, "psnr", "snr_db", ["system"], None, _METRIC)
    low, high = ax.get_ylim()
    plt.close(ax.figure)
    assert 12 <= low < 15 and 25 < high <= 28


def test_few_images_are_warned_of(page: Path) -> None:
    assert "data-few-images" in page.read_text(encoding="utf-8")


def test_names_are_escaped(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "<img src=x" not in text and "&lt;img src=x onerror=alert(1)&gt;.png" in text


def test_pictures_say_what_they_cost_and_are_worth(page: Path, result: SweepResult) -> None:
    text = page.read_text(encoding="utf-8")
    captions = re.findall(r"<b>([^<]*)</b>: <span>([^<]*)</span>", text)
    assert ("webp, 72 subcarriers" in [name for name, _ in captions]) and len(captions) == 8
    assert all(
        re.fullmatch(
            r"[\d.]+ bpp, PSNR \(dB\) [\d.-]+, SSIM [\d.-]+, (nothing lost|\d+ of \d+ packets lost)", said
        )
        for _, said in captions
    )
    table = result.to_pandas()
    row = table[
        (table["system"] == "webp") & (table["snr_db"] == 20) & (table["image"] == "photo1.png")
    ].iloc[0]
    assert any(said.startswith(f"{row['bpp']:.3f} bpp, PSNR (dB) {row['psnr']:.2f}") for _, said in captions)


def test_table_shows_eight_columns_with_intervals_in_the_cell(page: Path, result: SweepResult) -> None:
    text = page.read_text(encoding="utf-8")
    head = re.search(r'<table id="results".*?</thead>', text, re.DOTALL)
    assert head is not None
    assert head[0].count("<th><button>") == 8 and head[0].count('<th class="more">') > 3
    row = result.summary().iloc[0]
    assert f"{row['psnr']:.2f} ± {row['psnr_half_width']:.2f}" in text


def test_differences_are_paired(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "webp minus each other system" in text or "jpeg minus each other system" in text
    assert text.count('<td class="left">PSNR (dB)') == 6


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
def test_looks(page: Path, tmp_path: Path, width: int, dark: bool) -> None:
    """Screenshots in out/report, to be looked at; here that they aren't empty."""
    shots = Path("out/report").absolute()
    shots.mkdir(parents=True, exist_ok=True)
    shot = shots / f"{width}{'_dark' * dark}.png"
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --hide-scrollbars"
    )
    command = ["chromium", *flags.split(), f"--user-data-dir={tmp_path / 'profile'}"]
    command += [f"--window-size={width},3000", f"--screenshot={shot}"]
    command += ["--blink-settings=preferredColorScheme=0"] if dark else []
    subprocess.run([*command, page.as_uri()], check=True, capture_output=True, timeout=300)
    with Image.open(shot) as picture:
        corner = picture.convert("L").getpixel((3, 3))
        assert isinstance(corner, int) and (corner < 60) == dark
