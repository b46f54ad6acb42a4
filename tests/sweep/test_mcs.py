"""The key `mcs` of a scenario's link: each point is sent at the MCSs that its SNR and channel carry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from channels.coding.mcs import mcs
from semcom.picture import images
from semcom.sweep import api, scenario
from semcom.sweep.plan import Plan
from semcom.sweep.problems import ScenarioError


@pytest.fixture
def asked(sample_photo: Path, tmp_path: Path) -> dict[str, Any]:
    photo = tmp_path / "crop.png"
    images.save(images.load(sample_photo)[:, :96, :96], photo)
    return {
        "name": "adapting",
        "images": [str(photo)],
        "systems": {"webp": {}},
        "link": {"kind": "abstraction", "channel": {"model": "awgn"}, "mcs": "auto"},
        "budget": {"cbr": 0.05},
        "grid": {"snr_db": [5, 20]},
        "stop": {"trials": 2},
        "metrics": ["psnr"],
        "pictures": 0,
    }


def _run(asked: dict[str, Any], folder: Path, **how: Any) -> Any:
    result = api.run(asked, folder, executor="serial", **how)
    assert result.failures() == {}
    return result.to_pandas()


def test_a_better_channel_is_sent_faster_and_carries_more(asked: dict[str, Any], tmp_path: Path) -> None:
    frame = _run(asked, tmp_path / "run").set_index("snr_db")
    slow, fast = (mcs(1, int(frame.loc[snr_db, "mcs_base"])) for snr_db in (5, 20))
    assert slow.spectral_efficiency < fast.spectral_efficiency
    assert frame.loc[20, "bpp"] > 1.5 * frame.loc[5, "bpp"]
    assert (frame["cbr"] <= 0.05).all()
    assert (frame["lost"] == 0).all()
    assert _run(asked, tmp_path / "again", batch=1).to_csv() == _run(asked, tmp_path / "run").to_csv()


def test_a_system_may_choose_what_it_sends(asked: dict[str, Any], tmp_path: Path) -> None:
    """Both choices of one picture in one run: what was encoded for one is not sent for the other."""
    asked["systems"] = {"toy": {"system": "sweep_toys:ToyChooser"}}
    asked |= {"grid": {"snr_db": [5, 20, 6, 25]}, "budget": {"channel_uses": 4000}}
    frame = _run(asked, tmp_path / "run", batch=1, allow_imports=True).set_index("snr_db")
    assert frame["packets"].tolist() == [2 * 2, 2 * 2, 5 * 2, 5 * 2]
    assert frame["mcs_critical"].tolist() == [3] * 4 and frame["mcs_detail"].tolist() == [7] * 4


def test_bits_stay_and_the_mcs_decides_what_they_cost(asked: dict[str, Any], tmp_path: Path) -> None:
    frame = _run(asked | {"budget": {"bpp": 0.3}}, tmp_path).set_index("snr_db")
    assert frame["bpp"].nunique() == 1
    assert frame.loc[20, "channel_uses"] < frame.loc[5, "channel_uses"]


def test_fixed_mcs_are_those_of_the_classes(asked: dict[str, Any], tmp_path: Path) -> None:
    link = {key: value for key, value in asked["link"].items() if key != "mcs"}
    asked = asked | {"grid": {"snr_db": [20]}}
    wished = _run(asked | {"link": link | {"mcs": {"base": 9}}}, tmp_path / "wish")
    written = _run(asked | {"link": link | {"classes": {"base": {"mcs": 9}}}}, tmp_path / "classes")
    assert wished["mcs_base"].tolist() == [9]
    assert "mcs_base" not in written
    same = ["bpp", "channel_uses", "lost", "psnr"]
    assert wished[same].to_csv() == written[same].to_csv()


def test_an_axis_of_wishes(asked: dict[str, Any]) -> None:
    plan = Plan(scenario.load(asked | {"grid": {"snr_db": [5, 20], "link.mcs": ["auto", 4, "base=9"]}}))
    assert [scene.link["mcs"] for scene in plan.scenes()] == ["auto", 4, {"base": 9}]
    assert [group.snrs_db for group in plan.groups()] == [(5.0,), (20.0,)] * 3


def test_without_the_key_a_point_is_what_it_was(asked: dict[str, Any]) -> None:
    del asked["link"]["mcs"]
    plan = Plan(scenario.load(asked))
    (group,) = plan.groups()
    assert group.snrs_db == (5.0, 20.0)
    assert "mcs" not in group.scene.link


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("fast", "neither auto"),
        (29, "29"),
        ({"bas": 3}, "bas"),
        ({"base": "x"}, "'x'"),
        ([1], "neither auto"),
    ],
)
def test_wishes_that_the_link_cannot_fulfil_are_found_before_any_work(
    asked: dict[str, Any], wish: Any, said: str
) -> None:
    asked["link"]["mcs"] = wish
    with pytest.raises(ScenarioError, match=said) as caught:
        scenario.load(asked)
    assert str(caught.value).startswith("link.mcs: ")


def test_a_wish_that_another_axis_makes_impossible(asked: dict[str, Any]) -> None:
    asked["grid"] |= {"link.mcs": [28], "link.mcs_table": [1, 2]}
    with pytest.raises(ScenarioError, match=r"28.*link\.mcs_table=2"):
        Plan(scenario.load(asked))
