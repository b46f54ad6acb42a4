"""The command `semcom`. Heavy modules are imported inside the commands, so that help is instant."""

from __future__ import annotations

import typer

from semcom.cli.bench import bench_app
from semcom.cli.channels import channels_app
from semcom.cli.send import send
from semcom.cli.sweep import report, sweep_app
from semcom.cli.train import train

app = typer.Typer(
    help="End-to-end 6G semantic-communication link simulator.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(send)
app.add_typer(sweep_app, name="sweep")
app.command()(report)
app.add_typer(channels_app, name="channels")
app.add_typer(bench_app, name="bench")
app.command()(train)


@app.command()
def version() -> None:
    """Print the version."""
    from semcom import __version__

    typer.echo(__version__)


if __name__ == "__main__":
    app()
