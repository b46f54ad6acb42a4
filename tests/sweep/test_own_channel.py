"""A user's channel: fifteen lines of YAML and Python, in worker processes and in the abstraction."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from semcom.sweep import api
from semcom.sweep.plan import Plan
from semcom.sweep.scenario import load

EXAMPLE = Path(__file__).parents[2] / "examples"
Toy = Callable[..., dict[str, Any]]


@pytest.fixture
def own(toy: Toy, tmp_path: Path) -> Path:
    """The example's channel beside a scenario of the toy codec over both links."""
    shutil.copy(EXAMPLE / "my_channel.py", tmp_path / "lab_two_ray.py")
    grid = {"snr_db": [0, 30], "link.kind": ["digital", "abstraction"]}
    link = {"kind": "digital", "channel": {"model": "lab_two_ray:TwoPaths"}}
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(toy(link=link, grid=grid, budget={"bpp": 0.05}, stop={"trials": 2})))
    return path


def test_a_channel_of_ones_own_runs_on_two_processes_and_in_the_abstraction(
    own: Path, tmp_path: Path
) -> None:
    result = api.run(own, tmp_path / "run", executor="processes", workers=2, allow_imports=True)
    assert not result.failures()
    frame = result.to_pandas()
    good = frame[frame["snr_db"] == 30]
    assert set(good["link.kind"]) == {"digital", "abstraction"} and (good["lost"] == 0).all()
    serial = api.run(own, tmp_path / "serial", executor="serial", allow_imports=True)
    assert serial.to_pandas().to_csv() == frame.to_csv()


def test_it_needs_permission_wherever_the_name_stands(own: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"own\.yaml:\d+: link\.channel\.model: .*--allow-imports"):
        load(own)
    data = yaml.safe_load(own.read_text())
    data |= {"link": {"kind": "digital"}, "systems": {"jpeg": {}}, "metrics": ["psnr"]}
    data["grid"]["link.channel.model"] = ["awgn", "lab_two_ray:TwoPaths"]
    with pytest.raises(ValueError, match=r"grid\.link\.channel\.model: .*--allow-imports"):
        load(data)


def test_an_edited_channel_and_a_replaced_file_are_other_points(own: Path, tmp_path: Path, toy: Toy) -> None:
    def ids(source: Any) -> set[str]:
        return {key for group in Plan(load(source, allow_imports=True)).groups() for key in group.ids}

    before = ids(own)
    (tmp_path / "lab_two_ray.py").write_text((EXAMPLE / "my_channel.py").read_text() + "\n# edited\n")
    assert not ids(own) & before
    file = tmp_path / "set.npz"
    link = {"kind": "digital", "channel": {"model": "cir", "dataset": {"file": str(file)}}}
    np.savez(file, a=np.ones((1, 1, 1, 1)), tau=np.zeros(1))
    before = ids(toy(link=link))
    np.savez(file, a=np.ones((1, 1, 2, 1)), tau=np.array([0, 1e-7]))
    assert not ids(toy(link=link)) & before


def test_send_and_describe_take_it_where_allowed(own: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.write_text(yaml.safe_dump({"channel": {"model": "lab_two_ray:TwoPaths"}}))
    line = [sys.executable, "-m", "semcom", "channels", "describe", str(link)]
    refused = subprocess.run(line, capture_output=True, text=True, check=False)
    assert refused.returncode and "--allow-imports" in refused.stderr + refused.stdout
    done = subprocess.run([*line, "--allow-imports"], capture_output=True, text=True, check=False)
    assert "See `channels.propagation.base.ChannelModel`." in done.stdout, done.stderr


def test_the_example_is_fifteen_lines_of_each() -> None:
    for name in ("my_channel.py", "my_channel.yaml"):
        lines = (EXAMPLE / name).read_text().splitlines()
        code = [line for line in lines if line.strip() and not line.strip().startswith(("#", '"""'))]
        assert len(code) <= 16, name
    load(EXAMPLE / "my_channel.yaml", allow_imports=True)
