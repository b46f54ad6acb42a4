"""A folder of small photos and scenarios of toy systems over a toy link."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))  # worker processes import sweep_toys by name


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photos of 64×64 pixels of noise."""
    folder = tmp_path_factory.mktemp("photos")
    for index in range(4):
        pixels = np.random.default_rng(index).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"photo{index}.png")
    return folder


@pytest.fixture
def toy(photos: Path) -> Callable[..., dict[str, Any]]:
    """Makes a scenario of the toy system over the toy link; keyword arguments replace its keys."""

    def make(options: dict[str, Any] | None = None, link: dict[str, Any] | None = None, **keys: Any) -> Any:
        return {
            "name": "toy",
            "seed": 7,
            "images": [str(photos)],
            "systems": {"toy": {"system": "sweep_toys:ToySystem", "options": options or {}}},
            "link": {"kind": "sweep_toys:ToyLink", **(link or {})},
            "budget": {"bpp": 1.0},
            "grid": {"snr_db": [-5, 0, 5, 30]},
            "stop": {"trials": 3},
            "metrics": ["sweep_toys:mse"],
            "pictures": 1,
        } | keys

    return make
