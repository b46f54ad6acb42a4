"""Every notebook runs from top to bottom, and is kept with what it printed and drew."""

import json
import os
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))
_FIRST = "01_quickstart"
_MOST_BYTES = 300_000
_CASES = [
    pytest.param(path, id=path.stem, marks=() if path.stem == _FIRST else pytest.mark.slow)
    for path in NOTEBOOKS
]


def _cells(notebook):
    return [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("notebook", _CASES)
def test_notebook_runs(notebook, capsys, monkeypatch):
    monkeypatch.chdir(notebook.parent)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    monkeypatch.setenv("MPLBACKEND", "agg")
    namespace: dict = {}
    for cell in _cells(notebook):
        exec(compile("".join(cell["source"]), notebook.name, "exec"), namespace)
    printed = capsys.readouterr().out
    said = [
        line
        for cell in _cells(notebook)
        for output in cell["outputs"]
        if output.get("name") == "stdout"
        for line in "".join(output["text"]).splitlines()
    ]
    assert bool(said) == bool(printed.strip())
    assert not said or said[0].split()[0] in printed
    assert Path(os.getcwd()) in (notebook.parent, notebook.parent.parent)  # noqa: PTH109


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_kept_small_and_without_errors(notebook):
    assert notebook.stat().st_size < _MOST_BYTES
    counts = [cell["execution_count"] for cell in _cells(notebook)]
    assert counts == list(range(1, len(counts) + 1)), "run it from the top before it is committed"
    outputs = [output for cell in _cells(notebook) for output in cell["outputs"]]
    assert outputs and all(output["output_type"] != "error" for output in outputs)


def test_there_is_a_quickstart():
    assert _FIRST in {path.stem for path in NOTEBOOKS}
