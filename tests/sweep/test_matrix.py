"""The truth matrix: every system gives the same table in any process, number of rounds, and order.

Systems remember things (what they tried with the last picture, features, networks). None of it may show.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semcom.picture import images
from semcom.sweep import api
from semcom.sweep.plan import Group, Plan

CODECS = ["jpeg", "jpeg2000", "webp", "avif", "jxl", "hevc", "deepjscc"]
QUICK = ["jpeg", "webp", "deepjscc"]  # the others take seconds a message


@pytest.fixture(scope="module")
def folder(sample_photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures of 64×64 pixels."""
    made = tmp_path_factory.mktemp("small")
    photo = images.load(sample_photo)
    for index, (y, x) in enumerate(((120, 200), (40, 60))):
        pixels = (photo[:, y : y + 64, x : x + 64].permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)
        Image.fromarray(pixels).save(made / f"p{index}.png")
    return made


def _scenario(folder: Path, systems: list[str], trials: int) -> dict[str, Any]:
    return {
        "name": "matrix",
        "images": [str(folder)],
        "systems": {name: {} for name in systems},
        "link": {"channel": {"model": "rayleigh"}, "classes": {"base": {"mcs": 9}}},
        "budget": {"cbr": 0.4},
        "grid": {"snr_db": [4, 30], "budget.cbr": [0.5, 0.4]},
        "stop": {"trials": trials},
        "metrics": ["psnr", "ssim"],
        "pictures": 0,
    }


def _backwards(plan: Plan, groups: Callable[[Plan], Iterator[Group]] = Plan.groups) -> Iterator[Group]:
    return iter(list(groups(plan))[::-1])


def _tables(
    folder: Path, systems: list[str], out: Path, cases: list[tuple[str, int, bool]], patch: Any
) -> list[bytes]:
    tables = []
    for number, (executor, rounds, backwards) in enumerate(cases):
        with patch.context() as here:
            if backwards:
                here.setattr(Plan, "groups", _backwards)
            for trials in range(3 - rounds, 3):  # one round of two trials, or one trial and one more
                result = api.run(
                    _scenario(folder, systems, trials),
                    out / f"{number}",
                    executor=executor,
                    workers=2,
                    show_progress=False,
                )
        assert result.failures() == {}
        frame = result.to_pandas()
        assert len(frame) == len(systems) * 2 * 2 * 2 and (frame["trials"] == 2).all()
        tables.append(frame.to_csv(index=False).encode())
    return tables


def _there() -> list[str]:
    from semcom.sweep import parts

    found = []
    for name in CODECS:
        try:
            parts.build_system(name, {})
            found.append(name)
        except ValueError:
            continue
    return found


def test_codecs_in_any_order_rounds_and_processes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [("serial", 1, False), ("serial", 2, True), ("processes", 2, True)]
    first, *others = _tables(folder, QUICK, tmp_path, cases, monkeypatch)
    assert all(other == first for other in others)


@pytest.mark.slow
@pytest.mark.parametrize("system", [*CODECS, "semantic"])
def test_every_system_in_every_way(
    system: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if system in CODECS and system not in _there():
        pytest.skip(f"{system} is not installed")
    cases = list(itertools.product(("serial", "processes"), (1, 2), (False, True)))
    first, *others = _tables(folder, [system], tmp_path, cases, monkeypatch)
    assert all(other == first for other in others)
