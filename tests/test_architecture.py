"""The rules between folders (`design.md`, README): what may import what, no circles, no file too long."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("semcom", "channels")
    for path in (ROOT / package).rglob("*.py")
}
MAX_LINES = 400


def imports(path, module):
    """Every module that a file imports, anywhere in it: (dotted name, only for types)."""
    tree = ast.parse(path.read_text())
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in FILES else node.module for name in names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from ((name, id(node) in for_types) for name in names if name != module)


GRAPH = {module: set(imports(path, module)) for module, path in FILES.items()}


def edges(prefix):
    """(module, imported) of all modules under a package."""
    inside = [module for module in GRAPH if module == prefix or module.startswith(prefix + ".")]
    return [(module, name) for module in inside for name, _ in GRAPH[module]]


def under(name, *prefixes):
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


@pytest.mark.parametrize(
    ("package", "forbidden", "excepted"),
    [
        ("channels", ("semcom",), ()),
        ("semcom.streams", ("semcom.networks", "semcom.transmitter", "semcom.receiver"), ()),
        ("semcom.networks", ("semcom.streams", "semcom.profile"), ("semcom.streams.coding.fsq",)),
        ("semcom.transmitter", ("semcom.receiver",), ()),
        ("semcom.receiver", ("semcom.transmitter",), ()),
        ("semcom.picture", ("semcom.streams", "semcom.networks"), ()),
        ("semcom", ("sionna",), ()),
    ],
)
def test_folders_import_only_what_is_below_them(package, forbidden, excepted):
    wrong = [(m, n) for m, n in edges(package) if under(n, *forbidden) and not under(n, *excepted)]
    assert not wrong


def test_nothing_but_the_command_line_imports_it():
    own = ("semcom.cli", "semcom.__main__")
    assert not [(m, n) for m, n in edges("semcom") if under(n, "semcom.cli") and not under(m, *own)]


def test_no_circle_not_even_of_lazy_imports():
    graph = {m: {n for n, _ in names if n in FILES} for m, names in GRAPH.items()}
    index, low, stack, circles = {}, {}, [], []

    def visit(module):  # Tarjan 1972
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(graph[module]):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            component = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(component) > 1:
                circles.append(component)

    for module in sorted(graph):
        if module not in index:
            visit(module)
    assert not circles


def test_a_circle_would_be_seen():
    """The check above reads lazy imports and imports for types alike."""
    seen = defaultdict(set)
    for module, names in GRAPH.items():
        for name, for_types in names:
            seen[for_types].add((module, name))
    assert ("semcom.contracts", "semcom.message") in seen[False]
    assert any(name in FILES for _, name in seen[True])


def test_no_file_is_too_long():
    long = {
        module: n for module, path in FILES.items() if (n := len(path.read_text().splitlines())) > MAX_LINES
    }
    assert not long


def test_pillow_is_told_the_formats_that_it_may_read():
    """Left alone, it starts Ghostscript for what says that it is PostScript, whatever the file's name."""
    opened = [
        (module, {word.arg for word in node.keywords})
        for module, path in FILES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Image.open", "PIL.Image.open")
    ]
    assert len(opened) > 3
    assert [module for module, words in opened if "formats" not in words] == []
