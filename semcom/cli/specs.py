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


def read_yaml(path: Path) -> dict[str, Any]:
    """Mapping in a YAML file.

    Raises:
        ValueError: the file cannot be read or holds no mapping; the message names it.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: a link specification is a mapping with channel, ofdm, classes, …")
    return content
