"""Fetching the components of a latent profile, and writing them out as a folder that needs no hub."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from semcom.latent.sources import (
    Absent,
    components,
    digest_of,
    locate,
    lock_file,
    locked,
    mismatches,
    patterns,
    require,
)
from semcom.latent.spec import FILE, REQUIRED, Component, LatentSpec, Source


class DownloadError(ValueError):
    """Something could not be fetched; the message names it and the reason."""


def download(profile: str, spec: LatentSpec, announce: Callable[[str], object]) -> None:
    """Brings every component on the hub into the hub's cache and pins what came.

    Raises:
        DownloadError: offline, no such repository, no space, or a file that is not the pinned one.
    """
    from huggingface_hub import constants, snapshot_download

    lock = locked(profile)
    for name, source in components(spec):
        if source is None or source.hub is None:
            continue
        revision = source.revision or lock.get(name, {}).get("revision")
        announce(f"{name}: {source.place}")
        if constants.HF_HUB_OFFLINE and isinstance(locate(profile, name, source), Absent):
            raise DownloadError(
                f"{name} ({source.place}) is not here, and HF_HUB_OFFLINE forbids to fetch it"
            )
        try:
            folder = Path(
                snapshot_download(source.hub, revision=revision, allow_patterns=patterns(name, source))
            )
        except Exception as error:  # of the network, of the hub, of the disk: each says what it is
            reason = " ".join(str(error).split())[:200]
            raise DownloadError(f"{name} ({source.place}): {reason}") from error
        lock[name] = _locked(profile, name, source, folder.name, lock.get(name, {}))
        path = lock_file(profile)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(lock, indent=1) + "\n")


def export(profile: str, spec: LatentSpec, folder: Path, announce: Callable[[str], object]) -> None:
    """Copies every component that is here into a folder with a profile.yaml of its own, checksums stated.

    Raises:
        MissingError: one that the profile needs is not here.
        ValueError: the folder is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder}: is not empty")
    models: dict[str, Any] = {}
    for name, source in components(spec):
        if source is None or (name not in REQUIRED and isinstance(locate(profile, name, source), Absent)):
            continue
        found = require(profile, name, source)
        announce(f"{name}: {found.num_bytes / 1e6:.1f} MB")
        for file, path in found.files.items():
            place = folder / name / file
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        sums = {file: digest_of(path) for file, path in found.files.items()}
        models[name] = {"path": name, "licence": source.licence, "sha256": sums}
        if source.variant:
            models[name]["variant"] = source.variant
        if found.folder.is_file():
            models[name]["file"] = found.folder.name
    lora = []
    for adapter in spec.lora:
        place = folder / "lora" / adapter.path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if adapter.path.is_dir() else shutil.copyfile)(adapter.path, place)
        lora.append({"path": f"lora/{adapter.path.name}", "weight": adapter.weight, "name": adapter.label})
    tree = spec.model_dump(mode="json", exclude_unset=True) | {"models": models, "lora": lora}
    (folder / FILE).write_text(yaml.safe_dump(tree, sort_keys=False))


def _locked(
    profile: str, name: Component, source: Source, revision: str, before: dict[str, Any]
) -> dict[str, Any]:
    """The lock's entry of what is in the cache now. Raises `DownloadError` where it was another before."""
    found = locate(profile, name, source.model_copy(update={"revision": revision}))
    if isinstance(found, Absent):
        raise DownloadError(f"{name} ({source.place}): {found.reason}")
    if before.get("revision") == revision:
        changed = list(mismatches(found, before.get("sha256", {})))
        if changed:
            raise DownloadError(f"{name}: {changed[0]} is not the file that was downloaded before: remove it")
    sums = {file: digest_of(path) for file, path in found.files.items()}
    return {"hub": source.hub, "revision": revision, "sha256": sums}
