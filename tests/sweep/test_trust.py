"""The engine trusts no system: what breaks a rule is named, ends one task, and changes no other numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from semcom.sweep import api

Toy = Callable[..., dict[str, Any]]
GOOD = {"system": "sweep_toys:ToySystem"}


def _run(toy: Toy, out: Path, fault: str, **keys: Any) -> Any:
    systems = {"bad": {"system": "sweep_toys:Misbehaving", "options": {"fault": fault}}, "good": GOOD}
    keys = {"grid": {"snr_db": [30]}, "stop": {"trials": 1}, "pictures": 0} | keys
    return api.run(toy(systems=systems, **keys), out, allow_imports=True, **{"executor": "serial"})


@pytest.mark.parametrize(
    ("fault", "stage", "reason"),
    [
        ("beyond the budget", "encode", "takes 5023 bytes of a budget of 512"),
        ("two streams of one name", "encode", "two streams 'image'"),
        ("an empty chunk", "encode", "stream 'image' has a chunk that is empty"),
        ("a message of another size", "encode", "32x64 pixels, not 64x64"),
        ("no message", "encode", "a dict instead of a Message"),
        ("one pixel", "decode", r"the shape \[3, 1, 1\], not \[3, 64, 64\]"),
        ("0 to 255", "decode", "not in"),
        ("uint8", "decode", "torch.uint8"),
        ("not finite", "decode", "not finite"),
        ("SystemExit in encode", "encode", "SystemExit"),
        ("SystemExit in decode", "decode", "SystemExit"),
        ("KeyboardInterrupt in decode", "decode", "KeyboardInterrupt"),
    ],
)
def test_a_system_that_breaks_a_rule_fails_alone(
    toy: Toy, tmp_path: Path, fault: str, stage: str, reason: str
) -> None:
    result = _run(toy, tmp_path / "run", fault)
    failures = result.failures().values()
    assert {(f["point"]["system"], f["stage"]) for f in failures} == {("bad", stage)}
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError({f["reason"] for f in failures})
    assert len(failures) == 4 and len(result.to_pandas()) == 4


def test_a_system_that_hangs_is_ended(toy: Toy, tmp_path: Path) -> None:
    photo = str(Path(toy()["images"][0]) / "photo0.png")
    limit = {"trials": 1, "seconds_per_task": 3}  # far beyond what the other tasks take on a loaded machine
    result = _run(toy, tmp_path / "run", "hangs", stop=limit, images=[photo])
    (failure,) = result.failures().values()
    assert (failure["point"]["system"], failure["stage"]) == ("bad", "decode")
    assert failure["reason"] == "TimeLimit: took longer than the 3 s of stop.seconds_per_task"
    assert result.to_pandas()["system"].tolist() == ["good"]


@pytest.mark.parametrize("fault", ["changes the original", "changes what arrived"])
def test_a_system_that_works_in_place_changes_no_other_ones_numbers(
    toy: Toy, tmp_path: Path, fault: str
) -> None:
    alone = api.run(
        toy(systems={"good": GOOD}, grid={"snr_db": [30]}, stop={"trials": 1}),
        tmp_path / "alone",
        executor="serial",
        allow_imports=True,
    ).to_pandas()
    beside = _run(toy, tmp_path / "beside", fault).to_pandas()
    good = beside[beside["system"] == "good"]
    assert good["sweep_toys:mse"].tolist() == alone["sweep_toys:mse"].tolist()
    bad = beside[beside["system"] == "bad"]
    assert bad["sweep_toys:mse"].tolist() == alone["sweep_toys:mse"].tolist()


def test_processes_survive_exits_and_hangs(toy: Toy, tmp_path: Path) -> None:
    """A worker that is stuck is killed and replaced; a `SystemExit` ends neither it nor its thread."""
    faults = {"exit": "SystemExit in decode", "stuck": "hangs"}
    systems = {
        name: {"system": "sweep_toys:Misbehaving", "options": {"fault": fault}}
        for name, fault in faults.items()
    }
    scenario = toy(
        systems=systems | {"good": GOOD},
        grid={"snr_db": [30]},
        stop={"trials": 1, "seconds_per_task": 8},
        images=[str(Path(toy()["images"][0]) / "photo0.png")],
        pictures=0,
    )
    result = api.run(scenario, tmp_path / "run", executor="processes", workers=1, allow_imports=True)
    reasons = {f["point"]["system"]: f["reason"] for f in result.failures().values()}
    assert reasons["exit"].startswith("SystemExit") and "seconds_per_task" in reasons["stuck"]
    assert result.to_pandas()["system"].tolist() == ["good"]


def test_a_constructor_that_exits_is_an_error_before_any_work(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bad cannot be built: SystemExit"):
        _run(toy, tmp_path / "run", "SystemExit in the constructor")


def test_a_metric_that_is_no_number_fails_its_points(toy: Toy, tmp_path: Path) -> None:
    result = api.run(
        toy(metrics=["sweep_toys:not_a_number"]), tmp_path / "run", executor="serial", allow_imports=True
    )
    assert {(f["stage"], f["reason"]) for f in result.failures().values()} == {
        ("metrics", "ContractError: sweep_toys:not_a_number gave NaN")
    }


def test_a_function_that_does_not_say_which_way_it_points_is_no_metric(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no Metric.*higher_is_better"):
        api.run(toy(metrics=["sweep_toys:_mse"]), tmp_path / "run", allow_imports=True)
