"""Shared fixtures: a small photograph-like picture, the shipped profile, the shared data folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def sample_photo() -> Path:
    return ROOT / "semcom" / "samples" / "coffee.png"


@pytest.fixture(scope="session")
def small_photo(sample_photo: Path) -> torch.Tensor:
    """[3,150,200]: a crop of the sample photo whose sides are not multiples of anything."""
    from semcom.picture import images

    return images.load(sample_photo)[:, 120:270, 200:400].contiguous()


@pytest.fixture(scope="session")
def semantic():
    from semcom.semantic import SemanticSystem

    return SemanticSystem("tiny")
