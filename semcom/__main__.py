"""`python -m semcom`."""

from semcom.cli.main import app

app(prog_name="semcom")
