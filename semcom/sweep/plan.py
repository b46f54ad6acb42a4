"""The points of a scenario, expanded one group at a time: a plan of a million points costs no memory.

A group is everything that shares one encoding: a system, a link, a budget and an image, at all SNRs; at one
SNR where the link adapts its MCSs to it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from semcom.files import read_limited
from semcom.picture.limits import MAX_FILE_BYTES, SUFFIXES
from semcom.seeds import realisation
from semcom.sweep import identity, parts
from semcom.sweep.canonical import canonical
from semcom.sweep.grid import Grid
from semcom.sweep.problems import Problem, ScenarioError, from_validation
from semcom.sweep.scenario import BudgetSpec, Scenario, assign

_SAMPLES = Path(__file__).resolve().parent.parent / "samples"


@dataclass(frozen=True)
class Photo:
    """An image file. Its bytes, not its name or place, decide the identity of a point."""

    name: str
    path: str
    sha256: str | None
    """None where the file cannot be read."""

    @property
    def identity(self) -> str:
        """What tells it apart from others."""
        return self.sha256 or f"unreadable: {self.name}"


@dataclass(frozen=True)
class Scene:
    """What does not depend on the image or the SNR.

    Attributes:
        label: of the system in the scenario.
        labels: names of variants on their axes. Neither is part of what is simulated.
        made_with: versions and hashes of what the system and the link are made of.
    """

    label: str
    kind: str
    options: Mapping[str, Any]
    link: Mapping[str, Any]
    budget: Mapping[str, Any]
    labels: Mapping[str, str]
    made_with: Mapping[str, str]

    def describe(self) -> dict[str, Any]:
        """What goes into the description of a point."""
        names = ("kind", "options", "link", "budget", "made_with")
        return {name: getattr(self, name) for name in names}

    @property
    def parts_key(self) -> str:
        """Canonical description of the system and what it is made of: equal keys, equal reconstructions."""
        return canonical([self.kind, self.options, self.made_with])


@dataclass(frozen=True)
class Group:
    """Points that differ in SNR only."""

    scene: Scene
    photo: Photo
    keep_pictures: bool
    seed: int
    snrs_db: tuple[float, ...]
    head: str
    channel: str

    @classmethod
    def of(cls, scene: Scene, photo: Photo, keep: bool, seed: int, snrs: tuple[float, ...]) -> Group:
        """A group with the canonical description of its points cut at the SNR."""
        head = head_of(scene.describe(), photo.identity, seed)
        channel = canonical(parts.channel_of(scene.link))
        return cls(scene, photo, keep, seed, snrs, head, channel)

    def description(self, snr_db: float) -> str:
        """Canonical JSON of one point."""
        return self.head + _number(snr_db) + "}"

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Of the points, in the order of `snrs_db`."""
        return ids_of(self.head, self.snrs_db)

    def seed_of(self, snr_db: float, trial: int) -> int:
        """Seed of a channel realisation: the same for all systems."""
        return realisation(self.seed, self.photo.identity, self.channel, snr_db, trial)

    def names(self) -> dict[str, Any]:
        """How people call what a point of this group is, for lists of failures."""
        image = {"name": self.photo.name, "sha256": self.photo.identity}
        return {"system": self.scene.label, "labels": dict(self.scene.labels), "image": image}


def head_of(scene: Mapping[str, Any], photo: str, seed: int) -> str:
    """Canonical JSON of the points of a group up to the SNR, which is its last key."""
    return canonical({**scene, "image": photo, "seed": seed})[:-1] + ',"snr_db":'


def ids_of(head: str, snrs_db: Sequence[float]) -> tuple[str, ...]:
    """SHA-256 of the descriptions of a group's points."""
    start, ids = sha256(head.encode()), []
    for snr_db in snrs_db:
        hashed = start.copy()
        hashed.update((_number(snr_db) + "}").encode())
        ids.append(hashed.hexdigest())
    return tuple(ids)


@lru_cache(maxsize=4096)
def _number(value: float) -> str:
    return canonical(value)


