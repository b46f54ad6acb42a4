from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def sd_folder(tmp_path_factory):
    """A miniature Stable Diffusion, read-only by agreement: copy it to change it."""
    import miniature

    return miniature.build(tmp_path_factory.mktemp("hub") / "mini")
