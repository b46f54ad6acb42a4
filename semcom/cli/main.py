"""The command `semcom`. Heavy modules are imported inside the commands, so that help is instant."""

from __future__ import annotations

from typing import Annotated

import typer

from semcom.cli.bench import bench_app
from semcom.cli.channels import channels_app
from semcom.cli.compare import compare
from semcom.cli.demo import demo
from semcom.cli.profile import profile_app
from semcom.cli.scenario import scenario_app
from semcom.cli.send import SendCommand
from semcom.cli.sweep import report, sweep_app
from semcom.cli.train import train

app = typer.Typer(
    help="End-to-end 6G semantic-communication link simulator.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wished: bool) -> None:
    if wished:
        version()
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command(cls=SendCommand)
def send() -> None:
    """Send a photo over a simulated channel and rebuild it."""


app.add_typer(sweep_app, name="sweep")
app.command()(report)
app.command()(compare)
app.add_typer(scenario_app, name="scenario")
app.add_typer(channels_app, name="channels")
app.add_typer(bench_app, name="bench")
app.add_typer(profile_app, name="profile")
app.command()(train)
app.command()(demo)


@app.command()
def version() -> None:
    """Print the version, and the commit where the program is run from a checkout."""
    from semcom import __version__
    from semcom.provenance import git_commit

    commit = git_commit()
    typer.echo(__version__ if commit is None else f"{__version__} ({commit})")


if __name__ == "__main__":
    app()
