"""YAML of strangers: scenarios, benchmarks and links; every refusal is one line a problem, soon."""

import random

import pytest

from semcom import yaml_files
from semcom.bench import spec
from semcom.cli.specs import read_yaml
from semcom.sweep import scenario
from semcom.sweep.problems import ScenarioError

GOOD = """\
name: t
images: [sample:*]
systems: {avif: {}}
link: {channel: {model: tdl-a, delay_spread_ns: 100}}
budget: {bpp: 0.03}
grid: {snr_db: [0, 5]}
"""
READERS = {"scenario": scenario.load, "bench": spec.load, "link": read_yaml}


@pytest.fixture
def soon(limited):
    """Fails a test that does not end."""
    with limited():
        yield


def laughs(form):
    """Nine levels of nine aliases each."""
    lines = ["a0: &a0 x"]
    for i in range(1, 10):
        items = [f"*a{i - 1}"] * 9
        body = (
            "[" + ", ".join(items) + "]"
            if form == "list"
            else ("{" + ", ".join(f"k{j}: {item}" for j, item in enumerate(items)) + "}")
        )
        lines.append(f"a{i}: &a{i} {body}")
    return "\n".join(lines)


HOSTILE = {
    "laughing lists": laughs("list"),
    "laughing mappings": laughs("mapping"),
    "recursive": "a: &a [*a]",
    "recursive mapping": "a: &a {b: *a}",
    "brackets": "[" * 100_000,
    "braces": "{a: " * 50_000,
    "dashes": "- " * 20_000,
    "control": "name: \x00t",
    "escape": "name: \x1b]0;x\x07",
    "digits": GOOD.replace("0.03", "9" * 4000),
    "nan": GOOD.replace("[0, 5]", "[.nan]"),
    "inf": GOOD.replace("[0, 5]", "[.inf]"),
    "huge float": GOOD.replace("[0, 5]", "[1e999]"),
    "sexagesimal": GOOD.replace("[0, 5]", "[1:30]"),
    "date": GOOD.replace("[0, 5]", "[2026-11-30]"),
    "set": GOOD.replace("{avif: {}}", "{avif: {options: !!set {a, b}}}"),
    "bytes": GOOD.replace("{avif: {}}", "{avif: {options: {a: !!binary aGk=}}}"),
    "python": "!!python/object/apply:os.system [id]",
    "own tag": GOOD.replace("[0, 5]", "!x [0]"),
    "overflow": GOOD.replace("[0, 5]", "{start: 0, stop: '1e99999999', step: 1}"),
    "range": GOOD.replace("[0, 5]", "{start: 0, stop: 1000000000, step: 1}"),
    "tiny steps": GOOD.replace("[0, 5]", "{start: 0, stop: 1, step: 1e-14}"),
    "product": GOOD.replace(
        "{snr_db: [0, 5]}",
        "{snr_db: {start: 0, stop: 9999, step: 1}, budget.bpp: {start: 1, stop: 9999, step: 1}}",
    ),
    "many values": GOOD.replace("[0, 5]", str(list(range(100_000)))),
    "large": "a: " + "x" * 10_000_000,
    "empty": "",
    "only a comment": "# nothing\n",
    "text": "just text",
    "number": "5",
    "list": "[1, 2]",
    "key of a list": "{[1]: 2}",
    "long key": "{" + "k" * 50_000 + ": 1}",
    "two documents": "a: 1\n---\nb: 2",
    "latin-1": b"name: caf\xe9",
    "utf-16": "name: t".encode("utf-16"),
    "merge of text": "<<: text",
}


def refused(reader, path):
    with pytest.raises(ScenarioError) as caught:
        reader(path)
    message = str(caught.value)
    assert "bad.yaml" in message
    assert all(len(line) < 2000 for line in message.splitlines())
    return message


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_are_refused(kind, name, tmp_path, soon):
    path = tmp_path / "bad.yaml"
    content = HOSTILE[name]
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(READERS[kind], path)


def test_what_is_wrong_is_said(tmp_path):
    path = tmp_path / "bad.yaml"

    def message(content, reader=scenario.load):
        path.write_text(content)
        return refused(reader, path)

    assert "bad.yaml:6: must be a finite number" in message(HOSTILE["nan"])
    assert "bad.yaml:5: a number of 4002 characters" in message(GOOD.replace("0.03", "0." + "3" * 4000))
    assert "1000000 points" in message(HOSTILE["range"])
    assert "100000000" not in message(HOSTILE["laughing lists"])
    assert "100 points" not in message(HOSTILE["product"])
    assert "99990000 points an image" in message(HOSTILE["product"])
    assert "'1:30'" in message(HOSTILE["sexagesimal"])
    assert "is empty" in message("", spec.load)
    assert "this is a sweep scenario" in message(GOOD, spec.load)
    assert "this is a sweep scenario" in message(GOOD, read_yaml)
    assert "this is a benchmark file" in message(GOOD.replace("budget:", "budgets:"))
    assert "did you mean 'trials'" in message("name: t\nimages: [a]\ntrails: 1\n", spec.load)
    found = message("channel: {model: tdl-c, delay_spread: 300}\n", read_yaml)
    assert "bad.yaml:1: channel.delay_spread: unknown key" in found
    assert "did you mean 'delay_spread_ns'" in found


def test_a_misspelt_ready_made_scenario_is_guessed():
    with pytest.raises(ScenarioError, match="did you mean 'quick'"):
        scenario.load("quik")


def test_pipes_and_devices_are_no_documents(tmp_path, soon):
    import os

    os.mkfifo(tmp_path / "bad.yaml")
    for reader in READERS.values():
        assert "not a regular file" in refused(reader, tmp_path / "bad.yaml")
    with pytest.raises(ScenarioError, match="not a regular file"):
        spec.load("/dev/zero")


def test_numbers_are_those_of_yaml_1_2():
    text = "[1, -2, +3, 0x1f, 0o17, 1_000, 1.5, .5, 2e3, 1.5e-2, '1', true, null, yes, 1:30, 2026-11-30]"
    expected = [1, -2, 3, 31, 15, 1000, 1.5, 0.5, 2000.0, 0.015, "1", True, None, True, "1:30", "2026-11-30"]
    data, _ = yaml_files.parse(text, "x")
    assert data == expected
    assert [type(value) for value in data] == [type(value) for value in expected]


def test_merged_mappings_and_aliases():
    data, _ = yaml_files.parse("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, *a]\n", "x")
    assert data == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": [{"x": 1, "y": 2}] * 2}


_TOKENS = (
    *("[", "]", "{", "}", ": ", "- ", "&a ", "*a", "!!int ", "? ", "| ", "> ", "'", '"', "\n", "\t", "#"),
    *(".nan", "1e400", "-", "~", "0x", "0o9", "<<: ", "---\n", "...\n", "\x7f", "\u2028", "é", "%YAML 9\n"),
)


def mutated(rng):
    """A good scenario with pieces cut out, doubled and put in."""
    text = GOOD
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice((0, 1, 2, 8)))
        text = text[:start] + rng.choice([*_TOKENS, text[start:end] * 3, ""]) + text[end:]
    return text


def test_a_thousand_mutations_are_read_or_refused(tmp_path, limited):
    rng, path, taken = random.Random(24), tmp_path / "bad.yaml", 0
    for i in range(1000):
        path.write_text(mutated(rng))
        reader = list(READERS.values())[i % 3]
        try:
            with limited():
                reader(path)
            taken += 1
        except ScenarioError as error:
            assert str(error)
    assert 0 < taken < 500
