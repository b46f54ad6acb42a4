"""Parts from outside the package: by entry points of an installed package, and by modules beside a scenario.

The package is `site/` with its metadata, on the path as `pip install` leaves it; its parts are the examples'.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES, SITE = ROOT / "examples", Path(__file__).parent / "site"


def semcom(*arguments, installed=True, **environment):
    path = [str(ROOT), *([str(SITE), str(EXAMPLES)] if installed else [])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path), "COLUMNS": "200"} | environment
    command = [sys.executable, "-m", "semcom", *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def tile(tmp_path_factory, sample_photo):
    path = tmp_path_factory.mktemp("plugins") / "tile.png"
    with Image.open(sample_photo) as photo:
        photo.crop((200, 120, 328, 216)).save(path)
    return path


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_short(example):
    lines = example.read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.strip().startswith(("#", '"""'))]
    assert len(code) <= 25


def test_parts_beside_a_scenario(tile, tmp_path):
    out = tmp_path / "run"
    command = ("sweep", "run", EXAMPLES / "my_scenario.yaml", "--allow-imports", "--executor", "serial")
    semcom(*command, "--images", tile, "--out", out, installed=False)
    table = tmp_path / "results.csv"
    semcom("sweep", "export", out, "--out", table, installed=False)
    head, *rows = table.read_text().splitlines()
    assert "my_metric:METRIC" in head
    assert len(rows) == 4


def test_send_with_a_codec_a_channel_model_and_a_system_from_outside(tile, tmp_path):
    command = ("send", tile, "--system", "my-webp", "--channel", "two-paths", "--bpp", 0.5, "--snr-db", 25)
    semcom(*command, "--out", tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["command"]["system"] == "my-webp"
    assert report["command"]["link"]["channel"]["model"] == "two-paths"
    assert report["bits"] > 0
    assert "two-paths" in semcom("channels", "list")
    assert "300 ns apart" in semcom("channels", "describe", "two-paths")


def test_a_stream_from_outside_crosses_with_the_semantic_system(tile, tmp_path):
    semcom("send", tile, "--bpp", 0.5, "--channel", "awgn", "--snr-db", 25, "--out", tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    (row,) = [row for row in report["streams"] if row["name"] == "stamp"]
    assert (row["class"], row["packets"], row["lost"]) == ("detail", 1, 0)
    assert any(note.startswith("stamp 0.") for note in report["notes"])


def test_a_sweep_and_its_report_with_every_kind_of_part(tile, tmp_path):
    scenario = tmp_path / "own.yaml"
    scenario.write_text(
        f"""
name: own
images: ["{tile}"]
systems: {{my-webp: {{}}}}
link: {{channel: {{model: two-paths}}}}
budget: {{bpp: 0.5}}
grid: {{snr_db: [25]}}
metrics: [psnr, my_sharpness]
"""
    )
    ran = tmp_path / "ran"
    command = ("sweep", "run", scenario, "--out", tmp_path / "run", "--executor", "here")
    semcom(*command, OWN_EXECUTOR_RAN=str(ran))
    assert ran.exists()
    semcom("report", tmp_path / "run", "--out", tmp_path / "report")
    (page,) = (tmp_path / "report").glob("*.html")
    assert "sharpness (%)" in page.read_text()
    assert "my-webp" in page.read_text()


def test_a_link_from_outside(tile, tmp_path):
    scenario = tmp_path / "link.yaml"
    scenario.write_text(
        f"""
name: link
images: ["{tile}"]
systems: {{jpeg: {{}}}}
link: {{kind: erasures, loss: 0.0}}
budget: {{bpp: 1.0}}
grid: {{snr_db: [0]}}
metrics: [psnr]
"""
    )
    semcom("sweep", "run", scenario, "--out", tmp_path / "run", "--executor", "serial")
    table = tmp_path / "results.csv"
    semcom("sweep", "export", tmp_path / "run", "--out", table)
    head, row = (line.split(",") for line in table.read_text().splitlines())
    assert float(dict(zip(head, row, strict=True))["lost"]) == 0
