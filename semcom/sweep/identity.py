"""What made a point besides its description: the version of semcom, weights, and files of one's own.

A result belongs to what made it. These hashes are part of a point's identity, so that a retrained profile
or an edited codec is simulated anew, and what the old one gave is kept apart.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from semcom.provenance import versions
from semcom.sweep import parts

FILE_OPTIONS = ("mask", "captioner", "sam_checkpoint", "checkpoint", "checkpoints", "weights")
"""Options of systems that name files or folders; `profile` names a profile."""
_ROOT = Path(__file__).resolve().parents[2]
_SHOWN_DIGITS = 12


def made_with(kind: str, options: Mapping[str, Any], link: Mapping[str, Any]) -> dict[str, str]:
    """What a system and a resolved link are made of, by name, as hashes and versions.

    Raises:
        ValueError: a file that an option names cannot be read.
    """
    found = {"semcom": semcom_version()}
    for path, digest in parts.source_files("semcom.systems", kind).items():
        found[path] = digest[:_SHOWN_DIGITS]
    for path, digest in parts.source_files("semcom.links", link["kind"]).items():
        found[path] = digest[:_SHOWN_DIGITS]
    for path, digest in channel_files(link).items():
        found[path] = digest[:_SHOWN_DIGITS]
    for name, value in _with_defaults(kind, options).items():
        found |= {f"{name} {path}": hash_of(path, name) for path in _paths(name, value)}
    return found


def channel_files(link: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 by name of what a resolved link's channel is made of beside semcom: own code, own data."""
    if link["kind"] not in parts.CHANNEL_LINKS:
        return {}
    name, channel = parts.channel_model(link), link["channel"]
    found = parts.source_files("semcom.channel_models", name or channel["model"])
    of_model = {"cir": channel["dataset"]["file"], "rt": channel["ray_tracing"]["scene"]}
    data = of_model.get(channel["model"])
    if data is not None and (channel["model"] == "cir" or data.endswith(".xml")):
        found[f"channel {data}"] = hash_of(data, "channel")
    return found


def metric_column(name: str) -> str:
    """The column of a metric: its name, and for one that is not semcom's own the hash of its files."""
    files = parts.source_files("semcom.metrics", name)
    digest = sha256(repr(sorted(files.items())).encode()).hexdigest()[:_SHOWN_DIGITS]
    return f"{name}@{digest}" if files else name


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """In words, in what two are made of differs."""
    return [
        f"{name} was {before.get(name, 'not there')}, is {now.get(name, 'not there')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


@cache
def semcom_version() -> str:
    """Version, the commit that changed the code last, and a hash of what was changed since."""
    version = versions().get("semcom", "unknown")
    if not (_ROOT / ".git").exists():
        return version
    commit = _git("log", "-1", "--format=%h", "--abbrev=12", "--", "semcom", "channels")
    changed = _git("diff", "HEAD", "--", "semcom", "channels")
    edits = f"+{sha256(changed.encode()).hexdigest()[:8]}" if changed else ""
    return f"{version} {commit}{edits}".strip()


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_ROOT), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return run.stdout.strip() if run.returncode == 0 else ""


def _with_defaults(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    model = parts.options_model(kind)
    fields = {} if model is None else model.model_fields
    return {name: field.get_default() for name, field in fields.items()} | dict(options)


def _paths(name: str, value: Any) -> Iterator[str]:
    if name == "profile" or name in FILE_OPTIONS:
        many = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        yield from (str(path) for path in many if isinstance(path, str | Path))
    if name == "set":
        places = (str(setting).partition("=")[2] for setting in value)
        yield from (place for place in places if place and Path(place).exists())


def hash_of(path: str, option: str) -> str:
    """Of a profile its manifest, which has the hash of every part; of a file its bytes; of a folder all.

    Of a profile with published models that of everything that they use.
    """
    if option == "profile":
        from semcom.profile import LATENT_MARKS, Profile, folder_of

        folder = folder_of(path)
        if any((folder / mark).is_file() for mark in LATENT_MARKS):
            return Profile.open(path).digest[:_SHOWN_DIGITS]
        return _hash_file(folder / "profile.json")[:_SHOWN_DIGITS]
    place, hashed = Path(path), sha256()
    for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
        if file.is_file():
            hashed.update(f"{file.name} {_hash_file(file)}\n".encode())
    return hashed.hexdigest()[:_SHOWN_DIGITS]


def _hash_file(file: Path) -> str:
    with file.open("rb") as content:
        return file_digest(content, "sha256").hexdigest()
