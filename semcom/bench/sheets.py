"""Contact sheets of a benchmark: what a picture looks like by system and SNR at one budget."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semcom.bench.document import best_rows
from semcom.bench.operating_points import AXIS
from semcom.sheet import contact_sheet
from semcom.sweep.result import SweepResult


def write_sheets(data: Mapping[str, Any], run: Path, folder: Path, metric: str) -> list[Path]:
    """One JPEG per image that was kept and budget; systems down, SNRs across, at the envelope in `metric`."""
    folder.mkdir(parents=True, exist_ok=True)
    result = SweepResult(run)
    kept = result.pictures()
    chosen = {(row["system"], _name(row), row["snr_db"] or 0.0): row for row in best_rows(data, metric)}
    paths = []
    for image, pictures in kept.groupby("image", sort=True):
        original = result.original(pictures["_photo"].iloc[0])
        cells: dict[float, dict[tuple[str, float], Path]] = {}
        for picture in pictures.to_dict("records"):
            row = chosen.get((picture["system"], picture[AXIS], picture["snr_db"]))
            if row is not None:
                cells.setdefault(row["budget"], {})[row["system"], picture["snr_db"]] = Path(picture["path"])
        for budget, tiles in cells.items():
            path = folder / f"sheet_{Path(str(image)).stem}_{budget:.4g}.jpg"
            contact_sheet(_rows(tiles, original)).save(path, quality=88)
            paths.append(path)
    return paths


def _name(row: Mapping[str, Any]) -> str:
    from semcom.bench.operating_points import OperatingPoint

    return OperatingPoint(row["system"], row["budget"], row["mcs"], ()).name


def _rows(
    tiles: Mapping[tuple[str, float], Path], original: Path | None
) -> list[list[tuple[str, Path | None]]]:
    systems = list(dict.fromkeys(system for system, _ in tiles))
    snrs = sorted({snr for _, snr in tiles})
    return [
        [("original", original), *((f"{system}, {snr:g} dB", tiles.get((system, snr))) for snr in snrs)]
        for system in systems
    ]
