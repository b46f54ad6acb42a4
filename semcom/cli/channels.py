"""`semcom channels`: what can be simulated, and what a specification file says, in words and units."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from semcom.cli.errors import one_line_errors
from semcom.cli.specs import link_spec, read_yaml

channels_app = typer.Typer(help="What is simulated between the antennas.", no_args_is_help=True)


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@channels_app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the channel models."""
    import json

    from channels.propagation.registry import entry, names

    if as_json:
        models = {
            name: {"summary": entry(name).summary, "reads": list(entry(name).reads)} for name in names()
        }
        typer.echo(json.dumps(models, indent=1))
        return

    width = max(map(len, names()))
    for name in names():
        typer.echo(f"{name:{width}}  {entry(name).summary}")


@channels_app.command("describe")
def describe_spec(
    spec: Annotated[
        str | None,
        typer.Argument(help="YAML file, or name of a channel model; the default link without one."),
    ] = None,
    allow_imports: Annotated[
        bool,
        typer.Option("--allow-imports", help="Let the file's channel model be module:factory: it runs code."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Describe a link specification in plain words and units."""
    with one_line_errors():
        from channels.describe import describe
        from channels.propagation.registry import names

        named = spec is not None and spec.lower() in names()
        fields = (
            {"channel": {"model": spec.lower()}}
            if spec and named
            else read_yaml(Path(spec), allow_imports)
            if spec
            else {}
        )
        described = link_spec(fields)
        typer.echo(described.model_dump_json(indent=1) if as_json else describe(described))
