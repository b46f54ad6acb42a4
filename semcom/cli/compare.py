"""`semcom compare A B`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from semcom.cli.errors import one_line_errors


def compare(
    first: Annotated[Path, typer.Argument(help="Folder of a run.")],
    second: Annotated[Path, typer.Argument(help="Folder of another; the same one with --systems.")],
    systems: Annotated[
        str | None, typer.Option(help="Of the first and of the second run, as in semantic,avif.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Differences of two runs picture by picture, with 95 % intervals."""
    import json

    from semcom.cli.results import comparison_table
    from semcom.sweep import api
    from semcom.sweep.compare import compare as compared

    with one_line_errors():
        pair = _pair(systems)
        found = compared(api.load(first), api.load(second), pair)
    if as_json:
        typer.echo(json.dumps([item.as_json() for item in found], indent=1))
        return
    typer.echo(comparison_table(found, pair or ("A", "B")))
    typer.echo(
        f"* more than chance: the 95 % interval of {'A - B' if pair is None else ' - '.join(pair)} excludes 0"
    )


def _pair(systems: str | None) -> tuple[str, str] | None:
    if systems is None:
        return None
    names = [name.strip() for name in systems.split(",")]
    if len(names) != 2:
        raise ValueError(f"--systems: two names with a comma between them, not {systems!r}")
    return names[0], names[1]
