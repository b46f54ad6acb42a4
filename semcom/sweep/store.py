"""Results on disk: additive shards, written once and atomically, and the failures of the last run.

    RUN/scenario.yaml   RUN/plan.json   RUN/failures.json   RUN/pictures/KEY.png
    RUN/shards/SHA-256.parquet    rows: point, first trial, number of trials, sums and sums of squares

A row covers the trials [first_trial, first_trial + trials) of a point, with what was counted and the metrics
in its column `metrics`. Trials are functions of their point and number, so rows that overlap repeat each
other: reading takes, for the counts and for each metric, one gapless chain from trial 0 and counts nothing
twice, whatever was interrupted, run in parallel, merged, or measured later.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from semcom.sweep import rows as encoding
from semcom.sweep.atomic import remove_unfinished, write_atomically
from semcom.sweep.rows import STAGES, Row

__all__ = ["STAGES", "Reach", "Row", "Store", "chain", "write_atomically"]

FORMAT = "2"
COUNTS = ""
"""Stands for what is counted in every row, where a metric's column could stand."""
Spans = tuple[tuple[int, int, str], ...]


@dataclass(frozen=True)
class Reach:
    """Gapless trials of a point: all that were simulated, and on how many of them each metric is known."""

    trials: int
    metrics: Mapping[str, int] = field(default_factory=dict)

    def lacking(self, metrics: Iterable[str]) -> tuple[str, ...]:
        """Of some metrics, those that are not known on every trial."""
        return tuple(name for name in metrics if self.metrics.get(name, 0) < self.trials)


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
        """Makes the folders, and removes what killed writers left unfinished in them. Raises OSError."""
        self.shards.mkdir(parents=True, exist_ok=True)
        self.pictures.mkdir(exist_ok=True)
        for folder in (self.folder, self.shards, self.pictures):
            remove_unfinished(folder)

    def shard_paths(self) -> list[Path]:
        """Finished shards, and whatever else somebody put there under such a name."""
        return sorted(self.shards.glob("*.parquet"))

    def write_shard(self, rows: Sequence[Row], provenance: Mapping[str, Any]) -> Path:
        """One new shard, complete or not there at all. Raises OSError."""
        described = {"provenance": json.dumps(provenance), "format": FORMAT}
        sink = pa.BufferOutputStream()
        pq.write_table(encoding.to_table(rows).replace_schema_metadata(described), sink, compression="zstd")
        data = sink.getvalue().to_pybytes()
        path = self.shards / f"{sha256(data).hexdigest()}.parquet"
        write_atomically(path, data)
        return path

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Shards one by one. One that is damaged or foreign is left out with a warning and redone.

        Raises:
            ValueError: a shard is of an older version of semcom.
        """
        for path in self.shard_paths():
            table = _read(path)
            if table is not None:
                yield table if columns is None else table.select(list(columns))

    def reach(self) -> dict[str, Reach]:
        """Gapless trials of every point."""
        return {key: _reach(spans) for key, spans in self._spans()[0].items()}

    def rows(self, ids: Iterable[str] | None = None) -> Iterator[Row]:
        """Rows that count, each trial and each metric once; of some points or of all."""
        (spans, repeated), given = self._spans(), set()
        wanted = spans.keys() if ids is None else set(ids)
        for table in self.tables():
            names = encoding.quantities(table)
            for raw in table.to_pylist():
                key, span = raw["id"], (raw["first_trial"], raw["trials"])
                if key not in wanted:
                    continue
                counted = {
                    quantity
                    for quantity in (COUNTS, *encoding.metrics_of(raw["metrics"]))
                    if span in chain(spans[key], quantity) and (key, span, quantity) not in given
                }
                if len(spans[key]) > 1 or key in repeated:  # only then can a span come again
                    given |= {(key, span, quantity) for quantity in counted}
                if counted:
                    yield encoding.from_raw(raw, names, counted)

    def provenances(self) -> list[dict[str, Any]]:
        """What produced the shards, each combination once."""
        found: dict[str, None] = {}
        for table in self.tables(["id"]):
            found[table.schema.metadata[b"provenance"].decode()] = None
        return [json.loads(text) for text in found]

    def failures(self) -> dict[str, dict[str, Any]]:
        """Points that failed when last tried: id to point, stage, reason and traceback."""
        path = self.folder / "failures.json"
        if not path.is_file():
            return {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return {key: record for key, record in found.items() if _is_failure(record)}
        except (OSError, ValueError, AttributeError, RecursionError):
            warnings.warn(f"{path} is no list of failures and ignored", stacklevel=2)
            return {}

    def write_failures(self, failures: Mapping[str, Mapping[str, Any]]) -> None:
        """Replaces the list. Raises OSError."""
        text = json.dumps(failures, indent=1, sort_keys=True) + "\n"
        write_atomically(self.folder / "failures.json", text.encode())

    def picture(self, key: str) -> Path:
        """Where the reconstruction from a received message is kept."""
        return self.pictures / f"{key}.png"

    def _spans(self) -> tuple[dict[str, Spans], set[str]]:
        """Spans of trials with their metrics by point, and the points that have one of them twice."""
        shared: dict[Spans, Spans] = {}  # most points have the same spans: one object for all of them
        spans: dict[str, Spans] = {}
        repeated = set()
        for table in self.tables(["id", "first_trial", "trials", "metrics"]):
            columns = (table[name].to_pylist() for name in ("id", "first_trial", "trials", "metrics"))
            for key, *span in zip(*columns, strict=True):
                known = spans.get(key, ())
                if tuple(span) in known:
                    repeated.add(key)
                else:
                    longer = (*known, tuple(span))
                    spans[key] = shared.setdefault(longer, longer)
        return spans, repeated


@lru_cache(maxsize=8192)
def chain(spans: Spans, quantity: str = COUNTS) -> tuple[tuple[int, int], ...]:
    """Of spans (first, length, metrics) with a quantity, consecutive ones from 0 that reach furthest."""
    with_it = {
        (first, length)
        for first, length, metrics in spans
        if quantity == COUNTS or quantity in encoding.metrics_of(metrics)
    }
    best: dict[int, tuple[tuple[int, int], ...]] = {0: ()}
    for first, length in sorted(with_it):
        if first in best:
            best.setdefault(first + length, (*best[first], (first, length)))
    return best[max(best)]


@lru_cache(maxsize=4096)
def _reach(spans: Spans) -> Reach:
    def trials(quantity: str) -> int:
        return sum(length for _, length in chain(spans, quantity))

    names = {name for _, _, metrics in spans for name in encoding.metrics_of(metrics)}
    return Reach(trials(COUNTS), {name: trials(name) for name in names})


def _read(path: Path) -> pa.Table | None:
    try:
        data = path.read_bytes() if path.is_file() else b""
        if sha256(data).hexdigest() != path.stem:
            warnings.warn(f"{path} is damaged or foreign and ignored", stacklevel=3)
            return None
        table = pq.read_table(pa.BufferReader(data))
    except (OSError, pa.ArrowException):
        warnings.warn(f"{path} is no shard and ignored", stacklevel=3)
        return None
    metadata = table.schema.metadata or {}
    if metadata.get(b"format", b"").decode() != FORMAT:
        if b"provenance" in metadata and {"id", "point"} <= set(table.column_names):
            raise ValueError(
                f"{path.parent.parent} holds results of an older semcom, which do not say what weights and "
                "code made them: choose another folder, or look at them with the version that wrote them"
            )
        warnings.warn(f"{path} is no shard of a sweep and ignored", stacklevel=3)
        return None
    if not encoding.plausible(table):
        warnings.warn(f"{path} holds sums that no numbers have and is ignored", stacklevel=3)
        return None
    return table


def _is_failure(record: Any) -> bool:
    point = record["point"] if isinstance(record, dict) else None
    named = isinstance(point, dict) and isinstance(point.get("image"), dict) and "snr_db" in point
    return named and {"stage", "reason"} <= record.keys()


def added_up(rows: Iterable[Row]) -> dict[str, Row]:
    """Rows of a point added up, by point."""
    found: dict[str, Row] = {}
    for row in rows:
        if row.id in found:
            found[row.id].absorb(row)
        else:
            found[row.id] = row
    return found
