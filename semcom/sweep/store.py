"""Results on disk: additive shards, written once and atomically, and the failures of the last run.

    RUN/scenario.yaml     RUN/failures.json     RUN/pictures/KEY.png
    RUN/shards/SHA-256.parquet    rows: point, first trial, number of trials, sums and sums of squares

A row covers the trials [first_trial, first_trial + trials) of a point. Trials are functions of their point
and number, so rows that overlap repeat each other: reading takes one gapless chain from trial 0 and counts
nothing twice, whatever was interrupted, run in parallel or merged.
"""

from __future__ import annotations

import json
import os
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from semcom.sweep.tally import Sums, Tally

Spans = tuple[tuple[int, int], ...]
STAGES = ("encode", "link", "decode", "metrics")
_SUM, _SQUARES = pa.decimal128(38, 9), pa.decimal128(38, 18)
_FIXED = pa.schema(
    [
        ("id", pa.string()),
        ("point", pa.string()),
        ("first_trial", pa.int64()),
        ("trials", pa.int64()),
        ("received", pa.string()),
        *((f"seconds.{stage}", pa.float64()) for stage in STAGES),
    ]
)


@dataclass
class Row:
    """Some consecutive trials of one point.

    Attributes:
        point: canonical description; `id` is its SHA-256.
        received: key of the received message of trial 0 where this row has that trial, which is also the name
            of its picture.
        seconds: per stage. Not part of any result, because no two runs take the same time.
    """

    id: str
    point: str
    first_trial: int
    received: str | None
    tally: Tally = field(default_factory=Tally)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))


class Store:
    """The folder of a run.

    Args:
        folder: made where it is missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.shards = self.folder / "shards"
        self.pictures = self.folder / "pictures"

    def create(self) -> None:
        """Makes the folders."""
        self.shards.mkdir(parents=True, exist_ok=True)
        self.pictures.mkdir(exist_ok=True)

    def shard_paths(self) -> list[Path]:
        """Finished shards."""
        return sorted(self.shards.glob("*.parquet"))

    def write_shard(self, rows: Sequence[Row], provenance: Mapping[str, Any]) -> Path:
        """One new shard, complete or not there at all. Raises OSError."""
        table = _to_table(rows).replace_schema_metadata({"provenance": json.dumps(provenance)})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        data = sink.getvalue().to_pybytes()
        path = self.shards / f"{sha256(data).hexdigest()}.parquet"
        write_atomically(path, data)
        return path

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Shards one by one; a damaged one is left out with a warning, so that its points are redone."""
        for path in self.shard_paths():
            data = path.read_bytes()
            if sha256(data).hexdigest() == path.stem:
                yield pq.read_table(pa.BufferReader(data), columns=None if columns is None else list(columns))
            else:
                warnings.warn(f"{path} is damaged and ignored", stacklevel=2)

    def reach(self) -> dict[str, int]:
        """Number of gapless trials of every point."""
        return {key: sum(n for _, n in chain(spans)) for key, spans in self._spans()[0].items()}

    def rows(self, ids: Iterable[str] | None = None) -> Iterator[Row]:
        """Rows that count, each trial once; of some points or of all."""
        spans, repeated = self._spans()
        wanted, given = None if ids is None else set(ids), set()
        for table in self.tables():
            names = [name.removesuffix(".sum") for name in table.column_names if name.endswith(".sum")]
            for raw in table.to_pylist():
                key, span = raw["id"], (raw["first_trial"], raw["trials"])
                if (wanted is not None and key not in wanted) or span not in chain(spans[key]):
                    continue
                if key in repeated:
                    if (key, span) in given:
                        continue
                    given.add((key, span))
                yield _from_raw(raw, names)

    def tallies(self, ids: Iterable[str] | None = None) -> dict[str, Tally]:
        """Everything added up, by point."""
        tallies: dict[str, Tally] = defaultdict(Tally)
        for row in self.rows(ids):
            tallies[row.id].merge(row.tally)
        return dict(tallies)

    def provenances(self) -> list[dict[str, Any]]:
        """What produced the shards, each combination once."""
        found: dict[str, None] = {}
        for table in self.tables(["id"]):
            found[table.schema.metadata[b"provenance"].decode()] = None
        return [json.loads(text) for text in found]

    def failures(self) -> dict[str, dict[str, Any]]:
        """Points that failed when last tried: id to point, stage, reason and traceback."""
        path = self.folder / "failures.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}

    def write_failures(self, failures: Mapping[str, Mapping[str, Any]]) -> None:
        """Replaces the list. Raises OSError."""
        text = json.dumps(failures, indent=1, sort_keys=True) + "\n"
        write_atomically(self.folder / "failures.json", text.encode())

    def picture(self, key: str) -> Path:
        """Where the reconstruction from a received message is kept."""
        return self.pictures / f"{key}.png"

    def _spans(self) -> tuple[dict[str, Spans], set[str]]:
        """Spans of trials by point, and the points of which a span is there more than once."""
        shared: dict[Spans, Spans] = {}  # most points have the same spans: one object for all of them
        spans: dict[str, Spans] = {}
        repeated = set()
        for table in self.tables(["id", "first_trial", "trials"]):
            columns = (table[name].to_pylist() for name in ("id", "first_trial", "trials"))
            for key, first, trials in zip(*columns, strict=True):
                known = spans.get(key, ())
                if (first, trials) in known:
                    repeated.add(key)
                else:
                    longer = (*known, (first, trials))
                    spans[key] = shared.setdefault(longer, longer)
        return spans, repeated


@lru_cache(maxsize=4096)
def chain(spans: Spans) -> Spans:
    """Of spans (first, length), consecutive ones from 0 that together reach furthest."""
    best: dict[int, Spans] = {0: ()}
    for first, length in sorted(spans):
        if first in best:
            best.setdefault(first + length, (*best[first], (first, length)))
    return best[max(best)]


def write_atomically(path: Path, data: bytes) -> None:
    """The file appears whole or not at all, even if the machine stops. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _to_table(rows: Sequence[Row]) -> pa.Table:
    names = sorted({name for row in rows for name in row.tally.sums})
    schema = _FIXED
    for name in names:
        schema = schema.append(pa.field(f"{name}.sum", _SUM)).append(pa.field(f"{name}.sum_sq", _SQUARES))
    return pa.Table.from_pylist([_to_raw(row) for row in rows], schema=schema)


def _to_raw(row: Row) -> dict[str, Any]:
    raw: dict[str, Any] = {
        "id": row.id,
        "point": row.point,
        "first_trial": row.first_trial,
        "trials": row.tally.trials,
        "received": row.received,
    }
    raw |= {f"seconds.{stage}": row.seconds[stage] for stage in STAGES}
    with localcontext(prec=76):
        for name, sums in row.tally.sums.items():
            raw[f"{name}.sum"] = Decimal(sums.total).scaleb(-9)
            raw[f"{name}.sum_sq"] = Decimal(sums.squares).scaleb(-18)
    return raw


def _from_raw(raw: Mapping[str, Any], names: Sequence[str]) -> Row:
    with localcontext(prec=76):
        sums = {
            name: Sums(int(raw[f"{name}.sum"].scaleb(9)), int(raw[f"{name}.sum_sq"].scaleb(18)))
            for name in names
            if raw[f"{name}.sum"] is not None
        }
    return Row(
        raw["id"],
        raw["point"],
        raw["first_trial"],
        raw["received"],
        Tally(raw["trials"], sums),
        {stage: raw[f"seconds.{stage}"] for stage in STAGES},
    )
