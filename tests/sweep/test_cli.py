"""The commands, with the toy system."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from semcom.cli.sweep import report, sweep_app

app = typer.Typer()
app.add_typer(sweep_app, name="sweep")
app.command()(report)


def _run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def scenario_file(toy: Callable[..., Any], tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(toy(metrics=["psnr"])))
    return path


def test_run_status_export_merge_report(scenario_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = _run("sweep", "run", scenario_file, "--out", out, "--executor", "serial", "--allow-imports")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("system,snr_db,images,trials,") and len(done.stdout.splitlines()) == 5
    assert "16 points simulated, 0 were there, 0 failed" in done.stderr
    again = _run("sweep", "run", scenario_file, "--out", out, "--executor", "serial", "--allow-imports")
    assert "16 were there" in again.stderr
    assert "finished  16" in _run("sweep", "status", out).stdout
    assert _run("sweep", "export", out, "--out", tmp_path / "t.csv").exit_code == 0
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 17
    assert "16 points" in _run("sweep", "merge", out, out, "--out", tmp_path / "merged").stdout
    assert Path(_run("report", out).stdout.strip()).is_file()


def test_errors_are_one_line_with_file_and_line(scenario_file: Path, tmp_path: Path) -> None:
    scenario_file.write_text(scenario_file.read_text().replace("trials:", "trails:"))
    failed = _run("sweep", "run", scenario_file)
    assert failed.exit_code == 2 and len(failed.stderr.splitlines()) == 1
    assert "'trails'" in failed.stderr and "'trials'" in failed.stderr and "toy.yaml:" in failed.stderr
    assert _run("sweep", "status", tmp_path).exit_code == 2
    assert _run("sweep", "export", tmp_path).exit_code == 2


def test_failed_points_are_listed_and_exit_code_one(toy: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(toy(link={"fail_at_db": 5.0})))
    done = _run("sweep", "run", path, "--out", tmp_path / "run", "--executor", "serial", "--allow-imports")
    assert done.exit_code == 1
    assert "failed: toy, photo0.png, 5 dB: link: RuntimeError: cannot do 5.0 dB" in done.stderr


def test_schema_is_printed() -> None:
    assert json.loads(_run("sweep", "schema").stdout)["title"] == "Scenario"
