"""Contact sheets of a benchmark: what a picture looks like by system and SNR at one budget."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from semcom.bench.document import best_rows
from semcom.bench.run import AXIS
from semcom.picture import images
from semcom.sweep.result import SweepResult

_TILE = (288, 216)
_CAPTION = 14


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
            _sheet(tiles, original).save(path, quality=88)
            paths.append(path)
    return paths


def _name(row: Mapping[str, Any]) -> str:
    from semcom.bench.operating_points import OperatingPoint

    return OperatingPoint(row["system"], row["budget"], row["mcs"], ()).name


def _sheet(tiles: Mapping[tuple[str, float], Path], original: Path | None) -> Image.Image:
    systems = list(dict.fromkeys(system for system, _ in tiles))
    snrs = sorted({snr for _, snr in tiles})
    width, height = _TILE[0], _TILE[1] + _CAPTION
    sheet = Image.new("RGB", (width * (len(snrs) + 1), height * len(systems)), "white")
    draw = ImageDraw.Draw(sheet)
    for line, system in enumerate(systems):
        cells = [("original", original), *((f"{snr:g} dB", tiles.get((system, snr))) for snr in snrs)]
        for column, (title, file) in enumerate(cells):
            place = (column * width, line * height)
            draw.text(place, f"{system}, {title}" if column else title, fill="black")
            if file is not None:
                tile = images.read(file)
                tile.thumbnail(_TILE, Image.Resampling.LANCZOS)
                sheet.paste(tile, (place[0], place[1] + _CAPTION))
    return sheet
