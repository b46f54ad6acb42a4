"""User errors end a command with one line and exit code 2, never with a traceback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turns the `ValueError`s that name a bad input into one line on stderr and exit code 2."""
    try:
        yield
    except ValueError as error:
        typer.echo(f"semcom: {one_line(error)}", err=True)
        raise typer.Exit(2) from None


def one_line(error: ValueError) -> str:
    """The message of an error; of a validation error every field with its reason."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        return "; ".join(map(_field_error, error.errors()))
    return " ".join(str(error).split())


def _field_error(item: Mapping[str, Any]) -> str:
    """`field: what is allowed, not what was given`; a project's own message already says what was given."""
    field, message = ".".join(map(str, item["loc"])) or "link", item["msg"]
    if item["type"] == "value_error":
        return f"{field}: {message.removeprefix('Value error, ')}"
    return f"{field}: {message}, not {item['input']!r}"
