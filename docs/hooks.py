"""What the site derives when it is built: reference pages of schemas and commands, tables of results."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PICTURES = ("kodak.jpg", "montage.jpg", "training_curve.png")
_TABLE = re.compile(r"<!-- table: (\w+) (.*?) -->")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages."""
    pages = {
        "reference/cli.md": commands(),
        "reference/scenario.md": schema_page("Scenario files", "sweep"),
        "reference/bench.md": schema_page("Benchmark files", "bench"),
    }
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    for picture in PICTURES:
        files.append(File.generated(config, f"pictures/{picture}", abs_src_path=str(RESULTS / picture)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replaces `<!-- table: FILE column column … -->` by the rows of that result file."""
    return _TABLE.sub(lambda match: result_table(match[1], match[2].split()), markdown)


def result_table(name: str, columns: list[str]) -> str:
    """Rows of `benchmarks/results/NAME.json` as a Markdown table, and the command that made them."""
    document = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for row in document["results"]:
        lines.append("| " + " | ".join(_cell(row, column) for column in columns) + " |")
    made = f"\n\n<small>`{document['command']}` at `{document['commit']}`</small>"
    return "\n".join(lines) + made


def _cell(row: dict[str, Any], column: str) -> str:
    value = row.get(column, "–")
    half = row.get("half_width_95", {}).get(column)
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if half is None else f"{value:.4g} ± {half:.2g}"


def commands() -> str:
    """Every command with its arguments and options."""
    from semcom.cli.main import app

    lines = ["# Command line", "", "The same is printed by `semcom COMMAND --help`.", ""]
    _describe(typer.main.get_command(app), "semcom", lines)
    return "\n".join(lines)


def _describe(command: Any, path: str, lines: list[str]) -> None:
    children = getattr(command, "commands", {})
    if children:
        for name, child in children.items():
            _describe(child, f"{path} {name}", lines)
        return
    lines += [f"## `{path}`", "", command.help or "", "", "| | what | default |", "| --- | --- | --- |"]
    for parameter in command.params:
        names = ", ".join(f"`{name}`" for name in parameter.opts)
        default = "" if parameter.default in (None, (), []) else f"`{parameter.default}`"
        lines.append(f"| {names} | {getattr(parameter, 'help', '') or ''} | {default} |".replace("\n", " "))
    lines.append("")


def schema_page(title: str, kind: str) -> str:
    """The JSON schema of a file as a table a model."""
    if kind == "sweep":
        from semcom.sweep.scenario import Scenario as Model
    else:
        from semcom.bench.spec import BenchSpec as Model  # type: ignore[assignment]
    schema = Model.model_json_schema()
    lines = [f"# {title}", "", f"`semcom {kind} schema` prints the same as a JSON schema for editors.", ""]
    for name, part in {title: schema, **schema.get("$defs", {})}.items():
        if "properties" not in part:
            continue
        lines += [
            f"## {name}",
            "",
            _text(part),
            "",
            "| key | type | default | what |",
            "| --- | --- | --- | --- |",
        ]
        required = set(part.get("required", ()))
        for key, field in part["properties"].items():
            default = "required" if key in required else f"`{json.dumps(field.get('default'))}`"
            lines.append(f"| `{key}` | {_type(field)} | {default} | {_text(field)} |")
        lines.append("")
    return "\n".join(lines)


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return field["$ref"].rsplit("/", 1)[-1]
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_type(part) for part in field["anyOf"]))
    return str(field.get("type", "any"))


def _text(field: dict[str, Any]) -> str:
    return " ".join(str(field.get("description", "")).split()).replace("|", "\\|")
