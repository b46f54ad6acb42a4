"""What commands print for people: tables of 80 columns, comparisons, progress, scenario files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from semcom.cli.main import app
from semcom.cli.results import WIDTH, bench_table, layout, sweep_table
from semcom.intervals import paired_difference
from semcom.sweep import api
from semcom.sweep.compare import compare
from semcom.sweep.progress import Lines
from semcom.sweep.result import SweepResult


@pytest.fixture(scope="module")
def two_systems(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    scenario = {
        "name": "two",
        "seed": 7,
        "images": [str(photos)],
        "systems": {"webp": {}, "jpeg": {}},
        "link": {
            "channel": {"model": "awgn"},
            "ofdm": {"csi": "perfect"},
            "classes": {"critical": {"mcs": 1}, "base": {"mcs": 4}, "detail": {"mcs": 9}},
        },
        "budget": {"bpp": 4.0},
        "grid": {"snr_db": [5, 20], "link.ofdm.num_subcarriers": [72, 144]},
        "metrics": ["psnr", "ssim"],
    }
    out = tmp_path_factory.mktemp("two") / "run"
    return api.run(scenario, out, executor="serial", show_progress=False)


def _run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_table_of_a_run_fits_and_says_what_the_summary_does(two_systems: SweepResult) -> None:
    text = sweep_table(two_systems)
    lines = text.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines[0].split()[:3] == ["system", "subcarriers", "SNR/dB"] and "MCS" in lines[0]
    first = two_systems.summary().iloc[0]
    assert lines[1].startswith(first["system"]) and "1/4/9" in lines[1]
    assert f"{first['psnr']:.2f} ± {first['psnr_half_width']:.2f}" in lines[1]
    assert "4 images" in text


def test_wide_tables_leave_columns_out_and_say_so() -> None:
    heads = ["system", *(f"metric{i}" for i in range(12))]
    text = layout(heads, [["x" * 70, *(["0.123 ± 0.456"] * 12)]], optional=11)
    assert max(map(len, text.splitlines())) <= WIDTH and "not shown: " in text and "metric11" in text
    assert "… and 60 more rows" in layout(["a"], [["1"]] * 100)
    assert "\x1b" not in layout(["a"], [["\x1b[31mred"]])


def test_bench_table_has_best_rows_only() -> None:
    row = {"system": "a", "snr_db": 5.0, "budget": 0.02, "mcs": {"base": 4}, "mcs_choice": "envelope"}
    row |= {"bler": 0.25, "psnr": 20.0, "psnr_half_width": None}
    rows = [row | {"best_for": ["psnr"]}, row | {"system": "b", "best_for": []}]
    text = bench_table({"budget_unit": "cbr", "metrics": {"psnr": "higher"}, "results": rows})
    assert text.splitlines()[1].split() == ["a", "5", "0.02", "4", "0.250", "20.000"]
    assert len(text.splitlines()) == 2


def test_two_systems_are_compared_picture_by_picture(two_systems: SweepResult) -> None:
    found = compare(two_systems, two_systems, ("webp", "jpeg"))
    table = two_systems.to_pandas()
    assert len(found) == 8  # two SNRs, two bandwidths, two metrics
    for item in found:
        rows = table
        for axis, value in item.axes.items():
            rows = rows[rows[axis] == value]
        ours, theirs = (
            rows[rows["system"] == name].sort_values("image")[item.metric].tolist()
            for name in ("webp", "jpeg")
        )
        expected = paired_difference(ours, theirs)
        assert item.images == 4 and item.difference.mean == pytest.approx(expected.mean)
        assert item.difference.half_width == pytest.approx(expected.half_width)


def test_a_run_against_itself_differs_in_nothing(two_systems: SweepResult) -> None:
    found = compare(two_systems, two_systems)
    assert found and all(item.difference.mean == 0 and item.better is None for item in found)


def test_better_follows_the_direction_of_the_metric(two_systems: SweepResult) -> None:
    forth = compare(two_systems, two_systems, ("webp", "jpeg"))
    back = compare(two_systems, two_systems, ("jpeg", "webp"))
    turned = {"first": "second", "second": "first", None: None}
    assert [turned[item.better] for item in forth] == [item.better for item in back]
    assert any(item.better for item in forth)
    for item in forth:
        if item.better:  # both metrics point up
            assert (item.better == "first") == (item.first > item.second)


def test_compare_command(two_systems: SweepResult) -> None:
    folder = two_systems.store.folder
    done = _run("compare", folder, folder, "--systems", "webp,jpeg")
    assert done.exit_code == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= WIDTH and "more than chance" in done.stdout
    rows = json.loads(_run("compare", folder, folder, "--systems", "webp,jpeg", "--json").stdout)
    assert {"metric", "difference", "half_width", "images", "better"} <= rows[0].keys()
    for wrong, sentence in (("webp", "two names"), ("webp,nosuch", "no system 'nosuch'")):
        refused = _run("compare", folder, folder, "--systems", wrong)
        assert refused.exit_code == 2 and sentence in refused.stderr and len(refused.stderr.splitlines()) == 1


def test_runs_with_other_axes_are_refused(
    two_systems: SweepResult, toy: Callable[..., Any], tmp_path: Path
) -> None:
    other = api.run(
        toy(metrics=["psnr"], grid={"snr_db": [5, 20]}),
        tmp_path / "other",
        executor="serial",
        show_progress=False,
        allow_imports=True,
    )
    with pytest.raises(ValueError, match=r"varies link\.ofdm\.num_subcarriers, which the other does not"):
        compare(two_systems, other, ("webp", "toy"))
    with pytest.raises(ValueError, match=r"in common|varies"):
        compare(other, two_systems)


def test_log_files_get_lines_with_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = iter(range(0, 10_000, 60))
    lines = Lines("run", 100, lambda: float(next(seconds)))
    for _ in range(100):
        lines.advance(1)
    out, err = capsys.readouterr()
    said = err.splitlines()
    assert out == "" and len(said) == 21
    assert said[0] == "run: 0 of 100 points" and said[-1] == "run: 100 of 100 points"
    assert said[1] == "run: 5 of 100 points, about 19 min left"


def test_json_of_status_and_channels(two_systems: SweepResult) -> None:
    state = json.loads(_run("sweep", "status", two_systems.store.folder, "--json").stdout)
    assert state["finished"] == 32 and state["failures"] == {}
    assert json.loads(_run("channels", "list", "--json").stdout)["tdl-a"]["reads"]
    assert json.loads(_run("channels", "describe", "tdl-c", "--json").stdout)["channel"]["model"] == "tdl-c"


def test_new_scenario_passes_its_check(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    assert _run("scenario", "new", file).exit_code == 0
    counts = json.loads(_run("scenario", "check", file, "--json").stdout)
    assert counts["points"] == 16 and counts["name"] == "mine"
    assert _run("scenario", "new", file).exit_code == 2  # nothing is overwritten
    file.write_text(file.read_text().replace("trials", "trails"))
    wrong = _run("scenario", "check", file)
    assert wrong.exit_code == 2 and "mine.yaml:" in wrong.stderr and "'trials'" in wrong.stderr


def test_ready_made_scenarios_are_listed_with_what_they_are() -> None:
    listed = json.loads(_run("scenario", "list", "--json").stdout)
    assert "quick" in listed and all(listed.values())
    assert "AVIF" in _run("scenario", "list").stdout
