"""A thousand bad commands by seed: one line or a few, exit code 1 or 2, before any network is loaded."""

import enum
import inspect
import random
import signal
import unicodedata
from pathlib import Path
from typing import get_args

import pytest
import typer
from PIL import Image
from typer.models import OptionInfo
from typer.testing import CliRunner

from semcom.cli import bench, channels, send, sweep, train
from semcom.cli.main import app
from semcom.profile import Profile
from semcom.sweep import engine

SECONDS = 60
NUMBERS = ("five", "", "1,5", "5 dB", "--", "0x10", "1e999", "nan", "-inf", "९x", "9" * 400, "[1]", "\x1b[J")
TEXTS = ("nosuch", "", "a/../b", "x" * 3000, "\x1b]0;x\x07", "\u202eabc", "None", "~nosuch/x", "a:b", "[[[")


class Reached(BaseException):
    """Networks would be loaded, a sweep would start, or a command does not end."""


@pytest.fixture
def places(tmp_path, monkeypatch):
    def reached(*arguments, **options):
        raise Reached

    import semcom.semantic  # noqa: F401 – takes seconds, once

    command = typer.main.get_command(app)
    monkeypatch.setattr("typer.testing._get_command", lambda _: command)  # its options are found out once
    signal.signal(signal.SIGALRM, reached)
    monkeypatch.setattr(Profile, "build", reached)
    monkeypatch.setattr(engine.Engine, "run", reached)
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.png")
    (tmp_path / "file").write_text("{a: [")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "shards").write_text("")
    return {name: str(tmp_path / name) for name in ("photo.png", "file", "full", "nowhere")}


def commands():
    """(words, {option: type}, number of arguments) of every command that does something."""
    functions = {
        ("sweep", "run"): sweep.run,
        ("sweep", "status"): sweep.status,
        ("sweep", "merge"): sweep.merge,
        ("sweep", "export"): sweep.export,
        ("report",): sweep.report,
        ("channels", "describe"): channels.describe_spec,
        ("bench", "run"): bench.run,
        ("bench", "scenario"): bench.scenario,
        ("bench", "plots"): bench.plots,
        ("bench", "table"): bench.table,
        ("train",): train.train,
    }
    found = [(("send",), list(send._parameters()))] * 4  # the one with the most options
    for words, function in functions.items():
        found.append((words, list(inspect.signature(function, eval_str=True).parameters.values())))
    for words, parameters in found:
        kinds = {p.name: get_args(p.annotation) for p in parameters}
        options = {name: kind for name, (kind, info) in kinds.items() if isinstance(info, OptionInfo)}
        yield words, options, len(kinds) - len(options)


def bad_value(rng, name, kind, places):
    """A value that an option of this type cannot have; None where any text will do."""
    kind = next(k for k in (*get_args(kind), kind) if k is not type(None))
    if kind in (int, float):
        return rng.choice(NUMBERS)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return rng.choice(TEXTS)
    if name in ("channel", "system", "profile", "mcs"):
        return rng.choice(TEXTS[:1] + TEXTS[2:])
    if kind is Path:
        return rng.choice((f"{places['file']}/below", "/dev/zero", "\x00", "x" * 5000))
    return None


def line(rng, known, places):
    """A command with one to three things wrong."""
    words, options, arguments = rng.choice(known)
    line = list(words)
    for _ in range(arguments):
        good = places["photo.png" if words == ("send",) else "full"]
        line.append(good if rng.random() < 0.6 else rng.choice((*places.values(), "/dev/zero", *TEXTS)))
    wrong = 0
    while not wrong or (wrong < 3 and rng.random() < 0.4):
        kind = rng.random()
        if kind < 0.1:
            line.append(rng.choice(("--nosuch", "-q", "--snr", "--seeed=1", "--bpp=", "--=")))
        elif kind < 0.2 or not options:
            line += ["one", "word", "too", "many", "in", "all"]
        else:
            name = rng.choice(list(options))
            flag = "--" + name.replace("_", "-")
            value = "maybe" if options[name] is bool else bad_value(rng, name, options[name], places)
            line += [f"{flag}=maybe"] if value == "maybe" else [flag, "x" if value is None else value]
            if value is None:
                continue
        wrong += 1
    return line


def fault(result):
    """What is wrong with the end of a bad command, or None."""
    if result.exit_code not in (1, 2) or not isinstance(result.exception, SystemExit):
        return f"{result.exception!r}"
    own = [text for text in result.stderr.splitlines() if text.startswith("semcom: ")]
    if (not own and "Error" not in result.stderr) or len(own) > 20 or "Traceback" in result.output:
        return "no line of an error"
    if len(result.output) > 5000:
        return "long"
    if any(unicodedata.category(letter) == "Cc" for letter in result.output if letter != "\n"):
        return "control characters"
    return None


def check(seeds, places):
    known, faults = list(commands()), []
    for seed in seeds:
        arguments = line(random.Random(seed), known, places)
        signal.alarm(SECONDS)
        try:
            result = CliRunner().invoke(app, arguments)
            wrong, output = fault(result), result.output[-500:]
        except Reached:
            wrong, output = "it works, or does not end", ""
        signal.alarm(0)
        if wrong:
            faults.append((seed, wrong, [word[:60] for word in arguments], output))
    assert not faults, f"{len(faults)} faults: {faults[:20]}"


def test_a_thousand_bad_commands(places):
    check(range(1000), places)


@pytest.mark.slow
def test_many_bad_commands(places):
    check(range(1000, 20_000), places)
