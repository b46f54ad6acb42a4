"""Parts from outside the package: by entry points of an installed package, and by modules beside a scenario.

The package is `site/` with its metadata, on the path as `pip install` leaves it; its parts are the examples'.
"""

import ast
import configparser
import inspect
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


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("my_*.py")), ids=lambda path: path.stem)
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


@pytest.mark.slow
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


def _table(run, folder):
    """Rows of a run by column."""
    semcom("sweep", "export", run, "--out", folder / "results.csv")
    head, *rows = (line.split(",") for line in (folder / "results.csv").read_text().splitlines())
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_a_whole_system_in_send_a_sweep_and_a_report(tile, tmp_path):
    semcom("send", tile, "--system", "mean-colour", "--channel", "awgn", "--bpp", 0.1, "--out", tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert [(row["name"], row["class"]) for row in report["streams"]] == [("colour", "critical")]
    scenario = tmp_path / "system.yaml"
    scenario.write_text(
        f"""
name: system
images: ["{tile}"]
systems: {{mean-colour: {{}}}}
link: {{kind: abstraction, channel: {{model: awgn}}}}
budget: {{bpp: 0.1}}
grid: {{snr_db: [20]}}
metrics: [psnr]
"""
    )
    semcom("sweep", "run", scenario, "--out", tmp_path / "run", "--executor", "serial")
    (row,) = _table(tmp_path / "run", tmp_path)
    assert (row["system"], float(row["lost"])) == ("mean-colour", 0)
    assert 5 < float(row["psnr"]) < 30
    semcom("report", tmp_path / "run", "--out", tmp_path / "report")
    (page,) = (tmp_path / "report").glob("*.html")
    assert "mean-colour" in page.read_text()


@pytest.mark.slow
def test_a_stream_in_a_sweep(tile, tmp_path):
    scenario = tmp_path / "stream.yaml"
    scenario.write_text(
        f"""
name: stream
images: ["{tile}"]
systems: {{semantic: {{}}}}
link: {{kind: perfect}}
budget: {{bpp: 0.5}}
grid: {{snr_db: [0]}}
metrics: [psnr]
"""
    )
    semcom("sweep", "run", scenario, "--out", tmp_path / "run", "--executor", "serial")
    (row,) = _table(tmp_path / "run", tmp_path)
    assert float(row["bpp_stamp"]) >= 8 * 8 / (128 * 96)
    assert float(row["bpp"]) <= 0.5


def test_a_training_stage(tmp_path):
    semcom("train", "own-stage", "--profile", tmp_path / "mine", "--minutes", 0.5, "--runs", tmp_path)
    assert (tmp_path / "mine" / "own.txt").read_text() == "0.5 minutes"
    assert "own-stage" in semcom("train", "--help")


def test_every_part_is_one_file_and_none_of_semcom_is_edited():
    registered = configparser.ConfigParser()
    (points,) = SITE.glob("*.dist-info/entry_points.txt")
    registered.read(points)
    places = [place.partition(":")[0] for group in registered.values() for place in group.values()]
    kinds = {"systems", "codecs", "links", "channel_models", "metrics", "streams", "executors", "stages"}
    assert {group.removeprefix("semcom.") for group in registered.sections()} == kinds
    assert len(set(places)) == len(places) == len(kinds)
    for module in places:
        (file,) = [
            folder / f"{module}.py" for folder in (SITE, EXAMPLES) if (folder / f"{module}.py").exists()
        ]
        nodes = list(ast.walk(ast.parse(file.read_text())))
        imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        imported |= {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
        assert imported.isdisjoint(places)


def test_an_option_of_send_is_a_field(monkeypatch):
    """A field alone makes the option with its range and text, the axis of a scenario, and the keyword."""
    from pydantic import Field, ValidationError

    from semcom import options, systems
    from semcom.cli.send import SendCommand

    class More(options.SemanticOptions):
        sharpness: int = Field(default=3, ge=0, le=9, description="Of edges.")

    monkeypatch.setattr(options, "SemanticOptions", More)
    parameter = inspect.signature(SendCommand.build()).parameters["sharpness"]
    assert parameter.default == 3
    assert "Of edges." in str(parameter.annotation.__metadata__[0].help)
    assert "sharpness" in systems.options_model("semantic").model_fields
    with pytest.raises(ValidationError, match="less than or equal to 9"):
        More(sharpness=10)


def test_send_has_an_option_for_every_field_of_the_semantic_system():
    from semcom.cli.send import SendCommand
    from semcom.options import SemanticOptions

    assert set(inspect.signature(SendCommand.build()).parameters) >= set(SemanticOptions.model_fields)
