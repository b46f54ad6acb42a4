"""Rows, failures and pictures on their way to the store."""

from __future__ import annotations

import json
import time
from typing import Any

from semcom.sweep.rows import Row
from semcom.sweep.store import Store, write_atomically
from semcom.sweep.worker import Failure

_ROWS_PER_SHARD, _SECONDS_PER_SHARD, _MOST_UNWRITTEN = 2000, 5.0, 20_000


class Writer:
    """Collects rows into shards. A disk that is full for a while loses nothing.

    Args:
        store: created.
        provenance: goes into every shard.
    """

    def __init__(self, store: Store, provenance: dict[str, Any]) -> None:
        self.warnings: list[str] = []
        self._store, self._provenance = store, provenance
        self._rows: list[Row] = []
        self._failures = store.failures()
        self._failed_now: set[str] = set()
        self._failures_changed = False
        self._last = time.monotonic()

    def rows(self, rows: list[Row]) -> None:
        """Takes rows for the next shard."""
        self._rows += rows

    def failure(self, key: str, description: str, names: dict[str, Any], failure: Failure) -> None:
        """Takes a point that failed, with what people call it."""
        self._failed_now.add(key)
        self._failures[key] = {
            "point": json.loads(description) | names,
            "stage": failure.stage,
            "reason": failure.reason,
            "traceback": failure.trace,
        }
        self._failures_changed = True

    def succeeded(self, keys: list[str]) -> None:
        """Takes points off the list of failures."""
        for key in keys:
            self._failures_changed |= self._failures.pop(key, None) is not None

    def every_point_was_tried(self) -> None:
        """Forgets failures of points that no longer exist, such as those of an image since replaced."""
        self._failures = {key: self._failures[key] for key in self._failures.keys() & self._failed_now}
        self._failures_changed = True

    def picture(self, key: str, data: bytes) -> None:
        """Writes a reconstruction at once; pictures are for looking, so that an error is a warning."""
        try:
            write_atomically(self._store.picture(key), data)
        except OSError as error:
            self.warnings.append(f"a picture could not be written: {error}")

    def flush_if_due(self) -> None:
        """Writes when there is enough or it is time; an error is tried again later, up to a limit."""
        if len(self._rows) < _ROWS_PER_SHARD and time.monotonic() - self._last < _SECONDS_PER_SHARD:
            return
        try:
            self.flush()
        except OSError as error:
            if len(self._rows) > _MOST_UNWRITTEN:
                raise
            self.warnings.append(f"results could not be written, will be tried again: {error}")
            self._last = time.monotonic()

    def flush(self) -> None:
        """Writes what there is. Raises OSError; nothing is forgotten then."""
        if self._rows:
            self._store.write_shard(self._rows, self._provenance)
            self._rows = []
        if self._failures_changed:
            self._store.write_failures(self._failures)
            self._failures_changed = False
        self._last = time.monotonic()
