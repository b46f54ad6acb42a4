"""Link specifications from files and options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from channels.spec import LinkSpec


def link_spec(fields: Mapping[str, Any]) -> LinkSpec:
    """The checked specification. Raises `pydantic.ValidationError`, a `ValueError`."""
    from channels.spec import LinkSpec

    return LinkSpec.model_validate(fields)


def allow_channel(name: str) -> None:
    """Lets specs name a channel model `module:factory`, found beside where the command runs. Runs its code.

    Raises:
        ValueError: it cannot be imported, or is no channel model.
    """
    from semcom.sweep import imports, parts

    imports.search_in([str(Path.cwd())])
    parts.import_channel({"channel": {"model": name}})


def read_yaml(path: Path, allow_imports: bool = False) -> dict[str, Any]:
    """Mapping in the YAML file of a link, whose fields have been checked.

    Args:
        path: of the file.
        allow_imports: whether its channel model may be `module:factory`, which runs code: looked for where
            Python looks, then beside the file, then in the working directory.

    Raises:
        ScenarioError: the file cannot be read, or with line, key and nearest valid key what is wrong in it.
    """
    from pydantic import ValidationError

    from channels.spec import LinkSpec
    from semcom.sweep.problems import Problem, ScenarioError, from_validation, key_paths, read_source

    source = read_source(path)
    if "grid" in source.data and "systems" in source.data:
        message = f"{path}: this is a sweep scenario, not a link: semcom sweep run {path}"
        raise ScenarioError([Problem((), message)])
    if allow_imports:
        from semcom.sweep import imports, parts

        imports.search_in([str(path.resolve().parent), str(Path.cwd())])
        parts.import_channel(source.data)
    try:
        link_spec(source.data)
    except ValidationError as error:
        raise ScenarioError(from_validation(error, key_paths(LinkSpec)), source) from error
    fields: dict[str, Any] = source.data
    return fields
