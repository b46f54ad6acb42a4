"""Where what takes long to compute is kept between processes."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """Folder `name` in semcom's cache: SEMCOM_CACHE, or semcom in XDG_CACHE_HOME or ~/.cache."""
    root = os.environ.get("SEMCOM_CACHE") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "semcom"
    return (Path(root) / name).expanduser()
