"""The command `semcom`: one file per command."""
