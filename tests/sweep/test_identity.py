"""A result belongs to what made it; names and metrics do not."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from semcom.sweep import api, identity, parts
from semcom.sweep.plan import Plan
from semcom.sweep.scenario import load

Toy = Callable[..., dict[str, Any]]
CODEC = """
import torch
from sweep_toys import ToySystem
from helper_of_own import LEVEL

class Own(ToySystem):
    def decode(self, received):
        return type(super().decode(received))(torch.full((3, 64, 64), LEVEL))
"""


@pytest.fixture
def own(toy: Toy, tmp_path: Path) -> Path:
    """A scenario file with a codec beside it."""
    (tmp_path / "own_codec.py").write_text(CODEC)
    (tmp_path / "helper_of_own.py").write_text("LEVEL = 0.5\n")
    path = tmp_path / "own.yaml"
    systems = {"own": {"system": "own_codec:Own"}}
    path.write_text(yaml.safe_dump(toy(systems=systems, grid={"snr_db": [30]}, metrics=["psnr"])))
    return path


def _psnr(path: Path, out: Path) -> tuple[Any, float]:
    result = api.run(path, out, executor="serial", allow_imports=True)
    return result.statistics, result.to_pandas()["psnr"].mean()


@pytest.mark.parametrize(
    ("file", "content"),
    [("own_codec.py", CODEC.replace("LEVEL))", "LEVEL / 4))")), ("helper_of_own.py", "LEVEL = 0.125\n")],
)
def test_an_edited_codec_is_simulated_anew_and_the_old_one_kept_apart(
    own: Path, tmp_path: Path, file: str, content: str
) -> None:
    before, old = _psnr(own, tmp_path / "run")
    assert before.points == 4
    (tmp_path / file).write_text(content)
    with pytest.warns(UserWarning, match=rf"own: {file} was \w+, is \w+; what was simulated with it is kept"):
        after, new = _psnr(own, tmp_path / "run")
    assert (after.points, after.skipped) == (4, 0) and new < old - 1
    assert len(api.load(tmp_path / "run").to_pandas()) == 4
    (tmp_path / file).write_text(CODEC if file == "own_codec.py" else "LEVEL = 0.5\n")
    with pytest.warns(UserWarning, match="kept"):
        again, oldest = _psnr(own, tmp_path / "run")
    assert (again.points, again.skipped) == (0, 4) and oldest == old


def test_a_module_beside_the_scenario_needs_permission(own: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"own\.yaml:\d+: systems\.own: 'own_codec:Own' .*--allow-imports"):
        api.run(own, tmp_path / "run")
    assert "own_codec" not in sys.modules or not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("", "own_codec has no 'Own'"),
    ],
)
def test_an_import_that_fails_says_why(own: Path, tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "own_codec.py").write_text(content)
    with pytest.raises(ValueError, match=f"cannot import own_codec:Own: .*{reason}"):
        api.run(own, tmp_path / "run", allow_imports=True)


def test_a_retrained_profile_is_another_system(toy: Toy, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    shutil.copytree(Path(api.__file__).parents[1] / "profiles" / "tiny", profile)
    systems = {"semantic": {"options": {"profile": str(profile)}}}
    scenario = toy(systems=systems, metrics=["psnr"])

    def ids() -> list[str]:
        plan = Plan(load(scenario, allow_imports=True))
        return [key for group in plan.groups() for key in group.ids]

    before = ids()
    assert ids() == before
    manifest = profile / "profile.json"
    described = json.loads(manifest.read_text())
    next(iter(described["parts"].values()))["sha256"] = "0" * 64
    manifest.write_text(json.dumps(described))
    assert not set(ids()) & set(before)


def test_versions_and_default_weights_are_named() -> None:
    made = identity.made_with("semantic", {}, parts.resolve_link({}))
    assert made["semcom"] == identity.semcom_version()
    assert "profile tiny" in made
    assert identity.differences({"a": "1", "b": "2"}, {"a": "1", "b": "3"}) == ["b was 2, is 3"]


def test_a_photo_replaced_during_a_run_is_not_stored_under_the_old_hash(
    toy: Toy, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    keep = api._keep_originals

    def replace(plan: Plan, store: Any) -> None:
        keep(plan, store)
        shutil.copy(folder / "photo1.png", folder / "photo0.png")

    monkeypatch.setattr(api, "_keep_originals", replace)
    result = api.run(toy(images=[str(folder)]), tmp_path / "run", executor="serial", allow_imports=True)
    reasons = {f["point"]["image"]["name"]: f["reason"] for f in result.failures().values()}
    assert set(reasons) == {"photo0.png"} and "not the file it was" in reasons["photo0.png"]
    monkeypatch.undo()
    with pytest.warns(UserWarning, match=r"image photo0\.png: was"):
        again = api.run(toy(images=[str(folder)]), tmp_path / "run", executor="serial", allow_imports=True)
    frame = again.to_pandas().set_index(["image", "snr_db"])
    assert frame.loc[("photo0.png", 30), "sweep_toys:mse"] == frame.loc[("photo1.png", 30), "sweep_toys:mse"]


def test_renaming_and_another_metric_reuse_what_was_simulated(toy: Toy, tmp_path: Path) -> None:
    """The new metric is measured on the same trials, sent and decoded again; the old ones stay."""
    one = api.run(toy(), tmp_path / "run", executor="serial", allow_imports=True)
    renamed = {"another": toy()["systems"]["toy"]}
    two = api.run(
        toy(systems=renamed, metrics=["psnr", "sweep_toys:mse"]),
        tmp_path / "run",
        executor="serial",
        allow_imports=True,
    )
    assert two.statistics is not None and two.statistics.points == 16
    whole = api.run(
        toy(systems=renamed, metrics=["psnr", "sweep_toys:mse"]),
        tmp_path / "whole",
        executor="serial",
        allow_imports=True,
    )
    assert two.to_pandas().equals(whole.to_pandas())
    assert set(two.to_pandas()["system"]) == {"another"}
    third = api.run(toy(systems=renamed), tmp_path / "run", executor="serial", allow_imports=True)
    assert third.statistics is not None and third.statistics.sent == 0
    assert third.to_pandas()["sweep_toys:mse"].tolist() == one.to_pandas()["sweep_toys:mse"].tolist()


@pytest.mark.parametrize("stop", [{"trials": 6}, {"trials": 40, "packet_errors": 5}])
def test_a_metric_added_half_way_and_interrupted_gives_the_same_table(
    toy: Toy, tmp_path: Path, stop: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from semcom.sweep import engine

    how = {"executor": "serial", "allow_imports": True, "batch": 2}
    both = ["psnr", "sweep_toys:mse"]
    whole = api.run(toy(metrics=both, stop=stop), tmp_path / "whole", **how)
    api.run(toy(metrics=["psnr"], stop=stop), tmp_path / "run", **how)
    settle, left = engine.Engine._settle, [7]

    def cut(self: engine.Engine, current: Any, last: bool = False) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        settle(self, current, last)

    with monkeypatch.context() as patch:
        patch.setattr(engine.Engine, "_settle", cut)
        with pytest.raises(KeyboardInterrupt):
            api.run(toy(metrics=both, stop=stop), tmp_path / "run", **how)
    half = api.load(tmp_path / "run").to_pandas()
    assert half["psnr"].notna().all() and half["sweep_toys:mse"].isna().any()  # missing, not zero
    assert len(half) == 16
    done = api.run(toy(metrics=both, stop=stop), tmp_path / "run", **how)
    assert done.to_pandas().equals(whole.to_pandas())


def test_only_what_differs_is_no_longer_put_together(own: Path, tmp_path: Path) -> None:
    _psnr(own, tmp_path / "a")
    (tmp_path / "helper_of_own.py").write_text("LEVEL = 0.25\n")
    _psnr(own, tmp_path / "b")
    with pytest.raises(ValueError, match=r"cannot be put together: own: helper_of_own\.py was \w+, is \w+"):
        api.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_unlike_machines_are_named() -> None:
    like = [{"machine": {"instruction_set": "AVX2"}, "threads": 1}] * 2
    assert api.unlike_machines(like) == []
    (said,) = api.unlike_machines([like[0], {"machine": {"instruction_set": "AVX512"}, "threads": 1}])
    assert "AVX2 and AVX512" in said


def test_registered_parts_need_no_permission_and_have_no_files() -> None:
    assert parts.source_files("semcom.systems", "avif") == {}
    assert load({**_minimal(), "link": {"kind": "perfect"}}).link_kind == "perfect"


def _minimal() -> dict[str, Any]:
    return {
        "name": "m",
        "images": ["sample:*"],
        "systems": {"jpeg": {}},
        "budget": {"bpp": 1},
        "grid": {"snr_db": [0]},
    }
