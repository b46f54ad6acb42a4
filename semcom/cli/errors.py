"""User errors end a command with one line and exit code 2, never with a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
        return "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'link'}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        )
    return " ".join(str(error).split())
