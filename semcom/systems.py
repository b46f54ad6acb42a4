"""Systems by name: the keys of the command line and of scenario files.

Built in are the semantic one, every file of `semcom.baselines` with a line `SYSTEM = …`, and every file of
`semcom.baselines.codecs` with a `CODEC`; the name is the file's. Packages register more as entry points: a
system in the group `semcom.systems`, a codec (`semcom.baselines.codec.Codec`) in `semcom.codecs`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from semcom.contracts import System
from semcom.registry import Registry, marked, unknown

if TYPE_CHECKING:
    from pydantic import BaseModel

SEMANTIC = "semantic"
RUNS_PROGRAMS = ("external",)
"""Systems whose options name programs: a scenario with one needs the user's consent, as imports do."""

SYSTEMS = Registry(
    "system",
    "semcom.systems",
    lambda: {SEMANTIC: "semcom.semantic:SemanticSystem"} | marked("semcom.baselines", "SYSTEM"),
)
CODECS = Registry("codec", "semcom.codecs", lambda: marked("semcom.baselines.codecs", "CODEC"))


def names() -> list[str]:
    """Every system's name: the semantic one first."""
    first, *others = SYSTEMS.names()
    return [first, *CODECS.names(), *others]


def factory(name: str) -> Callable[..., System]:
    """What is called with a system's options.

    Raises:
        ValueError: unknown name, or the package it needs is not installed.
    """
    if name in CODECS:
        from semcom.baselines.classical import ClassicalSystem

        return partial(ClassicalSystem, CODECS.load(name))
    if name not in SYSTEMS:
        raise ValueError(unknown("system", name, names()))
    made: Callable[..., System] = SYSTEMS.load(name)
    return made


def options_model(name: str) -> type[BaseModel] | None:
    """The fields of a system's options; None where it takes any.

    Those of the semantic system are `SemanticOptions`, of others what their factory's signature says.
    """
    if name == SEMANTIC:
        from semcom.options import SemanticOptions

        return SemanticOptions
    if name in CODECS:  # a codec has no options, and telling so needs no package of its
        return model_of_signature(lambda: None)
    return model_of_signature(factory(name))


def model_of_signature(function: Callable[..., Any]) -> type[BaseModel] | None:
    """A model of a function's parameters; None where it takes any."""
    from pydantic import ConfigDict, create_model

    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    fields: dict[str, Any] = {
        p.name: (Any, ... if p.default is p.empty else p.default)
        for p in parameters
        if p.kind is not p.VAR_POSITIONAL
    }
    return create_model("Options", __config__=ConfigDict(extra="forbid"), **fields)


def build(name: str, **options: Any) -> System:
    """A system by name with its options.

    Raises:
        ValueError: unknown name or option.
    """
    made = factory(name)
    try:
        inspect.signature(made).bind(**options)
    except TypeError as error:
        raise ValueError(f"system {name}: {error}") from error
    return made(**options)
