"""`semcom demo`: the page."""

from __future__ import annotations

from typing import Annotated

import typer

from semcom.cli.errors import one_line_errors


def demo(
    port: Annotated[int, typer.Option(help="Of 127.0.0.1; 0 for any that is free.", min=0, max=65535)] = 7860,
    profile: Annotated[str, typer.Option(help="Profile name or folder.")] = "tiny",
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page.")] = True,
) -> None:
    """A page in the browser: drop a photo, turn the channel, see what arrives. This machine only."""
    with one_line_errors():
        typer.echo("loading PyTorch and the profile", err=True)
        from semcom.demo.server import DemoServer
        from semcom.demo.studio import Studio

        server = DemoServer(Studio(profile), port)
    typer.echo(f"{server.url}  (Ctrl-C ends it)", err=True)
    if open_browser:
        import webbrowser

        webbrowser.open(server.url)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        typer.echo("ended", err=True)
    finally:
        server.server_close()
