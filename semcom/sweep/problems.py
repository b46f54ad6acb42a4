"""Errors of a scenario file: file, line, offending key, and the nearest key that would be valid."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from semcom import yaml_files
from semcom.yaml_files import shown

Location = tuple[str | int, ...]

_UNITS = {
    "_db": "dB",
    "_hz": "Hz",
    "_khz": "kHz",
    "_ns": "ns",
    "_s": "s",
    "_kmh": "km/h",
    "_m": "m",
    "_deg": "degrees",
    "_km": "km",
    "bpp": "bits per pixel",
    "seconds": "s",
}


@dataclass(frozen=True)
class Problem:
    """Something wrong at a place of the scenario; `nearest` is a valid key to use instead."""

    location: Location
    message: str
    nearest: str | None = None


class ScenarioError(ValueError):
    """A scenario cannot be used. One line per problem: file, line, key, what to write instead.

    Attributes:
        problems: all that was found.
    """

    def __init__(self, problems: Sequence[Problem], source: Source | None = None) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(_line(problem, source) for problem in problems))


class Source:
    """A YAML document that remembers the line of every key.

    Args:
        path: named in errors.
        text: of the document.

    Raises:
        ScenarioError: it is empty, no mapping, or not read; see `semcom.yaml_files`.
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.data: Any
        try:
            self.data, self._root = yaml_files.parse(text, path)
        except yaml_files.YamlError as error:
            raise ScenarioError([Problem((), str(error))]) from error
        if self.data is None:
            raise ScenarioError([Problem((), f"{path} is empty")])
        if not isinstance(self.data, dict):
            raise ScenarioError([Problem((), f"{path}: must be a mapping of keys, not {shown(self.data)}")])

    def line(self, location: Location) -> int:
        """Line of the deepest key of a location that the document has, counted from 1."""
        node, line = self._root, 1
        for step in location:
            entry = _entry(node, step)
            if entry is None:
                break
            key, node = entry
            line = key.start_mark.line + 1
        return line


def read_source(path: str | Path) -> Source:
    """The document of a file. Raises `ScenarioError`."""
    try:
        return Source(Path(path), yaml_files.read(path))
    except yaml_files.YamlError as error:
        raise ScenarioError([Problem((), str(error))]) from error


def key_paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted paths of a model's fields, nested models included."""
    for name, field in model.model_fields.items():
        yield prefix + name
        for below in _models(field.annotation):
            yield from key_paths(below, f"{prefix}{name}.")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for argument in get_args(annotation):
            yield from _models(argument)


def nearest(key: str, valid: Iterable[str]) -> str | None:
    """The valid key that was probably meant: the same last part first, then the closest spelling."""
    key = key[:200]  # no name is longer, and the comparison would take long
    valid, leaf = list(valid), key.rsplit(".", 1)[-1]
    same_leaf = [name for name in valid if name.rsplit(".", 1)[-1] == leaf]
    if same_leaf:
        return min(same_leaf, key=len)
    close = difflib.get_close_matches(key, valid, n=1, cutoff=0.5)
    by_leaf = {name.rsplit(".", 1)[-1]: name for name in sorted(valid, key=len, reverse=True)}
    close_leaf = difflib.get_close_matches(leaf, by_leaf, n=1, cutoff=0.6)
    return close[0] if close else by_leaf[close_leaf[0]] if close_leaf else None


def from_validation(error: ValidationError, valid: Iterable[str], prefix: Location = ()) -> list[Problem]:
    """Problems of a pydantic error.

    Args:
        error: of validating the value at `prefix`.
        valid: dotted paths of all keys there.
        prefix: where in the document the validated value stands.
    """
    valid = list(valid)
    return [_problem(item, valid, prefix) for item in error.errors()]


def _problem(item: Any, valid: list[str], prefix: Location) -> Problem:
    relative = tuple(step for step in item["loc"] if step not in ("values", "variants") or not prefix)
    location, key = prefix + relative, ".".join(map(str, relative))
    if item["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return Problem(location, f"unknown key {str(location[-1])!r}", _hint(relative, nearest(key, valid)))
    if item["type"] in ("missing", "missing_argument"):
        return Problem(location, f"the key {str(location[-1])!r} is missing")
    message = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if item["type"] == "value_error":
        return Problem(location, message)
    return Problem(location, f"must be {message}{_unit(location)}, not {shown(item['input'])}")


def _hint(relative: Location, found: str | None) -> str | None:
    """A key of the same mapping without its path, any other with it."""
    if found is None:
        return None
    *parents, leaf = found.split(".")
    misspelt = leaf != str(relative[-1]) and set(parents) <= set(map(str, relative[:-1]))
    return leaf if misspelt else found if parents else f"{leaf} at the top level"


def _unit(location: Location) -> str:
    key = str(location[-1]) if location else ""
    unit = next((unit for suffix, unit in _UNITS.items() if key.endswith(suffix)), None)
    return f", a plain number in {unit}" if unit else ""


def _line(problem: Problem, source: Source | None) -> str:
    where = f"{source.path}:{source.line(problem.location)}: " if source else ""
    key = ".".join(map(str, problem.location))
    hint = f"; did you mean {problem.nearest!r}?" if problem.nearest else ""
    return f"{where}{key + ': ' if key else ''}{problem.message}{hint}"


def _entry(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((k, v) for k, v in node.value if k.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None
