"""Axes of a grid: what varies from point to point.

snr_db: {start: -5, stop: 20, step: 2.5}          a range, both ends included
link.channel.speed_kmh: [3, 30, 120]              a list of values for one field
protection:                                       variants: several fields that change together, by name
  unequal: {link.classes.critical.mcs: 1}
  equal: {link.classes.critical.mcs: 4}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema, model_serializer, model_validator

from semcom.sweep.problems import nearest
from semcom.yaml_files import shown

_RANGE = ("start", "stop", "step")
_LARGEST = Decimal(10) ** 15
MOST_POINTS = 1_000_000
"""Of a whole grid; counted before any is made."""


class AxisValues(BaseModel):
    """Values of one field, or named variants of several fields; exactly one of the two is filled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: tuple[Any, ...] = ()
    variants: dict[str, dict[str, Any]] = {}

    @model_validator(mode="after")
    def _check_not_empty(self) -> Self:
        if not self.values and not self.variants:
            raise ValueError("an axis needs at least one value")
        return self

    @model_serializer
    def _as_written(self) -> Any:
        return list(self.values) if self.values else self.variants

    def settings(self, name: str) -> Iterator[tuple[str | None, dict[str, Any]]]:
        """(variant or None, {path: value}) for each position on the axis called `name`."""
        if self.variants:
            yield from self.variants.items()
        else:
            yield from ((None, {name: value}) for value in self.values)

    def __len__(self) -> int:
        return len(self.variants or self.values)


def parse_axis(raw: Any) -> Any:
    """What a scenario may write for an axis, as fields of `AxisValues`.

    Raises:
        ValueError: a range is incomplete, not numeric or goes the wrong way; a value stands twice.
    """
    if isinstance(raw, AxisValues):
        return raw
    if isinstance(raw, Mapping):
        if set(raw) & set(_RANGE):
            return {"values": _range(raw)}
        return {"variants": raw}
    values = list(raw) if isinstance(raw, list | tuple) else [raw]
    seen = set()
    for value in values:
        same = value if isinstance(value, int | float | str) else repr(value)
        if same in seen:
            raise ValueError(f"the value {shown(value)} is there twice")
        seen.add(same)
    return {"values": values}


def _range(raw: Mapping[str, Any]) -> tuple[float, ...]:
    missing = [key for key in _RANGE if key not in raw]
    for key in raw:
        if key not in _RANGE:
            raise ValueError(f"unknown key {key!r} in a range; did you mean {nearest(str(key), missing)!r}?")
    if missing:
        raise ValueError(f"a range needs start, stop and step; {' and '.join(missing)} missing")
    try:
        start, stop, step = (Decimal(str(raw[key])) for key in _RANGE)
        if not all(-_LARGEST < number < _LARGEST for number in (start, stop, step)):
            raise InvalidOperation
    except ArithmeticError:
        given = ", ".join(shown(raw[key], 20) for key in _RANGE)
        raise ValueError(f"start, stop and step of a range must be finite numbers, not {given}") from None
    if step <= 0 or stop < start:
        given = ", ".join(shown(raw[key], 20) for key in _RANGE)
        raise ValueError(f"a range goes up from start to stop in steps above 0, not {given}")
    if stop - start > step * MOST_POINTS:
        raise ValueError(f"more than the {MOST_POINTS} points that a grid may have")
    return tuple(float(start + i * step) for i in range(int((stop - start) / step) + 1))


_SCHEMA = {
    "anyOf": [
        {"type": "array", "minItems": 1, "description": "values of one field"},
        {
            "type": "object",
            "properties": {key: {"type": "number"} for key in _RANGE},
            "required": list(_RANGE),
            "additionalProperties": False,
            "description": "range with both ends",
        },
        {
            "type": "object",
            "additionalProperties": {"type": "object"},
            "description": "variants: name, then path and value of each field that changes",
        },
    ]
}
Axis = Annotated[AxisValues, BeforeValidator(parse_axis), WithJsonSchema(_SCHEMA)]
Grid = dict[str, Axis]
