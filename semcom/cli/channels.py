"""`semcom channels`: what can be simulated, and what a specification file says, in words and units."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from semcom.cli.errors import one_line_errors

channels_app = typer.Typer(help="What is simulated between the antennas.", no_args_is_help=True)


@channels_app.command("list")
def list_models() -> None:
    """List the channel models."""
    from channels.describe import MODELS

    width = max(map(len, MODELS))
    for name, meaning in MODELS.items():
        typer.echo(f"{name:{width}}  {meaning}")


@channels_app.command("describe")
def describe_spec(
    spec: Annotated[Path | None, typer.Argument(help="YAML file; the default link without one.")] = None,
) -> None:
    """Describe a link specification in plain words and units."""
    with one_line_errors():
        fields = {} if spec is None else _read_yaml(spec)
        from channels.describe import describe
        from channels.spec import LinkSpec

        typer.echo(describe(LinkSpec.model_validate(fields)))


def _read_yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: not a YAML file: {' '.join(str(error).split())}") from error