class Plan:
    """All points of a scenario.

    Args:
        scenario: checked, see `scenario.load`.

    Raises:
        ScenarioError: an image entry matches nothing, two images have one name, or a combination of axis
            values is no valid link.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.photos = find_photos(scenario.images)
        self.columns = {name: identity.metric_column(name) for name in scenario.metrics}
        self.snrs_db = tuple(float(snr_db) for snr_db in scenario.grid["snr_db"].values)
        self.num_scenes = sum(1 for _ in self.scenes())

    def __len__(self) -> int:
        return self.num_scenes * len(self.photos) * len(self.snrs_db)

    def scenes(self) -> Iterator[Scene]:
        """Systems × their axes × the common axes."""
        for label, system in self.scenario.systems.items():
            axes = {**self.scenario.grid, **system.grid}
            del axes["snr_db"]
            base = {
                "options": system.options,
                "link": self.scenario.link,
                "budget": self.scenario.budget.model_dump(exclude_none=True),
            }
            for labels, settings in _product(axes):
                yield _scene(label, system.system or label, base, labels, settings, self._made_with)

    @cached_property
    def _made_with(self) -> Callable[[str, Mapping[str, Any], Mapping[str, Any]], dict[str, str]]:
        known: dict[str, dict[str, str]] = {}

        def of(kind: str, options: Mapping[str, Any], link: Mapping[str, Any]) -> dict[str, str]:
            key = canonical([kind, options, link["kind"], parts.channel_of(link)])
            if key not in known:
                known[key] = identity.made_with(kind, options, link)
            return known[key]

        return of

    def groups(self) -> Iterator[Group]:
        """Images innermost, so that a message that serves several links is encoded before it is asked for.

        What is the same under several names is there under each.
        """
        for scene in self.scenes():
            snrs_db = self.snrs_of(scene)
            together = [(snr_db,) for snr_db in snrs_db] if parts.adapts(scene.link) else [snrs_db]
            for snrs in together:
                for index, photo in enumerate(self.photos):
                    keep = index < self.scenario.pictures
                    yield Group.of(scene, photo, keep, self.scenario.seed, snrs)

    def snrs_of(self, scene: Scene) -> tuple[float, ...]:
        """SNRs of a scene: those of the grid."""
        return self.snrs_db


def find_photos(entries: tuple[str, ...]) -> list[Photo]:
    """Image files of files, folders, glob patterns and `sample:NAME`, each once.

    Raises:
        ScenarioError: an entry matches nothing, or two files have the same name.
    """
    paths: dict[Path, None] = {}
    for index, entry in enumerate(entries):
        found = _matches(entry)
        if not found:
            hint = "give files, folders, patterns or sample:NAME, or use --images"
            raise ScenarioError([Problem(("images", index), f"no image matches {entry!r}; {hint}")])
        paths |= dict.fromkeys(found)
    by_name: dict[str, Path] = {}
    for path in paths:
        if path.name in by_name:
            both = f"{by_name[path.name]} and {path}"
            raise ScenarioError([Problem(("images",), f"two images have one name, rename one: {both}")])
        by_name[path.name] = path
    return [Photo(name, str(path), _hash(path)) for name, path in by_name.items()]


def _matches(entry: str) -> list[Path]:
    if entry.startswith("sample:"):
        name = entry.removeprefix("sample:")
        return [] if "/" in name or ".." in name else sorted(_SAMPLES.glob(name + ".*"))
    path = Path(os.path.expanduser(entry))  # noqa: PTH111 – leaves an unknown user as written
    if path.is_dir():
        return sorted(child for child in path.iterdir() if child.suffix.lower() in SUFFIXES)
    if path.exists():
        return [path]
    return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))


def _hash(path: Path) -> str | None:
    """None where there is nothing to read: pipes and devices would never end."""
    try:
        return sha256(read_limited(path, MAX_FILE_BYTES)).hexdigest()
    except OSError:
        return None


def _product(axes: Grid) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """(labels of variants, {path: value}) for each combination of positions."""
    for position in itertools.product(*(list(axis.settings(name)) for name, axis in axes.items())):
        labels = {
            name: variant for name, (variant, _) in zip(axes, position, strict=True) if variant is not None
        }
        settings: dict[str, Any] = {}
        for _, values in position:
            settings |= values
        yield labels, settings


def _scene(
    label: str,
    kind: str,
    base: Mapping[str, Any],
    labels: Mapping[str, str],
    settings: Mapping[str, Any],
    made_with: Callable[[str, Mapping[str, Any], Mapping[str, Any]], dict[str, str]],
) -> Scene:
    tree = dict(base)
    for path, value in settings.items():
        if path.startswith("budget."):
            tree["budget"] = {}  # the three ways of giving a budget exclude each other
        tree = assign(tree, path, value)
    try:
        link = parts.resolve_link(tree["link"])
        budget = BudgetSpec.model_validate(tree["budget"]).model_dump(exclude_none=True)
    except ValueError as error:
        where = ", ".join(f"{path}={value}" for path, value in settings.items())
        problems = [Problem(("link",), str(error))]
        if isinstance(error, ValidationError):
            problems = from_validation(error, (), ())
        raise ScenarioError(
            [
                Problem(("grid",), f"{p.message} ({'.'.join(map(str, p.location))} at {where})")
                for p in problems
            ]
        ) from error
    made = made_with(kind, tree["options"], link)
    return Scene(label, kind, tree["options"], link, budget, labels, made)
