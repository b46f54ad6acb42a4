"""What is said of an error: a line a problem, safe for a terminal and a page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_MOST_LINES, _MOST_LETTERS = 20, 1000
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]+")


def one_line(error: BaseException) -> str:
    """The message of an error in one line."""
    return "; ".join(lines(error))


def lines(error: BaseException) -> list[str]:
    """The message of an error, a line a problem; of a validation error every field with its reason.

    What a file or a command line brought into a message is capped, and its control characters, which would
    reach the terminal, are left out.
    """
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        found = [_field_error(item) for item in error.errors()]
    elif isinstance(error, OSError) and error.strerror:
        found = [f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror]
    elif isinstance(error, KeyError) and error.args:
        found = [f"nothing is called {error.args[0]!r}"]
    elif isinstance(error, RecursionError):
        found = ["something in the input is nested too deeply"]
    elif isinstance(error, MemoryError):
        found = ["not enough memory"]
    else:
        found = str(error).splitlines() or [type(error).__name__]
    more = [f"and {len(found) - _MOST_LINES} more"] if len(found) > _MOST_LINES else []
    return [printable(line) for line in found[:_MOST_LINES] if line.strip()] + more


def printable(text: str, most: int = _MOST_LETTERS) -> str:
    """Text of a stranger for a terminal: one line, no control or direction characters, at most so long."""
    clean = " ".join(_CONTROL.sub(" ", text[: 2 * most]).split())
    return clean[:most] + "…" if len(clean) > most or len(text) > 2 * most else clean


def _field_error(item: Mapping[str, Any]) -> str:
    """`field: what is allowed, not what was given`; a project's own message already says what was given."""
    from semcom.yaml_files import shown

    field, message = ".".join(map(str, item["loc"])) or "link", item["msg"]
    if item["type"] == "value_error":
        return f"{field}: {message.removeprefix('Value error, ')}"
    return f"{field}: {message}, not {shown(item['input'])}"
