"""Own systems, links and metrics as `module:callable`: found beside the scenario, and known by their files.

Nothing here runs unless the user allowed it: a scenario is data, and a name with a colon in it is a program.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

_files_at_import: dict[str, str] = {}
_folders: list[str] = []


def is_import(name: str) -> bool:
    """Whether a name is `module:callable` rather than a registered one."""
    return ":" in name


def search_in(folders: Iterable[str]) -> None:
    """Lets modules of these folders be imported, after all that is installed; of earlier ones no more."""
    wanted = [folder for folder in dict.fromkeys(folders) if folder not in sys.path or folder in _folders]
    left = {folder for folder in _folders if folder not in wanted}
    sys.path[:] = [entry for entry in sys.path if entry not in _folders] + wanted
    _folders[:] = wanted
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and str(Path(file).parent) in left:
            del sys.modules[name]


def resolve(path: str) -> Any:
    """What `module:name` names. A module whose file changed since this process imported it is read again.

    Raises:
        ValueError: the module or the name is not there, or importing it fails; the message says why.
    """
    module_name, _, name = path.partition(":")
    try:
        module = _fresh(module_name)
        return getattr(module, name)
    except AttributeError:
        raise ValueError(f"cannot import {path}: {module_name} has no {name!r}") from None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"cannot import {path}: {reason}") from error


def files_of(module_name: str) -> dict[str, str]:
    """SHA-256 by name of the files that a module is made of, without importing it.

    Its own file and those that it imports from beside it; of a package every file. Compiled modules and
    those of Python itself have none.
    """
    top = module_name.partition(".")[0]
    spec = importlib.util.find_spec(top) if top not in sys.modules else sys.modules[top].__spec__
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return {}
    first = Path(spec.origin)
    if spec.submodule_search_locations:
        files = sorted(first.parent.rglob("*.py"))
        return {str(file.relative_to(first.parent.parent)): _hash(file) for file in files}
    found: dict[Path, None] = {}
    _follow(first, found)
    return {file.name: _hash(file) for file in sorted(found)}


def callable_at(path: str) -> Callable[..., Any]:
    """`resolve`, for what must be called. Raises ValueError."""
    found: Callable[..., Any] = resolve(path)
    if not callable(found):
        raise ValueError(f"{path} cannot be called")
    return found


def _fresh(name: str) -> ModuleType:
    """The module as its files are now."""
    importlib.invalidate_caches()
    top, files = name.partition(".")[0], repr(files_of(name))
    if name in sys.modules and _files_at_import.get(name, files) != files:
        folder = Path(str(sys.modules[top].__file__)).parent
        for other, module in list(sys.modules.items()):
            beside = Path(getattr(module, "__file__", None) or "/").parent == folder
            if other.partition(".")[0] == top or (beside and f"{other}.py" in files_of(name)):
                del sys.modules[other]
    module = import_module(name)
    _files_at_import[name] = files
    return module


def _follow(file: Path, found: dict[Path, None]) -> None:
    if file in found:
        return
    found[file] = None
    for name in _imports(str(file), _hash(file)):
        beside = file.parent / f"{name}.py"
        if beside.is_file():
            _follow(beside, found)


@cache
def _imports(file: str, digest: str) -> tuple[str, ...]:
    """Top-level names that a file imports; `digest` tells versions of the file apart."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (SyntaxError, ValueError):
        return ()
    return tuple(dict.fromkeys(_names(tree)))


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _hash(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()
