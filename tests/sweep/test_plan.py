"""Plans: identities of points, grids, laziness."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from semcom.seeds import realisation
from semcom.sweep import scenario
from semcom.sweep.plan import Plan, find_photos
from semcom.sweep.problems import ScenarioError

load = partial(scenario.load, allow_imports=True)


def _ids(plan: Plan) -> list[str]:
    return [key for group in plan.groups() for key in group.ids]


def test_id_is_the_sha256_of_the_canonical_description(toy: Callable[..., Any]) -> None:
    for group in Plan(load(toy())).groups():
        for key, snr_db in zip(group.ids, group.snrs_db, strict=True):
            point = json.loads(group.description(snr_db))
            text = json.dumps(point, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            assert key == sha256(text.encode()).hexdigest()
            assert point["snr_db"] == snr_db
            assert point["image"] == sha256(Path(group.photo.path).read_bytes()).hexdigest()


def test_points_are_the_product_of_all_axes(toy: Callable[..., Any]) -> None:
    grid = {
        "snr_db": [0, 5],
        "link.slope": [1, 2, 3],
        "pair": {"a": {"link.fail_at_db": 90, "budget.bpp": 2}, "b": {"link.fail_at_db": 91}},
    }
    plan = Plan(load(toy(grid=grid)))
    points = [
        json.loads(g.description(s)) | {"labels": g.scene.labels} for g in plan.groups() for s in g.snrs_db
    ]
    assert len(points) == len(plan) == len(set(_ids(plan))) == 2 * 3 * 2 * 4
    seen = {
        (p["link"]["slope"], p["labels"]["pair"], p["link"]["fail_at_db"], p["budget"]["bpp"]) for p in points
    }
    pairs = [("a", 90, 2), ("b", 91, 1)]
    assert seen == {(slope, *pair) for slope, pair in itertools.product([1, 2, 3], pairs)}


def test_extending_a_grid_keeps_the_points_that_were_there(toy: Callable[..., Any]) -> None:
    before = _ids(Plan(load(toy())))
    wider = toy(grid={"snr_db": [-10, -5, 0, 5, 30], "link.slope": [5.0, 6.0]}, link={"slope": 5.0})
    assert set(_ids(Plan(load(toy(link={"slope": 5.0}))))) < set(_ids(Plan(load(wider))))
    longer = toy(stop={"trials": 99}, pictures=0)
    assert _ids(Plan(load(longer))) == before


@pytest.mark.parametrize("change", [{"seed": 8}, {"budget": {"bpp": 2.0}}, {"link": {"slope": 9.0}}])
def test_what_changes_the_numbers_changes_the_id(toy: Callable[..., Any], change: dict[str, Any]) -> None:
    assert not set(_ids(Plan(load(toy())))) & set(_ids(Plan(load(toy(**change)))))


def test_names_and_metrics_are_no_part_of_what_is_simulated(toy: Callable[..., Any]) -> None:
    plain = _ids(Plan(load(toy())))
    systems = {"another name": {"system": "sweep_toys:ToySystem"}}
    assert _ids(Plan(load(toy(systems=systems)))) == plain
    assert _ids(Plan(load(toy(metrics=["psnr", "sweep_toys:mse"])))) == plain
    assert _ids(Plan(load(toy(name="renamed", pictures=3)))) == plain


def test_a_realisation_is_of_seed_image_channel_snr_and_trial(toy: Callable[..., Any]) -> None:
    """Systems, budgets and MCSs meet the same fades; nothing else does."""
    link = {"kind": "digital", "channel": {"model": "tdl-a"}}
    systems = {"jpeg": {}, "avif": {"grid": {"link.classes.base.mcs": [1, 9], "budget.cbr": [0.1, 0.2]}}}
    keys = {"metrics": ["psnr"], "grid": {"snr_db": [0, 5]}}
    plan = Plan(load(toy(systems=systems, **keys) | {"link": link}))
    seeds = {(g.photo.name, g.scene.label): set() for g in plan.groups()}
    for group in plan.groups():
        seeds[group.photo.name, group.scene.label] |= {
            group.seed_of(s, t) for s in (0.0, 5.0) for t in (0, 1)
        }
    assert all(len(found) == 4 for found in seeds.values())
    for name in {name for name, _ in seeds}:
        assert seeds[name, "jpeg"] == seeds[name, "avif"]
    assert len(set.union(*seeds.values())) == 4 * 4
    arguments = [7, "photo", "channel", 5.0, 0]
    for index, other in enumerate([8, "another", "another", 6.0, 1]):
        changed = [other if i == index else argument for i, argument in enumerate(arguments)]
        assert realisation(*changed) != realisation(*arguments)


def test_system_axes_multiply_only_that_system(toy: Callable[..., Any]) -> None:
    spec = {"system": "sweep_toys:ToySystem"}
    systems = {"plain": spec, "varied": spec | {"grid": {"options.seconds": [0.0, 0.1, 0.2]}}}
    assert len(Plan(load(toy(systems=systems)))) == (1 + 3) * 4 * 4


def test_images_by_file_folder_and_pattern_count_once(photos: Path) -> None:
    entries = (
        str(photos / "photo1.png"),
        str(photos),
        str(photos / "*.png"),
        str(photos / "**" / "photo[23].png"),
    )
    names = [photo.name for photo in find_photos(entries)]
    assert names == ["photo1.png", "photo0.png", "photo2.png", "photo3.png"]


def test_images_that_are_missing_or_have_one_name_are_errors(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"no image matches '.*nothing'"):
        find_photos((str(tmp_path / "nothing"),))
    (tmp_path / "photo1.png").write_bytes(b"another")
    with pytest.raises(ScenarioError, match="one name"):
        find_photos((str(photos), str(tmp_path)))


def test_expanding_a_plan_keeps_nothing(toy: Callable[..., Any]) -> None:
    """The peak of a plan ten times as long grows far less than it would if points were kept."""

    def peak(count: int) -> int:
        values = list(range(1, count + 1))
        plan = Plan(load(toy(grid={"snr_db": [0, 1], "link.slope": values, "link.other": values})))
        tracemalloc.start()
        for group in plan.groups():
            assert len(group.ids) == 2
        _, top = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return top

    assert peak(45) < 3 * peak(14)  # ten times as many points
