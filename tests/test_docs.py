"""What README and docs tell a reader to type is what the program understands."""

import os
import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from channels.spec import LinkSpec
from semcom.cli.main import app
from semcom.sweep.scenario import Scenario

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)


def blocks(language):
    return [
        pytest.param(body, id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, (kind, body) in enumerate(_BLOCK.findall(page.read_text()))
        if kind == language
    ]


def commands():
    for block in blocks("sh"):
        for line in block.values[0].replace("\\\n", " ").splitlines():
            words = shlex.split(re.split(r"\s(?:>|\|)", line)[0], comments=True)
            if words and words[0].rsplit("/", 1)[-1] == "semcom":
                yield pytest.param(words[1:], id=f"{block.id}: {' '.join(words[1:5])}")


def parse(command, words, parent=None):
    """Parses without running; an unknown command or option raises."""
    context = command.make_context("semcom", words, parent=parent)
    if hasattr(command, "resolve_command") and context._protected_args + context.args:
        _, child, rest = command.resolve_command(context, context._protected_args + context.args)
        parse(child, rest, context)


@pytest.mark.parametrize("words", list(commands()))
def test_commands_are_understood(words):
    parse(typer.main.get_command(app), list(words))


def test_a_command_that_does_not_exist_would_be_found():
    with pytest.raises(Exception, match="nosuch"):
        parse(typer.main.get_command(app), ["send", "p.png", "--nosuch"])


@pytest.mark.parametrize("body", blocks("yaml"))
def test_yaml_is_a_scenario_or_a_link(body):
    data = yaml.safe_load(body)
    (Scenario if "systems" in data else LinkSpec).model_validate(data)


@pytest.mark.slow
@pytest.mark.parametrize("body", blocks("python"))
def test_python_runs(body, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").symlink_to(ROOT / "semcom" / "samples" / "coffee.png")
    (tmp_path / "semcom").symlink_to(ROOT / "semcom")
    exec(compile(body, "README", "exec"), {"__name__": "__main__"})


def test_links_lead_somewhere():
    missing = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" in target or target.startswith("pictures/"):
                continue
            if not (page.parent / target).exists():
                missing.append(f"{page.relative_to(ROOT)}: {target}")
    assert not missing, os.linesep.join(missing)


def test_the_tree_in_the_readme_is_the_tree():
    tree = (ROOT / "README.md").read_text().split("## Where things are")[1].split("```")[1]
    for package in ("channels", "semcom"):
        drawn = set(re.findall(r"^  +(\w+)/|  (\w+)/ ", tree.split(f"{package}/", 1)[1], re.M))
        folders = {
            path.name
            for path in (ROOT / package).iterdir()
            if path.is_dir() and not path.name.startswith("_") and path.name not in {"data", "scenarios"}
        }
        assert folders <= {name for pair in drawn for name in pair}
