"""What a run folder is of, in a file of its own: `plan.json`, all by value, so that reading needs no code.

Names live here and not in the results: a label, an image or a metric that is renamed renames what was
simulated, and results of other weights or code are kept apart, because they have other ids.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from semcom.files import read_limited
from semcom.sweep import identity, parts
from semcom.sweep.atomic import write_atomically
from semcom.sweep.canonical import canonical
from semcom.sweep.plan import Plan, head_of, ids_of
from semcom.sweep.scenario import StopSpec
from semcom.sweep.store import FORMAT, Store

FILE = "plan.json"
_MOST_BYTES = 1 << 30


class _Data(BaseModel):
    """What a `plan.json` holds at least."""

    class Metric(BaseModel):
        column: str
        higher_is_better: bool
        label: str
        digits: int = Field(ge=0, le=20)
        range: tuple[float | None, float | None]
        sparse: bool = False

    class Image(BaseModel):
        name: str
        sha256: str

    class Scene(BaseModel):
        class What(BaseModel):
            kind: str
            options: dict[str, Any]
            link: dict[str, Any]
            budget: dict[str, float]
            made_with: dict[str, str]

        system: str
        labels: dict[str, str]
        seed: int
        snrs_db: list[Annotated[float, Field(allow_inf_nan=False)]]
        what: What

    stop: StopSpec
    metrics: dict[str, Metric]
    images: list[Image]
    scenes: list[Scene]


@dataclass(frozen=True)
class Named:
    """A point as a table shows it."""

    system: str
    image: str
    labels: Mapping[str, str]


class Contents:
    """Scenes, images and metrics of a run.

    Args:
        data: what `plan.json` holds.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.stop = StopSpec.model_validate(data["stop"])
        self.metrics: Mapping[str, Mapping[str, Any]] = data["metrics"]
        self._scenes: dict[str, list[dict[str, Any]]] = {}
        for scene in data["scenes"]:
            self._scenes.setdefault(canonical(scene["what"]), []).append(scene)
        self._images: dict[str, list[str]] = {}
        for image in data["images"]:
            self._images.setdefault(image["sha256"], []).append(image["name"])

    @classmethod
    def of(cls, plan: Plan) -> Contents:
        """Of a plan."""
        scenario = plan.scenario
        return cls(
            {
                "format": FORMAT,
                "stop": scenario.stop.model_dump(mode="json"),
                "metrics": {
                    name: {"column": column} | parts.metric(name).describe()
                    for name, column in plan.columns.items()
                },
                "images": [{"name": photo.name, "sha256": photo.identity} for photo in plan.photos],
                "scenes": [
                    {
                        "system": scene.label,
                        "labels": dict(scene.labels),
                        "seed": scenario.seed,
                        "snrs_db": list(plan.snrs_of(scene)),
                        "what": json.loads(canonical(scene.describe())),
                    }
                    for scene in plan.scenes()
                ],
            }
        )

    @classmethod
    def read(cls, folder: Path) -> Contents:
        """Of a run folder. Raises ValueError if it has none that can be read."""
        path = folder / FILE
        try:
            data = json.loads(read_limited(path, _MOST_BYTES))
            _Data.model_validate(data, strict=False)
            return cls(data)
        except FileNotFoundError:
            why = "is missing: the command that made the run writes it again and simulates nothing twice"
            raise ValueError(f"{path} {why}") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"{path} cannot be used: {reason}; the command of the run writes it again"
            ) from error

    def write(self, folder: Path) -> None:
        """Into a run folder. Raises OSError."""
        write_atomically(folder / FILE, (json.dumps(self.data, indent=1) + "\n").encode())

    def names(self, point: Mapping[str, Any]) -> Iterator[Named]:
        """What the run calls a point: nothing where it is of another scenario, of other weights or code."""
        what = {name: point[name] for name in ("kind", "options", "link", "budget", "made_with")}
        for scene in self._scenes.get(canonical(what), ()):
            if scene["seed"] == point["seed"]:
                for image in self._images.get(point["image"], ()):
                    yield Named(scene["system"], image, scene["labels"])

    def ids(self) -> Iterator[str]:
        """Ids of all points, each once."""
        given: set[str] = set()
        for scene in self.data["scenes"]:
            for photo in self._images:
                for key in ids_of(head_of(scene["what"], photo, scene["seed"]), scene["snrs_db"]):
                    if key not in given:
                        given.add(key)
                        yield key

    def together(self, other: Contents) -> Contents:
        """Of two runs. Raises ValueError where one thing was made with different weights or code."""
        changed = self.changes(other)
        if changed:
            raise ValueError(f"the runs cannot be put together: {changed[0]}")
        scenes: dict[str, dict[str, Any]] = {}
        for scene in (*self.data["scenes"], *other.data["scenes"]):
            known = scenes.setdefault(_same_but_code(scene), scene | {"snrs_db": []})
            known["snrs_db"] = sorted({*known["snrs_db"], *scene["snrs_db"]})
        images = [*self.data["images"], *(i for i in other.data["images"] if i not in self.data["images"])]
        metrics = {**other.metrics, **self.metrics}
        return Contents({**self.data, "scenes": list(scenes.values()), "images": images, "metrics": metrics})

    def changes(self, now: Contents) -> list[str]:
        """One sentence for each thing that has the same name in another plan, and other weights or code."""
        before = {_same_but_code(scene): scene["what"]["made_with"] for scene in self.data["scenes"]}
        found: dict[str, None] = {}
        for scene in now.data["scenes"]:
            made_with = before.get(_same_but_code(scene), scene["what"]["made_with"])
            for difference in identity.differences(made_with, scene["what"]["made_with"]):
                found[f"{scene['system']}: {difference}"] = None
        photos = {image["name"]: image["sha256"] for image in self.data["images"]}
        for image in now.data["images"]:
            had = photos.get(image["name"], image["sha256"])
            if had != image["sha256"]:
                found[f"image {image['name']}: was {had[:12]}, is {image['sha256'][:12]}"] = None
        for name, described in now.metrics.items():
            column = self.metrics.get(name, described)["column"]
            if column != described["column"]:
                found[f"metric {name}: was {column}, is {described['column']}"] = None
        return list(found)


def _same_but_code(scene: Mapping[str, Any]) -> str:
    what = {name: value for name, value in scene["what"].items() if name != "made_with"}
    return canonical([scene["system"], scene["labels"], scene["seed"], what])


def is_run(folder: Path) -> bool:
    """Whether a folder is one of a run."""
    return Store(folder).shards.is_dir()
