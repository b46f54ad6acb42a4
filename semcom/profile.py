"""Profiles: one folder with the configuration and the weights of every model of the semantic system.

    profiles/tiny/profile.json       version, and per part: file, SHA-256, configuration
    profiles/tiny/enhancer.safetensors …
    profiles/tiny/enhancer.card.json …   how the part was trained

Weights are safetensors only. Everything is checked before anything is used: a folder that is damaged,
incomplete or of another version gives one `ProfileError` and nothing half-loaded.

A profile whose generator is a published model has a `profile.yaml` (`semcom.latent.spec`); what it does not
have itself it takes from its base.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from semcom.files import MIB, read_limited
from semcom.profile_checks import UnfitError, check_config, check_tensors

if TYPE_CHECKING:
    from semcom.latent.spec import LatentSpec

PROFILE_VERSION = 1
LATENT_MARKS = ("profile.yaml", "model_index.json")
"""Files by which a folder is a profile with published models."""
_MARKS = ("profile.json", *LATENT_MARKS)
_MAX_MANIFEST_BYTES, _MAX_PART_BYTES = MIB, 16 << 30
Module = TypeVar("Module", bound=nn.Module)
_Parts = Mapping[str, tuple[dict[str, Any], dict[str, Tensor]]]


class ProfileError(ValueError):
    """A profile folder that cannot be used; the message names the file and the reason."""


class Profile:
    """A checked profile: configurations and tensors by part name.

    Args:
        name: of the profile.
        folder: it was read from.
        parts: configuration and tensors per part.
        latent: what published models make its pictures, and the profile that the other parts are of.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        parts: _Parts,
        latent: tuple[LatentSpec, Profile] | None = None,
    ) -> None:
        self.name, self._folder, self._parts = name, folder, parts
        self.latent = None if latent is None else latent[0]
        self._base = None if latent is None else latent[1]

    @classmethod
    def open(cls, source: str | Path = "tiny", overrides: Sequence[str] = ()) -> Profile:
        """Reads a shipped profile by name or a folder by path.

        Args:
            source: name or folder.
            overrides: NAME=VALUE of a profile.yaml's fields.

        Raises:
            ProfileError: no such profile, another version, or a file that is missing, damaged, foreign
                or holds a value that is not finite; or overrides of a profile without a profile.yaml.
        """
        folder = folder_of(source)
        parts: _Parts = {}
        name = folder.resolve().name
        latent = any((folder / mark).is_file() for mark in LATENT_MARKS)
        if (folder / "profile.json").exists() or not latent:
            manifest = _manifest(folder)
            parts = {part: _read_part(folder, part, entry) for part, entry in manifest["parts"].items()}
            name = str(manifest["name"])
        if latent:
            return cls._open_latent(name, folder, parts, overrides)
        if overrides:
            raise ProfileError(f"--set {overrides[0]}: profile {name} has no published models to set")
        return cls(name, folder, parts)

    @classmethod
    def _open_latent(cls, name: str, folder: Path, parts: _Parts, overrides: Sequence[str]) -> Profile:
        from semcom.latent.spec import SpecError, read

        try:
            spec = read(folder, overrides)
        except SpecError as error:
            raise ProfileError(str(error)) from error
        base = cls.open(spec.base)
        if base.latent is not None:
            raise ProfileError(f"profile {name}: its base {spec.base} has published models itself; give tiny")
        return cls(name, folder, {**base._parts, **parts}, (spec, base))

    def __contains__(self, part: str) -> bool:
        return part in self._parts

    @property
    def parts(self) -> list[str]:
        """Names of all parts."""
        return list(self._parts)

    def size(self, part: str) -> int:
        """Numbers that a part holds."""
        return sum(tensor.numel() for tensor in self.tensors(part).values())

    def copy_own_parts(self, folder: Path) -> None:
        """Copies the parts that the folder of the profile holds itself, with their manifest and cards."""
        if (self._folder / "profile.json").is_file():
            entries = _manifest(self._folder)["parts"]
            cards = [
                f"{part}.card.json" for part in entries if (self._folder / f"{part}.card.json").is_file()
            ]
            for file in ["profile.json", *(entry["file"] for entry in entries.values()), *cards]:
                shutil.copyfile(self._folder / file, folder / file)

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, which holds that of every part: what a cached result belongs to.

        Of published models it is that of every file that is used, besides the base's.
        """
        if self.latent is None or self._base is None:
            return sha256((self._folder / "profile.json").read_bytes()).hexdigest()
        from semcom.latent.sources import content

        own = self._folder / "profile.json"
        marks = [self._base.digest, self.latent.model_dump_json(), *content(self.name, self.latent)]
        marks += [own.read_text()] if own.is_file() else []
        return sha256("\n".join(marks).encode()).hexdigest()

    def build(self, part: str, factory: type[Module]) -> Module:
        """The model of a part, in float32, evaluation mode, frozen.

        Raises:
            ProfileError: the part is missing, or its tensors are not those of the model.
        """
        config, tensors = self._part(part)
        try:
            model = factory(**config)
            model.load_state_dict(tensors)
        except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError, AssertionError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ProfileError(
                f"profile {self.name}: part {part} does not fit its model: {reason}"
            ) from error
        return model.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    def card(self, part: str) -> dict[str, Any]:
        """How a part was trained."""
        if self._base is not None and not (self._folder / f"{part}.card.json").is_file():
            return self._base.card(part)
        card: dict[str, Any] = json.loads((self._folder / f"{part}.card.json").read_text())
        return card

    def tensors(self, part: str) -> dict[str, Tensor]:
        """Tensors of a part that is not a network, such as integer tables."""
        return self._part(part)[1]

    def require(self, part: str) -> None:
        """Raises `ProfileError` where the profile has no such part."""
        self._part(part)

    def _part(self, part: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
        if part not in self._parts:
            raise ProfileError(f"profile {self.name} has no part {part!r}; it has {', '.join(self._parts)}")
        return self._parts[part]


def write_part(
    folder: Path, part: str, config: dict[str, Any], tensors: Mapping[str, Tensor], card: Any
) -> None:
    """Adds or replaces a part: floating-point tensors are stored as float16, integers as they are."""
    stored = {
        name: value.detach()
        .cpu()
        .to(torch.float16 if value.is_floating_point() else value.dtype)
        .contiguous()
        for name, value in tensors.items()
    }
    file = f"{part}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(stored, folder / file)
    path = folder / "profile.json"
    manifest: dict[str, Any] = {"name": folder.name, "parts": {}}
    if path.exists():
        manifest = json.loads(path.read_text())
    manifest["version"] = PROFILE_VERSION
    digest = sha256((folder / file).read_bytes()).hexdigest()
    manifest["parts"][part] = {"file": file, "sha256": digest, "config": config}
    path.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    (folder / f"{part}.card.json").write_text(json.dumps(card, indent=1) + "\n")


def shipped() -> list[str]:
    """Names of the profiles that come with semcom."""
    here = Path(str(files("semcom"))) / "profiles"
    return sorted({path.parent.name for mark in _MARKS for path in here.glob(f"*/{mark}")})


def folder_of(source: str | Path) -> Path:
    """A shipped profile by its bare name, for which no folder of that name stands in unasked; or a path."""
    known, folder = shipped(), Path(source)
    there = any(os.path.lexists(folder / mark) for mark in _MARKS)
    if str(source) in known and not (there and isinstance(source, Path)):
        return Path(str(files("semcom"))) / "profiles" / source
    if there:
        return folder
    name = repr(str(source)[:200])
    raise ProfileError(
        f"no profile {name}: neither a folder with a profile.json or .yaml nor one of {', '.join(known)}"
    )


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "profile.json"
    try:
        manifest = json.loads(read_limited(path, _MAX_MANIFEST_BYTES))
        version, parts = manifest["version"], manifest["parts"]
        complete = all({"file", "sha256", "config"} <= entry.keys() for entry in parts.values())
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProfileError(f"{path}: not a profile manifest ({str(error)[:200]})") from error
    if version != PROFILE_VERSION:
        shown = str(version)[:40]
        raise ProfileError(f"{path}: profile version {shown}, this program reads version {PROFILE_VERSION}")
    if not complete or "name" not in manifest:
        raise ProfileError(f"{path}: every part needs file, sha256 and config, and the profile a name")
    return dict(manifest)


def _read_part(folder: Path, part: str, entry: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    file = entry["file"]
    if not isinstance(file, str) or not file or Path(file).name != file:
        raise ProfileError(f"{folder}: the file of part {part[:60]!r} must be a name inside of the folder")
    path = folder / file
    if path.suffix != ".safetensors":
        raise ProfileError(f"{path}: weights are read from .safetensors only")
    try:
        blob = read_limited(path, _MAX_PART_BYTES)
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror or error}") from error
    if sha256(blob).hexdigest() != entry["sha256"]:
        raise ProfileError(f"{path}: SHA-256 is not the one in profile.json (damaged, truncated or foreign)")
    try:
        tensors = load(blob)
    except (SafetensorError, ValueError, KeyError, RuntimeError, MemoryError) as error:
        raise ProfileError(f"{path}: not a safetensors file ({str(error)[:200]})") from error
    floats = {n: v.float() if v.is_floating_point() else v for n, v in tensors.items()}
    try:
        config = check_config(entry["config"])
        check_tensors(part, floats)
    except UnfitError as error:
        raise ProfileError(f"{path}: {error}") from error
    return config, floats
