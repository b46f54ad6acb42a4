"""A row of a shard: some consecutive trials of one point, in memory and as Parquet."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from semcom.sweep.tally import Sums, Tally

STAGES = ("encode", "link", "decode", "metrics")
_ROUNDING = 1e-9
_SUM, _SQUARES = pa.decimal128(38, 9), pa.decimal128(38, 18)
_FIXED = pa.schema(
    [
        ("id", pa.string()),
        ("point", pa.string()),
        ("first_trial", pa.int64()),
        ("trials", pa.int64()),
        ("metrics", pa.string()),
        ("received", pa.string()),
        *((f"seconds.{stage}", pa.float64()) for stage in STAGES),
    ]
)


@dataclass
class Row:
    """Some consecutive trials of one point.

    Attributes:
        point: canonical description of what was simulated; `id` is its SHA-256.
        received: key of the received message of trial 0 where this row has that trial, which is also the name
            of its picture.
        metrics: columns of the metrics that were measured.
        seconds: per stage. Not part of any result, because no two runs take the same time.
    """

    id: str
    point: str
    first_trial: int
    received: str | None
    tally: Tally = field(default_factory=Tally)
    metrics: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    def absorb(self, other: Row) -> None:
        """Adds another row of the same point."""
        self.received = self.received or other.received
        self.tally.merge(other.tally)
        for stage, seconds in other.seconds.items():
            self.seconds[stage] += seconds


@lru_cache(maxsize=4096)
def metrics_of(text: str) -> tuple[str, ...]:
    """Metrics of a row, from its column `metrics`."""
    return tuple(text.split("\n")) if text else ()


def to_table(rows: Sequence[Row]) -> pa.Table:
    """Rows as a table."""
    names = sorted({name for row in rows for name in row.tally.sums})
    schema = _FIXED
    for name in names:
        schema = schema.append(pa.field(f"{name}.sum", _SUM)).append(pa.field(f"{name}.sum_sq", _SQUARES))
    return pa.Table.from_pylist([_to_raw(row) for row in rows], schema=schema)


def quantities(table: pa.Table) -> list[str]:
    """What a table has sums of."""
    return [name.removesuffix(".sum") for name in table.column_names if name.endswith(".sum")]


def plausible(table: pa.Table) -> bool:
    """Whether a table has the columns of a shard, and sums that real numbers can have."""
    names = quantities(table)
    wanted = {field.name: field.type for field in _FIXED} | {f"{n}.sum": _SUM for n in names}
    wanted |= {f"{name}.sum_sq": _SQUARES for name in names}
    schema = {field.name: field.type for field in table.schema}
    if any(schema.get(name) != kind for name, kind in wanted.items()):
        return False
    trials = table["trials"].to_numpy()
    if table["metrics"].null_count or (trials < 1).any() or (table["first_trial"].to_numpy() < 0).any():
        return False
    for name in names:
        total, squares = (_floats(table[column]) for column in (f"{name}.sum", f"{name}.sum_sq"))
        if (trials * squares < (1 - _ROUNDING) * total**2).any():  # Cauchy-Schwarz
            return False
    return True


def from_raw(raw: Mapping[str, Any], names: Sequence[str], counted: Collection[str]) -> Row:
    """A row of a table.

    Args:
        raw: its columns.
        names: of all quantities of the table.
        counted: metrics to take, and `""` for everything that is no metric.
    """
    metrics = metrics_of(raw["metrics"])
    taken = [name for name in names if (name in counted if name in metrics else "" in counted)]
    tally = Tally(raw["trials"] if "" in counted else 0, _sums(raw, taken))
    seconds = {stage: raw[f"seconds.{stage}"] for stage in STAGES}
    measured = tuple(name for name in metrics if name in counted)
    return Row(raw["id"], raw["point"], raw["first_trial"], raw["received"], tally, measured, seconds)


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)


def _sums(raw: Mapping[str, Any], names: Sequence[str]) -> dict[str, Sums]:
    with localcontext(prec=76):
        return {
            name: Sums(
                int(raw[f"{name}.sum"].scaleb(9)), int(raw[f"{name}.sum_sq"].scaleb(18)), raw["trials"]
            )
            for name in names
            if raw[f"{name}.sum"] is not None
        }


def _to_raw(row: Row) -> dict[str, Any]:
    raw: dict[str, Any] = {
        "id": row.id,
        "point": row.point,
        "first_trial": row.first_trial,
        "trials": row.tally.trials,
        "metrics": "\n".join(row.metrics),
        "received": row.received,
    }
    raw |= {f"seconds.{stage}": row.seconds[stage] for stage in STAGES}
    with localcontext(prec=76):
        for name, sums in row.tally.sums.items():
            raw[f"{name}.sum"] = Decimal(sums.total).scaleb(-9)
            raw[f"{name}.sum_sq"] = Decimal(sums.squares).scaleb(-18)
    return raw
