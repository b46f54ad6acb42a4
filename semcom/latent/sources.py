"""Where the components of a latent profile are on this machine, or what fetches them.

A component on the hub is looked for in the hub's own cache (`HF_HOME`), which other programs share. Nothing
here opens a connection but `download`, and that refuses while `HF_HUB_OFFLINE` is set. What `download` got
is written to a lock in semcom's cache: the commit and the SHA-256 of each file, so that a repository
without a pinned revision means the same weights tomorrow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import file_digest
from pathlib import Path
from typing import Any

from semcom.latent.spec import OPTIONAL, REQUIRED, Component, LatentSpec, Source
from semcom.pretrained import cache_directory

_BLOB = re.compile(r"[0-9a-f]{64}$")
_UNSAFE = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
_WEIGHTS = ("unet", "vae", "text_encoder", "controlnet", "captioner")
_WITHOUT_WEIGHTS = ("tokenizer", "scheduler")


class MissingError(ValueError):
    """A component is not on this machine; the message says how to get it."""


@dataclass(frozen=True)
class Found:
    """A component that is here.

    Attributes:
        folder: of its files, or the one file.
        files: by name relative to the folder.
    """

    folder: Path
    files: dict[str, Path]

    @property
    def num_bytes(self) -> int:
        """Of all files."""
        return sum(path.stat().st_size for path in self.files.values())


@dataclass(frozen=True)
class Absent:
    """A component that is not here.

    Attributes:
        reason: in a few words.
        command: that gets it.
    """

    reason: str
    command: str


def locate(profile: str, name: Component, source: Source) -> Found | Absent:
    """A component, without any connection.

    Args:
        profile: name, which the command to get it needs.
        name: of the component.
        source: where it should be.
    """
    command = f"semcom profile download {profile}"
    if source.path is not None:
        place = source.path / source.subfolder
        if not place.exists():
            return Absent(f"{place} does not exist", f"--set models.{name}=FOLDER with one that does")
        return _whole(name, source, place, f"--set models.{name}=FOLDER with safetensors weights")
    if source.hub is None:
        place = cache_directory() / "models" / str(source.file)
        command = f"curl --create-dirs -Lo {place} {source.url}"
        return Found(place, {place.name: place}) if place.is_file() else Absent("not downloaded", command)
    revision = source.revision or locked(profile).get(name, {}).get("revision")
    if revision is None:
        return Absent("not downloaded, no revision pinned", command)
    folder = _snapshot(source, revision)
    if folder is None:
        return Absent("not downloaded", command)
    return _whole(name, source, folder, command)


def require(profile: str, name: Component, source: Source | None) -> Found:
    """A component that must be here, its checksums right.

    Raises:
        MissingError: it is not, with the command that gets it; or a file is damaged.
    """
    if source is None:
        raise MissingError(f"profile {profile} has no {name}: give --set models.{name}=FOLDER")
    found = locate(profile, name, source)
    if isinstance(found, Absent):
        raise MissingError(
            f"profile {profile}: {name} ({source.place}): {found.reason}; get it: {found.command} "
            f"(semcom profile check {profile} shows everything that is missing)"
        )
    damaged = list(mismatches(found, source.sha256))
    if damaged:
        raise MissingError(f"profile {profile}: {name}: {damaged[0]}: SHA-256 is not the one that is stated")
    return found


def mismatches(found: Found, expected: dict[str, str]) -> Iterator[str]:
    """Files that are not those that were stated."""
    for file, digest in expected.items():
        if file not in found.files or digest_of(found.files[file]) != digest:
            yield file


def digest_of(path: Path) -> str:
    """SHA-256 of a file; the hub's cache names its large files by it."""
    real = path.resolve()
    if _BLOB.fullmatch(real.name):
        return real.name
    status = real.stat()
    return _digest(real, status.st_size, status.st_mtime_ns)


@cache
def _digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as content:
        return file_digest(content, "sha256").hexdigest()


def locked(profile: str) -> dict[str, Any]:
    """What `download` got, by component; empty where nothing was."""
    path = lock_file(profile)
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found


def lock_file(profile: str) -> Path:
    """Of a profile by name."""
    return cache_directory() / "profiles" / f"{Path(profile).name}.lock.json"


def patterns(name: str, source: Source) -> list[str]:
    """Files of a repository that a component needs: no pickles, and of the weights one variant."""
    inside = f"{source.subfolder}/" if source.subfolder else ""
    if source.file:
        return [inside + source.file]
    plain = [f"{inside}{kind}" for kind in ("*.json", "*.txt")]
    if name in _WITHOUT_WEIGHTS:
        return plain
    suffix = f".{source.variant}" if source.variant else ""
    return [*plain, *(f"{inside}{stem}{suffix}.safetensors" for stem in ("diffusion_pytorch_model", "model"))]


def components(spec: LatentSpec) -> Iterator[tuple[Component, Source | None]]:
    """Every component in order: those that a profile needs, then those that it names beside them."""
    for name in REQUIRED:
        yield name, spec.models.get(name)
    for name in OPTIONAL:
        if name in spec.models:
            yield name, spec.models[name]


def content(profile: str, spec: LatentSpec) -> Iterator[str]:
    """A line for each file of the components that are here, and of the adapters: what pictures depend on."""
    for name, source in components(spec):
        found = None if source is None else locate(profile, name, source)
        if isinstance(found, Found):
            yield from (f"{name} {file} {digest_of(path)}" for file, path in found.files.items())
    for lora in spec.lora:
        files = sorted(lora.path.rglob("*.safetensors")) if lora.path.is_dir() else [lora.path]
        yield from (f"{lora.label} {lora.weight} {digest_of(path)}" for path in files if path.is_file())


def _snapshot(source: Source, revision: str) -> Path | None:
    """Folder of a repository in the hub's cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(str(source.hub), revision=revision, local_files_only=True)
    except (LocalEntryNotFoundError, OSError, ValueError):
        return None
    place = Path(folder) / source.subfolder
    return place if place.exists() else None


def _whole(name: str, source: Source, place: Path, command: str) -> Found | Absent:
    """What lies in a folder, where that is enough to load the component."""
    if source.file:
        place = place / source.file
    if place.is_file():
        return Found(place, {place.name: place})
    files = {path.relative_to(place).as_posix(): path for path in sorted(place.rglob("*")) if path.is_file()}
    if name in _WEIGHTS and not any(file.endswith(".safetensors") for file in files):
        unsafe = [file for file in files if file.endswith(_UNSAFE)]
        if unsafe:
            return Absent(f"{unsafe[0]} is a pickle, which can run code; only safetensors are read", command)
        return Absent(f"{place} has no weights", command)
    config = {"tokenizer": "tokenizer_config.json", "scheduler": "scheduler_config.json"}.get(
        name, "config.json"
    )
    if name != "segmenter" and config not in files:
        return Absent(f"{place} has no {config}", command)
    return Found(place, files)
