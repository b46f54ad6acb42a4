"""What has a name: built-in parts, parts found in a folder, and those that other packages register.

A package registers by a Python entry point, in its pyproject.toml:

    [project.entry-points."semcom.systems"]
    mine = "my_package.my_module:MySystem"

Nothing is imported before it is asked for, so that lists of names cost nothing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any


class Registry:
    """The parts of one kind by name.

    Args:
        kind: what they are, in one word, for errors.
        group: of entry points.
        built_in: `package.module:attribute` by name, or what returns that.
    """

    def __init__(
        self, kind: str, group: str, built_in: Mapping[str, str] | Callable[[], Mapping[str, str]]
    ) -> None:
        self.kind, self.group, self._built_in = kind, group, built_in

    def places(self) -> dict[str, str]:
        """`package.module:attribute` by name: what is installed cannot take a name built in."""
        built_in = self._built_in() if callable(self._built_in) else self._built_in
        return _installed(self.group) | dict(built_in)

    def names(self) -> list[str]:
        """Every name."""
        built_in = self._built_in() if callable(self._built_in) else self._built_in
        return [*built_in, *sorted(self.places().keys() - built_in.keys())]

    def __contains__(self, name: str) -> bool:
        return name in self.places()

    def load(self, name: str) -> Any:
        """The part itself.

        Raises:
            ValueError: no part has that name (with the nearest one), or its module cannot be imported.
        """
        places = self.places()
        if name not in places:
            raise ValueError(unknown(self.kind, name, self.names()))
        module, _, attribute = places[name].partition(":")
        try:
            part = import_module(module)
        except ModuleNotFoundError as error:
            raise ValueError(
                f"{self.kind} {name} needs the package {error.name}: pip install 'semcom[baselines]'"
                if module.startswith("semcom.")
                else f"{self.kind} {name}: {error}"
            ) from error
        for step in attribute.split("."):
            part = getattr(part, step)
        return part


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """`unknown system 'avfi'; did you mean 'avif'? Known: …`."""
    known = list(known)
    lower = {entry.lower(): entry for entry in known}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    hint = f"did you mean {lower[near[0]]!r}? Known" if near else "known"
    return f"unknown {kind} {name!r}; {hint}: {', '.join(known)}"


@cache
def marked(package: str, attribute: str) -> dict[str, str]:
    """`module:attribute` of each module of a package that has a line `attribute = …`, by the module's name.

    None of the modules is imported, because some need packages that aren't there.
    """
    mark = re.compile(rf"^{attribute}\b.*=", re.MULTILINE)
    folder = Path(str(import_module(package).__file__)).parent
    found = (path.stem for path in sorted(folder.glob("*.py")) if mark.search(path.read_text("utf-8")))
    return {name: f"{package}.{name}:{attribute}" for name in found}


@cache
def _installed(group: str) -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=group)}
