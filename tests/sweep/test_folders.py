"""Run folders: what is foreign is set aside, nothing is run by reading, no name leads out of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from semcom.sweep import api, report, scenario
from semcom.sweep.store import Store

Toy = Callable[..., dict[str, Any]]


def _run(toy: Toy, out: Path, **keys: Any) -> Any:
    return api.run(toy(**keys), out, executor="serial", allow_imports=True)


def _add_shard(folder: Path, table: pa.Table) -> Path:
    """A shard with a fitting name."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    data = sink.getvalue().to_pybytes()
    path = folder / "shards" / f"{sha256(data).hexdigest()}.parquet"
    path.write_bytes(data)
    return path


def _foreign(folder: Path) -> None:
    _add_shard(folder, pa.table({"a": [1, 2]}))


def _garbage(folder: Path) -> None:
    data = b"no parquet at all"
    (folder / "shards" / f"{sha256(data).hexdigest()}.parquet").write_bytes(data)


def _folder(folder: Path) -> None:
    (folder / "shards" / "x.parquet").mkdir()


def _forged_sums(folder: Path) -> None:
    (path,) = Store(folder).shard_paths()
    table = pq.read_table(path)
    index = table.column_names.index("lost.sum_sq")
    zeros = pa.array([0] * len(table), table.schema.field(index).type)
    packets = table["packets.sum"]
    table = table.set_column(index, "lost.sum_sq", zeros)
    table = table.set_column(table.column_names.index("lost.sum"), "lost.sum", packets)
    _add_shard(folder, table)


@pytest.mark.parametrize("spoil", [_foreign, _garbage, _folder, _forged_sums])
def test_foreign_files_are_set_aside_with_a_warning(
    toy: Toy, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    expected = _run(toy, tmp_path / "run").to_pandas()
    spoil(tmp_path / "run")
    with pytest.warns(UserWarning, match="ignored"):
        assert api.status(tmp_path / "run")["finished"] == 16
    with pytest.warns(UserWarning, match="ignored"):
        again = _run(toy, tmp_path / "run")
    assert again.statistics.skipped == 16
    with pytest.warns(UserWarning, match="ignored"):
        assert api.load(tmp_path / "run").to_pandas().equals(expected)


@pytest.mark.parametrize("content", ["[", "[1, 2]", '{"a": 3}', "{}{}", "[" * 100_000])
def test_a_list_of_failures_that_is_none_stops_nothing(toy: Toy, tmp_path: Path, content: str) -> None:
    _run(toy, tmp_path / "run")
    (tmp_path / "run" / "failures.json").write_text(content)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert api.status(tmp_path / "run")["failures"] == {}
        assert _run(toy, tmp_path / "run").statistics.skipped == 16


def test_results_of_an_older_version_are_refused_in_one_sentence(toy: Toy, tmp_path: Path) -> None:
    _run(toy, tmp_path / "run")
    (path,) = Store(tmp_path / "run").shard_paths()
    table = pq.read_table(path).replace_schema_metadata({"provenance": "{}"})
    path.unlink()
    _add_shard(tmp_path / "run", table)
    for act in (lambda: _run(toy, tmp_path / "run"), lambda: api.status(tmp_path / "run")):
        with pytest.raises(ValueError, match=r"results of an older semcom.*choose another folder"):
            act()


def test_reading_a_run_imports_and_runs_nothing_that_it_names(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status, report, export and merge of a run whose modules are gone, and whose scenario names a bomb."""
    _run(toy, tmp_path / "run")
    bomb = tmp_path / "bomb_of_a_module.py"
    bomb.write_text("raise AssertionError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("sweep_toys", "bomb_of_a_module"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    path = tmp_path / "run" / "scenario.yaml"
    hostile = yaml.safe_load(path.read_text())
    hostile["systems"]["toy"]["system"] = "bomb_of_a_module:f"
    hostile["link"] = {"kind": "os:system", "command": f"touch {tmp_path / 'ran'}"}
    path.write_text(yaml.safe_dump(hostile))
    assert api.status(tmp_path / "run")["finished"] == 16
    api.load(tmp_path / "run").export(tmp_path / "t.csv")
    report.write(api.load(tmp_path / "run"), tmp_path / "report")
    api.merge([tmp_path / "run"], tmp_path / "merged")
    assert "sweep_toys" not in sys.modules and "bomb_of_a_module" not in sys.modules
    with pytest.raises(scenario.ScenarioError, match=r"link\.kind: 'os:system' would import and run code"):
        scenario.load(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["..", ".", ".hidden", "a/b", ""])
def test_names_of_runs_stay_in_their_folder(toy: Toy, name: str) -> None:
    with pytest.raises(scenario.ScenarioError, match="name"):
        scenario.load(toy(name=name), allow_imports=True)


@pytest.mark.parametrize("entry", ["sample:../../*", "sample:../samples/coffee", "sample:..."])
def test_samples_are_samples(toy: Toy, tmp_path: Path, entry: str) -> None:
    with pytest.raises(scenario.ScenarioError, match="no image matches"):
        _run(toy, tmp_path / "run", images=[entry])


def test_a_users_own_scenario_is_not_overwritten(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scenario.yaml"
    text = "# my notes\n" + yaml.safe_dump(toy())
    path.write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="is no run: choose another folder"):
        api.run(path, ".", executor="serial", allow_imports=True)
    assert path.read_text() == text and not (tmp_path / "shards").exists()


def test_what_is_no_picture_is_not_copied(toy: Toy, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_text("no picture")
    result = _run(toy, tmp_path / "run", images=[str(secret)], pictures=4)
    assert len(result.failures()) == 4
    assert list((tmp_path / "run" / "pictures").iterdir()) == []


def test_a_run_that_does_not_say_what_it_is_of_says_how_to_mend_it(toy: Toy, tmp_path: Path) -> None:
    _run(toy, tmp_path / "run")
    plan = tmp_path / "run" / "plan.json"
    for content in (None, "[1]", json.dumps({"stop": {}})):
        plan.unlink() if content is None else plan.write_text(content)
        with pytest.raises(ValueError, match=r"plan\.json.*writes it again"):
            api.load(tmp_path / "run")
    assert _run(toy, tmp_path / "run").statistics.skipped == 16
