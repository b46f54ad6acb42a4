"""Scenario files: what is accepted, and what an error tells the user."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from semcom.sweep import api, scenario
from semcom.sweep.plan import Plan
from semcom.sweep.problems import ScenarioError

GOOD = """\
name: t
images: [sample:*]
systems:
  avif: {}
link:
  channel:
    model: tdl-a
    delay_spread_ns: 100
budget:
  bpp: 0.03
grid:
  snr_db: {start: -5, stop: 20, step: 2.5}
  link.channel.speed_kmh: [3, 30]
"""


@pytest.mark.parametrize("path", scenario.ready_made().values(), ids=lambda path: path.stem)
def test_ready_made_scenarios_are_valid_plans(path: Path) -> None:
    checked = scenario.load(path)
    assert checked.name == path.stem
    assert len(Plan(checked)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("path", scenario.ready_made().values(), ids=lambda path: path.stem)
def test_ready_made_scenarios_run(path: Path, tmp_path: Path) -> None:
    """Every axis as written, one trial at one SNR: no point fails, and a picture comes out of each."""
    asked = yaml.safe_load(path.read_text())
    asked["grid"]["snr_db"] = [15.0]
    result = api.run(asked | {"stop": {"trials": 1}}, tmp_path, executor="serial", show_progress=False)
    assert result.failures() == {}
    frame = result.to_pandas()
    assert len(frame) == len(Plan(scenario.load(asked)))
    assert frame["lpips"].between(0.01, 1.2).all()


def test_ready_made_scenarios_match_the_json_schema() -> None:
    validator = jsonschema.Draft202012Validator(scenario.schema())
    for path in scenario.ready_made().values():
        assert list(validator.iter_errors(yaml.safe_load(path.read_text()))) == []
    assert not validator.is_valid({"name": "x"})


@pytest.mark.parametrize(
    ("good", "bad", "line", "expected"),
    [
        (
            "delay_spread_ns: 100",
            "delay_spread_us: 0.1",
            8,
            ["link.channel.delay_spread_us", "delay_spread_ns"],
        ),
        (
            "delay_spread_ns: 100",
            "delay_spread_ns: 100 ns",
            8,
            ["delay_spread_ns", "a plain number in ns", "'100 ns'"],
        ),
        (
            "  channel:\n    model: tdl-a",
            "  speed_kmh: 3\n  channel:\n    model: tdl-a",
            6,
            ["'channel.speed_kmh'"],
        ),
        ("model: tdl-a", "model: tdl-q", 7, ["link.channel.model", "tdl-a", "'tdl-q'"]),
        ("bpp: 0.03", "bpp: low", 10, ["budget.bpp", "bits per pixel", "'low'"]),
        ("bpp: 0.03", "bpp: 0.03\n  cbr: 0.1", 9, ["budget", "exactly one of bpp, cbr and channel_uses"]),
        ("bpp: 0.03", "bpp: 0.03\n  seed: 1", 11, ["budget.seed", "'seed at the top level'"]),
        ("step: 2.5", "stp: 2.5", 12, ["grid.snr_db", "'stp'", "'step'"]),
        ("step: 2.5", "step: -1", 12, ["grid.snr_db", "above 0"]),
        ("{start: -5, stop: 20, step: 2.5}", "[1, high]", 12, ["grid.snr_db", "dB", "'high'"]),
        ("link.channel.speed_kmh", "link.channel.sped_kmh", 13, ["sped_kmh", "'link.channel.speed_kmh'"]),
        ("link.channel.speed_kmh", "speed_kmh", 13, ["'speed_kmh'", "'link.channel.speed_kmh'"]),
        ("[3, 30]", "[3, 3000]", 13, ["speed_kmh", "500", "3000"]),
        ("avif: {}", "avfi: {}", 4, ["'avfi'", "'avif'"]),
        ("avif: {}", "avif: {option: {}}", 4, ["systems.avif.option", "'options'"]),
        ("name: t", "nmae: t", 1, ["'nmae'", "'name'"]),
        ("budget:\n  bpp: 0.03\n", "", 1, ["'budget'", "missing"]),
        ("name: t", "name: t\nname: u", 2, ["'name'", "twice"]),
        ("images: [sample:*]", "images: [sample:*", 3, ["not YAML"]),
        ("images: [sample:*]", "images: [sample:*]\nmetrics: [psrn]", 3, ["'psrn'", "'psnr'"]),
        ("images: [sample:*]", "images: [sample:*]\nstop: {trials: 0}", 3, ["stop.trials", "1", "0"]),
        ("snr_db: {start", "snr: {start", 11, ["'snr_db' is missing", "'snr'"]),
    ],
)
def test_errors_name_file_line_key_and_what_to_write(
    tmp_path: Path, good: str, bad: str, line: int, expected: list[str]
) -> None:
    assert good in GOOD
    path = tmp_path / "bad.yaml"
    path.write_text(GOOD.replace(good, bad))
    with pytest.raises(ScenarioError) as caught:
        scenario.load(path)
    message = str(caught.value)
    assert f"bad.yaml:{line}: " in message
    for part in expected:
        assert part in message


def test_good_scenario_loads_and_survives_its_own_yaml(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(GOOD)
    loaded = scenario.load(first)
    second.write_text(scenario.to_yaml(loaded))
    assert scenario.load(second) == loaded
    assert scenario.load(loaded) == loaded
    assert loaded.grid["snr_db"].values == (-5, -2.5, 0, 2.5, 5, 7.5, 10, 12.5, 15, 17.5, 20)


def test_missing_file_names_the_ready_made_ones() -> None:
    with pytest.raises(ScenarioError, match=r"nowhere\.yaml.*quick"):
        scenario.load("nowhere.yaml")
    assert scenario.load("quick").name == "quick"


def test_axis_values_that_break_a_link_together_are_found_before_any_work(tmp_path: Path) -> None:
    data = yaml.safe_load(GOOD)
    data["grid"]["link.ofdm.num_streams"] = [1, 2]
    with pytest.raises(ScenarioError, match=r"num_streams.*num_tx_antennas"):
        Plan(scenario.load(data))
    data["grid"]["link.channel.num_tx_antennas"] = [2]
    data["grid"]["link.channel.num_rx_antennas"] = [2]
    assert len(Plan(scenario.load(data))) == 11 * 2 * 2 * len(Plan(scenario.load(data)).photos)


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(json.dumps(scenario.schema()))["properties"]["link"]["properties"]["channel"]
