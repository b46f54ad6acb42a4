"""Command-line options derived from the fields of pydantic models, so that each is written down once.

Pydantic isn't for `semcom --help`: a command's options join it when it is run, or its own help is asked for.
"""

from __future__ import annotations

import enum
import inspect
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError


class LazyCommand(TyperCommand):
    """A command whose options are found out when they are first needed. Subclasses say how, by `build`."""

    build: Callable[[], Callable[..., None]]

    @cached_property
    def _whole(self) -> Any:
        app = typer.Typer(add_completion=False)
        app.command(help=self.help)(type(self).build())
        return typer.main.get_command(app)

    def get_params(self, ctx: Any) -> Any:
        """The options, with `--help`."""
        self.params = self._whole.params
        return super().get_params(ctx)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        self.callback = self._whole.callback
        return super().invoke(ctx)


def command_of(run: Callable[..., None], parameters: Sequence[inspect.Parameter]) -> Callable[..., None]:
    """A function with these parameters; `run` gets the context and all values by name."""

    def command(ctx: typer.Context, **values: Any) -> None:
        run(ctx, values)

    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    command.__signature__ = inspect.Signature([context, *parameters])  # type: ignore[attr-defined]
    command.__annotations__ = {}
    return command


def parameter(
    name: str, kind: Any, default: Any, info: str, panel: str | None = None, *flags: str
) -> inspect.Parameter:
    """An option by hand, named by its flags where it has some."""
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, typer.Option(*flags, help=info, rich_help_panel=panel)],
    )


def field_parameters(
    model: type[BaseModel],
    panel: str,
    names: Mapping[str, str] | None = None,
    flags: Mapping[str, Sequence[str]] = types.MappingProxyType({}),
) -> Iterator[inspect.Parameter]:
    """An option for each field of a model, or of those named.

    Args:
        model: whose fields have a description.
        panel: heading in the help.
        names: field to name of the parameter; all fields by their own name if left out.
        flags: of fields that have others than their name.
    """
    for field, name in (names or {field: field for field in model.model_fields}).items():
        info = model.model_fields[field]
        kind = _typed(name, info.annotation)
        repeated = get_origin(kind) is list
        default = [] if repeated else info.default
        yield parameter(name, kind, default, _help(info), panel, *flags.get(field, ()))


def choice(name: str, values: Sequence[str]) -> type[enum.StrEnum]:
    """A type whose values are those strings, as typer wants them."""
    members = {value.upper().replace("-", "_"): value for value in values}
    return enum.StrEnum(name, members)  # type: ignore[return-value]


def plain(value: Any) -> Any:
    """What a choice stands for."""
    return value.value if isinstance(value, enum.Enum) else value


def given(ctx: typer.Context) -> set[str]:
    """Names of the parameters that stand on the command line."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def flag(name: str) -> str:
    """`--key-share` of `key_share`."""
    return "--" + name.replace("_", "-")


def exclusive(names: set[str], *groups: Sequence[str]) -> None:
    """Raises `ValueError` where options of two groups stand on the command line."""
    found = [[name for name in group if name in names] for group in groups]
    present = [group[0] for group in found if group]
    if len(present) > 1:
        raise ValueError(f"{flag(present[0])} and {flag(present[1])} exclude each other: give one of them")


def refusal(error: ValidationError, names: Mapping[str, str]) -> ValueError:
    """An error of a model in terms of options: `--key-share: must be at most 1, not 5`.

    Args:
        error: of validating.
        names: parameter of a dotted field, where it is another.
    """
    return ValueError("; ".join(_sentence(item, names) for item in error.errors()))


def _sentence(item: Any, names: Mapping[str, str]) -> str:
    path = ".".join(map(str, item["loc"]))
    named = names.get(path, str(item["loc"][0]) if item["loc"] else "")
    message = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    place = f"{flag(named)}: " if named else ""
    if item["type"] == "value_error":
        return place + message
    return f"{place}must be {message}, not {item['input']!r}"


def _typed(name: str, annotation: Any) -> Any:
    """The type of an option for a field of that type."""
    members = [member for member in _members(annotation) if member is not type(None)]
    optional = len(members) < len(_members(annotation))
    kind = next((member for member in members if member in (Path, str)), members[0])
    if get_origin(kind) is tuple:
        return list[str]
    if get_origin(kind) is Literal:
        values = get_args(kind)
        kind = int if isinstance(values[0], int) else choice(name, [str(value) for value in values])
    return kind | None if optional else kind


def _members(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)


def _help(info: Any) -> str:
    bounds = {type(part).__name__: part for part in info.metadata}
    if "Ge" in bounds and "Le" in bounds:
        return f"{info.description} [{bounds['Ge'].ge:g} to {bounds['Le'].le:g}]"
    return info.description or ""
