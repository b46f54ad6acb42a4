"""Run folders that anything may have happened to: nothing undocumented, nothing lost, nothing run."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from semcom.sweep import api, report

Toy = Callable[..., dict[str, Any]]
SECONDS = 60
STRANGE = (
    None,
    True,
    -1,
    0,
    10**30,
    1e308,
    float("nan"),
    "",
    "bomb_of_a_module:f",
    "../x",
    [],
    {},
    [[]],
    {"a": 1},
)
PROGRAMS = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen")
watching = False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: it stays for the rest of the process, and looks only where a test asks it to."""
    if watching and (event in PROGRAMS or (event == "import" and arguments[0] == "bomb_of_a_module")):
        raise AssertionError(f"{event} {arguments}")


@pytest.fixture(scope="module", autouse=True)
def _watched() -> None:
    sys.addaudithook(_watch)


@pytest.fixture
def run(toy: Toy, tmp_path: Path) -> tuple[dict[str, Any], Path, bytes]:
    """A scenario, a finished run of it in two shards, and its table."""
    asked = toy(grid={"snr_db": [0, 30]}, stop={"trials": 2})
    _run(asked | {"grid": {"snr_db": [0]}}, tmp_path / "good")
    return asked, tmp_path / "good", _table(_run(asked, tmp_path / "good"))


def _run(asked: dict[str, Any], out: Path) -> Any:
    return api.run(asked, out, executor="serial", allow_imports=True)


def _table(result: Any) -> bytes:
    return result.to_pandas().to_csv(index=False).encode()


def _changed_tree(rng: random.Random, tree: Any) -> Any:
    """JSON data with one value somewhere replaced, taken out, or put elsewhere."""
    places = list(_places(tree))
    if not places:
        return rng.choice(STRANGE)
    holder, key = rng.choice(places)
    if rng.random() < 0.3 and isinstance(holder, dict):
        value = holder.pop(key)
        if rng.random() < 0.5:
            holder[f"{key}x"] = value
    else:
        holder[key] = rng.choice(STRANGE)
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _changed_bytes(rng: random.Random, data: bytes) -> bytes:
    content = bytearray(data)
    for _ in range(rng.randint(1, 5)):
        place = rng.randrange(len(content) or 1)
        content[place : place + rng.choice((0, 1, 8))] = rng.randbytes(rng.choice((0, 1, 8)))
    return bytes(content[: rng.randrange(len(content))] if content and rng.random() < 0.2 else content)


def _spoil(rng: random.Random, folder: Path) -> str:
    """Does one thing to a run folder; what it was. Only a forged shard may change what is read."""
    shards = [path for path in sorted(folder.glob("shards/*.parquet")) if path.is_file()]
    texts = [folder / name for name in ("plan.json", "failures.json", "scenario.yaml")]
    texts = [path for path in texts if path.is_file() or not os.path.lexists(path)]
    if not shards or not (folder / "pictures").is_dir():
        return "nothing more"
    kind = rng.choice(("shard", "forged", "tree", "bytes", "foreign", "gone", "folder", "link", "name"))
    if kind == "shard":
        path = rng.choice(shards)
        path.write_bytes(_changed_bytes(rng, path.read_bytes()))
    elif kind == "forged":
        data = _changed_bytes(rng, rng.choice(shards).read_bytes())
        (folder / "shards" / f"{sha256(data).hexdigest()}.parquet").write_bytes(data)
    elif kind in ("tree", "bytes"):
        path = rng.choice(texts)
        data = (
            path.read_bytes() if path.exists() else b'{"x": {"point": {"image": {"name": "a"}, "snr_db": 1}}}'
        )
        if kind == "tree":
            data = json.dumps(_changed_tree(rng, yaml.safe_load(data))).encode()
        path.write_bytes(data if kind == "tree" else _changed_bytes(rng, data))
    elif kind == "foreign":
        place = rng.choice(("shards/a.parquet", "shards/.tmp", "pictures/x.png", "x.json", "shards/b.txt"))
        (folder / place).write_bytes(rng.randbytes(rng.choice((0, 50))))
    elif kind == "gone":
        path = rng.choice([*texts, *shards, folder / "pictures", folder / "shards"])
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    elif kind == "folder":
        path = rng.choice([*texts, *shards])
        path.unlink(missing_ok=True)
        path.mkdir()
    elif kind == "link":
        path = rng.choice([*texts, *shards])
        path.unlink(missing_ok=True)
        path.symlink_to(rng.choice(("/dev/zero", "/nowhere", path.name, "/")))
    else:
        os.mkfifo(folder / "shards" / f"{rng.random()}.parquet")
    return kind


def _tried(act: Callable[[], Any]) -> Any:
    """What an act gives, or None where it refused as documented: `ValueError` and `OSError`, in few lines."""
    try:
        return act()
    except (ValueError, OSError) as error:
        assert 0 < len(str(error)) < 5000, repr(error)
        return None


def _check(seed: int, run: tuple[dict[str, Any], Path, bytes], place: Path) -> None:
    global watching
    asked, good, table = run
    rng, folder = random.Random(seed), place / "run"
    shutil.copytree(good, folder)
    done = [_spoil(rng, folder) for _ in range(rng.choice((1, 1, 2)))]
    signal.alarm(SECONDS)
    watching = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _tried(lambda: api.status(folder))
            _tried(lambda: api.load(folder).export(place / "table.csv"))
            _tried(lambda: api.merge([folder, good], place / "merged"))
            if seed % 100 == 0:  # plots take seconds
                _tried(lambda: report.write(api.load(folder), place / "report"))
            watching = False
            again = _tried(lambda: _table(_run(asked, folder)))
            if "forged" not in done:
                assert again in (None, table), "another table"
        except Exception as error:
            raise AssertionError(f"seed {seed}, {done}: {error!r}") from error
        finally:
            watching = False
            signal.alarm(0)
    shutil.rmtree(place)


def _check_all(seeds: range, run: tuple[dict[str, Any], Path, bytes], place: Path) -> None:
    for seed in seeds:
        (place / "one").mkdir()
        _check(seed, run, place / "one")


def test_folders_that_things_happened_to(run: tuple[dict[str, Any], Path, bytes], tmp_path: Path) -> None:
    _check_all(range(60), run, tmp_path)


@pytest.mark.slow
def test_a_thousand_folders(run: tuple[dict[str, Any], Path, bytes], tmp_path: Path) -> None:
    _check_all(range(60, 1060), run, tmp_path)
