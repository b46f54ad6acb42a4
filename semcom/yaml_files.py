"""YAML of strangers: a small part of the language, within limits, each refusal one line with file and line.

What is read is mappings with text keys, lists, text, finite numbers, true, false and null (YAML 1.2). Dates,
`1:30`, sets, bytes and other tags, of which YAML 1.1 makes values that nobody meant, are text or an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from semcom.files import read_limited

MAX_BYTES = 256 << 10
MAX_VALUES = 20_000
"""Of a document, those of aliases counted at each place."""
MAX_DEPTH = 30
_MAX_DIGITS = 30
_PREFIX = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0o[0-7_]+)$")
_FLOAT = re.compile(r"[-+]?(\.[0-9_]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?$")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$")
_DIGITS = "-+0123456789."


class YamlError(ValueError):
    """A document that is not read; the message is `file:line: reason`."""


class _Loader(yaml.SafeLoader):
    """Composes nodes up to a depth, and finds no dates and no numbers to base sixty."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        depth = self._depth = getattr(self, "_depth", 0) + 1
        if depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"deeper than {MAX_DEPTH} levels", problem_mark=self.mark())
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def mark(self) -> Any:
        """Where the next event begins."""
        return self.peek_event().start_mark


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag[len(_PREFIX) :] in ("bool", "null", "merge")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _first in _DIGITS:
    for _name, _pattern in (("int", _INT), ("float", _FLOAT), ("float", _NOT_FINITE)):
        _Loader.yaml_implicit_resolvers.setdefault(_first, []).append((_PREFIX + _name, _pattern))


def parse(text: str, path: str | Path) -> tuple[Any, yaml.Node | None]:
    """The data of a document, and its nodes, which know their lines; (None, None) of an empty one.

    Raises:
        YamlError: it is not YAML, too large, too deep, or holds what is not read.
    """
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise YamlError(f"{path}:{line}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        line = 1 + text.count("\n", 0, getattr(error, "position", 0))
        reason = getattr(error, "reason", None) or type(error).__name__
        raise YamlError(f"{path}:{line}: not YAML: {reason}") from error
    return (None, None) if root is None else (_Values(path).of(root), root)


def read(path: str | Path) -> str:
    """The text of a YAML file.

    Raises:
        YamlError: it cannot be read, is larger than any that a person writes, or is not UTF-8.
    """
    try:
        return read_limited(path, MAX_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise YamlError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise YamlError(f"{path}: cannot be read: not UTF-8 text") from error


class _Values:
    """Plain data of nodes, counted."""

    def __init__(self, path: str | Path) -> None:
        self._path, self._count = path, 0
        self._around: list[int] = []

    def of(self, node: yaml.Node) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            raise self._error(node, f"more than {MAX_VALUES} values, repeated ones counted")
        if id(node) in self._around:
            raise self._error(node, "an alias of what it stands in")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if len(self._around) >= MAX_DEPTH:
            raise self._error(node, f"deeper than {MAX_DEPTH} levels")
        self._around.append(id(node))
        if isinstance(node, yaml.SequenceNode) and node.tag == _PREFIX + "seq":
            value: Any = [self.of(item) for item in node.value]
        elif isinstance(node, yaml.MappingNode) and node.tag == _PREFIX + "map":
            value = self._mapping(node)
        else:
            raise self._error(node, f"the tag {node.tag[:60]!r} is not read")
        self._around.pop()
        return value

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, item in node.value:
            value = self.of(item)
            if key.tag == _PREFIX + "merge":
                for other in value if isinstance(value, list) else [value]:
                    if not isinstance(other, dict):
                        raise self._error(key, "'<<' takes a mapping or a list of them")
                    merged = other | merged
            elif not isinstance(key, yaml.ScalarNode):
                raise self._error(key, "a key must be a word")
            elif key.value in own:
                raise self._error(key, f"the key {key.value[:60]!r} is there twice")
            else:
                own[key.value] = value
        return merged | own

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text, kind = node.value, node.tag.removeprefix(_PREFIX)
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return bool(yaml.SafeLoader.bool_values.get(text.lower(), False))
        if kind not in ("int", "float") or not any(p.match(text) for p in (_INT, _FLOAT, _NOT_FINITE)):
            raise self._error(node, f"the tag {node.tag[:60]!r} is not read")
        if len(text) > _MAX_DIGITS:
            raise self._error(node, f"a number of {len(text)} characters; {_MAX_DIGITS} are the limit")
        digits = text.replace("_", "")
        if kind == "int" and _INT.match(text):
            return int(digits, 0)
        number = float("nan") if _NOT_FINITE.match(text) else float(digits)
        if not math.isfinite(number):
            raise self._error(node, f"must be a finite number, not {text}")
        return number

    def _error(self, node: yaml.Node, reason: str) -> YamlError:
        return YamlError(f"{self._path}:{node.start_mark.line + 1}: {reason}")


def shown(value: object, most: int = 80) -> str:
    """A value for an error message: a beginning of it, however large it is."""
    if isinstance(value, Mapping):
        text = "a mapping"
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        text = f"a list of {len(value)}" if len(value) > 4 else f"[{', '.join(shown(v, 20) for v in value)}]"
    elif isinstance(value, str | bytes):
        text = repr(value[:most]) + ("…" if len(value) > most else "")
    else:
        text = repr(value)
    return text if len(text) <= most + 4 else text[:most] + "…"
