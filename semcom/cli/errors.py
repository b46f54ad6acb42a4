"""User errors end a command with a line each and exit code 2, never with a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from semcom.errors import lines


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turns errors that name a bad input or a place that fails into lines on stderr and exit code 2."""
    try:
        yield
    except (ValueError, OSError, LookupError, ArithmeticError, RecursionError, MemoryError) as error:
        for line in lines(error):
            typer.echo(f"semcom: {line}", err=True)
        raise typer.Exit(2) from None
