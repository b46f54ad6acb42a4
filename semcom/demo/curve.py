"""The curve of the page: the sweep that its YAML describes, one SNR after the other, by the sweep engine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from semcom.demo.settings import MASK, PHOTO

MOST_SECONDS = 300.0


def points(fields: Mapping[str, Any], photo_png: bytes, mask_png: bytes | None) -> Iterator[dict[str, Any]]:
    """A row for each system and SNR as it is finished: `system`, `snr_db`, `bler`, and a value a metric.

    Each SNR extends the run of those before, which gives the same numbers as all of them at once. Ends
    early after `MOST_SECONDS`.

    Args:
        fields: of the scenario.
        photo_png, mask_png: the files that it names.

    Raises:
        ValueError: a point failed, with the reason.
    """
    from semcom.sweep import api

    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="semcom-demo-") as folder:
        place = Path(folder)
        (place / PHOTO).write_bytes(photo_png)
        if mask_png is not None:
            (place / MASK).write_bytes(mask_png)
        here = _in_folder(fields, place)
        snrs = list(fields["grid"]["snr_db"])
        for count in range(1, len(snrs) + 1):
            if time.monotonic() - begun > MOST_SECONDS:
                return
            scenario = here | {"grid": {"snr_db": snrs[:count]}}
            result = api.run(scenario, place / "run", executor="serial", workers=1, show_progress=False)
            for record in result.failures().values():
                raise ValueError(record["reason"])
            table = result.summary()
            for row in table[table["snr_db"] == snrs[count - 1]].to_dict("records"):
                wanted = ("system", "snr_db", "bler", *fields["metrics"])
                yield {name: row[name] for name in wanted if name in row}


def _in_folder(fields: Mapping[str, Any], place: Path) -> dict[str, Any]:
    """With the files where they are now."""
    systems = {
        name: {**system, "options": {**system["options"], "mask": str(place / MASK)}}
        if "mask" in system.get("options", {})
        else system
        for name, system in fields["systems"].items()
    }
    return {**fields, "images": [str(place / PHOTO)], "systems": systems}
