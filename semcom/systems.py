"""Systems by name: the keys of the command line and of scenario files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from semcom.message import System


def _semantic(**options: Any) -> System:
    from semcom.semantic import SemanticSystem
    from semcom.transmitter.chain import TransmitOptions

    profile = options.pop("profile", "tiny")
    return SemanticSystem(profile, TransmitOptions(**options))


def _avif(**options: Any) -> System:
    from semcom.baselines.classical import AvifSystem

    return AvifSystem(**options)


SYSTEMS: dict[str, Callable[..., System]] = {"semantic": _semantic, "avif": _avif}


def build(name: str, **options: Any) -> System:
    """A system by name with its options.

    Raises:
        ValueError: unknown name or option.
    """
    if name not in SYSTEMS:
        raise ValueError(f"unknown system {name!r}; known: {', '.join(SYSTEMS)}")
    try:
        return SYSTEMS[name](**options)
    except TypeError as error:
        raise ValueError(f"system {name}: {error}") from error
