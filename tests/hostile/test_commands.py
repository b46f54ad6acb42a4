"""Commands of strangers: one line or a few, exit code 2, nothing that a terminal obeys."""

import errno

import pytest
import typer
from typer.testing import CliRunner

from semcom.cli.errors import one_line_errors
from semcom.cli.main import app
from semcom.errors import lines, printable
from semcom.files import check_file, check_folder


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("a\nb"), ["a", "b"]),
        (OSError(errno.ENOSPC, "No space left on device", "x.png"), ["x.png: No space left on device"]),
        (FileNotFoundError("no photo in nowhere"), ["no photo in nowhere"]),
        (KeyError("nope"), ["nothing is called 'nope'"]),
        (OverflowError("too large"), ["too large"]),
        (RecursionError("maximum recursion depth"), ["something in the input is nested too deeply"]),
        (ValueError("\x1b]0;title\x07\x1b[2Jx\u202ey"), ["]0;title [2Jx y"]),
    ],
)
def test_errors_are_lines_and_exit_code_2(error, said, capsys):
    with pytest.raises(typer.Exit) as caught, one_line_errors():
        raise error
    assert caught.value.exit_code == 2
    assert capsys.readouterr().err.splitlines() == [f"semcom: {line}" for line in said]


def test_what_is_printed_is_capped():
    assert len(printable("x" * 10**6)) == 1001
    assert lines(ValueError("\n".join("x" * 5000)))[-1] == "and 4980 more"


def test_places_for_results_are_checked_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match="is a file"):
            check_folder(place)
    with pytest.raises(ValueError, match="is a folder"):
        check_file(tmp_path)
    check_folder(tmp_path / "new" / "newer")
    check_file(tmp_path / "new.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("sweep", "run", "quick", "--out", "{file}"),
        ("sweep", "run", "{file}"),
        ("sweep", "run", "/dev/zero"),
        ("sweep", "run", "x" * 5000),
        ("sweep", "status", "{file}"),
        ("sweep", "export", "{folder}", "--out", "{folder}"),
        ("report", "{folder}"),
        ("report", "{folder}", "--out", "{file}"),
        ("bench", "run", "{file}"),
        ("bench", "run", "/nowhere.yaml"),
        ("channels", "describe", "{file}"),
        ("send", "/dev/zero"),
    ],
)
def test_commands_end_in_lines(arguments, tmp_path):
    (tmp_path / "file").touch()
    places = {"file": tmp_path / "file", "folder": tmp_path}
    result = CliRunner().invoke(app, [text.format(**places) for text in arguments])
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert 0 < len(result.output) < 3000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("send", "{photo}", "--seed", "-1"), "--seed: must be at least 0, not -1"),
        (("send", "{photo}", "--sam-checkpoint", "/dev/zero"), "/dev/zero: not a regular file"),
        (("send", "{photo}", "--csi", "nosuch"), "--csi"),
        (("send", "{photo}", "--quantization", "nosuch"), "--quantization"),
        (("send", "{photo}", "--objective", "nosuch"), "--objective"),
        (("train", "nosuch", "--profile", "{new}"), "unknown stage 'nosuch'"),
        (("train", "enhancer", "--profile", "{file}"), "is a file; give a folder"),
        (("train", "enhancer", "--profile", "{new}", "--seed", "-1"), "--seed"),
        (("train", "enhancer", "--profile", "{new}", "--data", "/nonexistent"), "no photo in /nonexistent"),
        (("bench", "run", "{bench}", "--out", "{folder}"), "is a folder; give a file name"),
        (("bench", "run", "{bench}", "--folder", "{file}"), "is a file; give a folder"),
        (("bench", "run", "{bench}", "--plots", "{file}"), "is a file; give a folder"),
        (("bench", "scenario", "{bench}", "{folder}"), "is a folder; give a file name"),
        (("bench", "plots", "{file}"), "is no document of a benchmark"),
        (("bench", "table", "{file}", "{file}"), "is no document of a benchmark"),
        (
            ("sweep", "run", "quick", "--out", "{new}", "--images", "~nosuch/x"),
            "no image matches '~nosuch/x'",
        ),
    ],
    ids=lambda value: " ".join(value[:4]) if isinstance(value, tuple) else "",
)
def test_wrong_options_are_named_before_the_work(arguments, said, tmp_path, sample_photo):
    """They were tracebacks, or came after the work."""
    (tmp_path / "file").touch()
    bench = sample_photo.parents[2] / "benchmarks" / "codecs_kodak.yaml"
    assert bench.is_file()
    places = {"file": tmp_path / "file", "folder": tmp_path, "new": tmp_path / "new", "photo": sample_photo}
    result = CliRunner().invoke(app, [text.format(bench=bench, **places) for text in arguments])
    assert result.exit_code == 2, result.output
    own = [line for line in result.stderr.splitlines() if line.startswith("semcom: ")]
    assert said in " ".join(own or [result.stderr])
    assert len(own) == 1 or "Invalid value for" in result.stderr


def test_published_weights_that_cannot_be_fetched_are_one_line(capsys):
    from semcom.pretrained import PretrainedError

    with pytest.raises(typer.Exit) as caught, one_line_errors():
        raise PretrainedError("cannot fetch x==1 from the package index")
    assert caught.value.exit_code == 2
    assert capsys.readouterr().err == "semcom: cannot fetch x==1 from the package index\n"
