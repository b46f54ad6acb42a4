"""What produced a number: versions, commit, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("semcom", "torch", "sionna-no-rt", "diffusers", "transformers", "numpy", "pillow")


def provenance() -> dict[str, Any]:
    """Fields `commit`, `versions` and `cores` of every result."""
    return {"commit": git_commit(), "versions": versions(), "cores": os.cpu_count()}


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide results; a package that is not installed is left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """Commit of the source tree, with `+` when it has changes; None outside a checkout."""
    root = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str:
        run = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
        )
        return run.stdout.strip() if run.returncode == 0 else ""

    if not (root / ".git").exists():
        return None
    commit = git("rev-parse", "--short=12", "HEAD")
    return commit + ("+" if git("status", "--porcelain", "--untracked-files=no") else "") if commit else None
