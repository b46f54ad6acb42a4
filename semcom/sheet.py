"""Contact sheets, of sweeps, benchmarks and reports alike: pictures in rows, a title above each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from semcom.picture import images

if TYPE_CHECKING:
    from torch import Tensor

Cell = tuple[str, "Path | Image.Image | Tensor | None"]
"""Title and picture, a file or [3,H,W] float in [0,1]; None leaves the place empty."""
_GAP = 6


def contact_sheet(
    rows: Sequence[Sequence[Cell]],
    tile: tuple[int, int] = (288, 216),
    font_size: int = 11,
    heading: str = "",
) -> Image.Image:
    """Pictures in rows.

    Args:
        rows: of cells; they need not be equally long.
        tile: width and height in pixels into which every picture is fitted, its shape kept.
        font_size: of titles, in pixels.
        heading: of the whole sheet.
    """
    font, caption = ImageFont.load_default(font_size), font_size + 5
    width, height = tile[0] + _GAP, tile[1] + caption + _GAP
    columns, top = max(map(len, rows)), _GAP + (caption if heading else 0)
    sheet = Image.new("RGB", (columns * width + _GAP, len(rows) * height + top), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP // 2), heading, fill="black", font=font)
    for line, row in enumerate(rows):
        for column, (title, picture) in enumerate(row):
            x, y = _GAP + column * width, top + line * height
            draw.text((x, y), title, fill="black", font=font)
            if picture is not None:
                fitted = _fitted(_opened(picture), tile)
                sheet.paste(fitted, (x, y + caption))
    return sheet


def _opened(picture: Path | Image.Image | Tensor) -> Image.Image:
    if isinstance(picture, Path):
        return images.read(picture)
    if isinstance(picture, Image.Image):
        return picture.convert("RGB")
    from semcom.picture.pixels import to_pixels

    return Image.fromarray(to_pixels(picture))


def _fitted(picture: Image.Image, tile: tuple[int, int]) -> Image.Image:
    scale = min(tile[0] / picture.width, tile[1] / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)
