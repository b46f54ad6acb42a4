"""Systems by name: the keys of the command line and of scenario files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from semcom.message import System


def _semantic(profile: str = "tiny", key_area: float = 0.3, card: bool = True) -> System:
    from semcom.semantic import SemanticSystem
    from semcom.transmitter.chain import TransmitOptions

    return SemanticSystem(profile, TransmitOptions(key_area=key_area, card=card))


def _avif() -> System:
    from semcom.baselines.classical import AvifSystem

    return AvifSystem()


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
