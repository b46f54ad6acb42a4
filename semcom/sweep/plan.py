"""The points of a scenario, expanded one group at a time: a plan of a million points costs no memory.

A group is everything that shares one encoding: a system, a link, a budget and an image, at all SNRs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from semcom.files import read_limited
from semcom.picture.limits import MAX_FILE_BYTES, SUFFIXES
from semcom.sweep import parts
from semcom.sweep.canonical import canonical
from semcom.sweep.grid import Grid
from semcom.sweep.problems import Problem, ScenarioError, from_validation
from semcom.sweep.scenario import BudgetSpec, Scenario, assign

_SAMPLES = Path(__file__).resolve().parent.parent / "samples"


@dataclass(frozen=True)
class Photo:
    """An image file. Its bytes, not its place, decide the identity of a point."""

    name: str
    path: str
    sha256: str | None
    """None where the file cannot be read."""

    def describe(self) -> dict[str, Any]:
        """What goes into the description of a point."""
        return {"name": self.name, "sha256": self.sha256}


@dataclass(frozen=True)
class Scene:
    """What does not depend on the image or the SNR; `labels` are the names of variants on their axes."""

    label: str
    kind: str
    options: Mapping[str, Any]
    link: Mapping[str, Any]
    budget: Mapping[str, Any]
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Group:
    """Points that differ in SNR only."""

    scene: Scene
    photo: Photo
    keep_pictures: bool
    seed: int
    metrics: tuple[str, ...]
    snrs_db: tuple[float, ...]
    head: str
    tail: str

    @classmethod
    def of(cls, scenario: Scenario, scene: Scene, photo: Photo, keep: bool, snrs: tuple[float, ...]) -> Group:
        """A group with the canonical description of its points cut at the SNR."""
        before = {
            "budget": scene.budget,
            "image": photo.describe(),
            "kind": scene.kind,
            "labels": scene.labels,
            "link": scene.link,
            "metrics": sorted(scenario.metrics),
            "options": scene.options,
            "seed": scenario.seed,
        }
        head = canonical(before)[:-1] + ',"snr_db":'
        tail = ',"system":' + canonical(scene.label) + "}"
        return cls(scene, photo, keep, scenario.seed, scenario.metrics, snrs, head, tail)

    def description(self, snr_db: float) -> str:
        """Canonical JSON of one point."""
        return self.head + _number(snr_db) + self.tail

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Of the points, in the order of `snrs_db`."""
        start = sha256(self.head.encode())
        ids = []
        for snr_db in self.snrs_db:
            hashed = start.copy()
            hashed.update((_number(snr_db) + self.tail).encode())
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
                yield _scene(label, system.system or label, base, labels, settings)

    def groups(self) -> Iterator[Group]:
        """Images innermost, so that a message that serves several links is encoded before it is asked for."""
        for scene in self.scenes():
            for index, photo in enumerate(self.photos):
                keep = index < self.scenario.pictures
                yield Group.of(self.scenario, scene, photo, keep, self.snrs_db)


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
        return sorted(_SAMPLES.glob(entry.removeprefix("sample:") + ".*"))
    path = Path(entry).expanduser()
    if path.is_dir():
        return sorted(child for child in path.iterdir() if child.suffix.lower() in SUFFIXES)
    if path.exists():
        return [path]
    return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))


def _hash(path: Path) -> str | None:
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
    label: str, kind: str, base: Mapping[str, Any], labels: Mapping[str, str], settings: Mapping[str, Any]
) -> Scene:
    tree = dict(base)
    for path, value in settings.items():
        if path.startswith("budget."):
            tree["budget"] = {}  # the three ways of giving a budget exclude each other
        tree = assign(tree, path, value)
    try:
        link = parts.resolve_link(tree["link"])
        budget = BudgetSpec.model_validate(tree["budget"]).model_dump(exclude_none=True)
    except ValidationError as error:
        where = ", ".join(f"{path}={value}" for path, value in settings.items())
        problems = from_validation(error, (), ())
        raise ScenarioError(
            [
                Problem(("grid",), f"{p.message} ({'.'.join(map(str, p.location))} at {where})")
                for p in problems
            ]
        ) from error
    return Scene(label, kind, tree["options"], link, budget, labels)
