"""Photos in and out: any common file becomes a float RGB picture, or one line says why it cannot.

Transparency is composited on white, as a browser or a printed page shows it. The EXIF orientation is
applied. Embedded colour profiles are not. Sixteen-bit grey keeps its precision; sixteen-bit colour is
read at eight bits, because Pillow has no wider colour mode.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from semcom.picture.pixels import to_pixels, to_tensor

MIN_SIDE, MAX_SIDE = 64, 8192
# Named, because Pillow would also try formats that start other programs (EPS) or carry no pixels.
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM")


class ImageError(ValueError):
    """A photo cannot be read or written; the message is one line that names the file and the reason."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(" ".join(f"{path}: {reason}".split()))


def load(path: str | Path) -> Tensor:
    """Reads a photo.

    Args:
        path: of a PNG, JPEG, WebP, AVIF, TIFF, BMP, GIF (first frame) or PPM file, in colour, grey, with
            transparency, CMYK or with a palette, 64 to 8192 pixels a side.

    Returns:
        [3,H,W] float32 RGB in [0,1], upright.

    Raises:
        ImageError: the file is missing, no picture, damaged, incomplete, too small or too large. Sizes are
            checked before any pixel is decoded.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            if not file.peek(1):
                raise ImageError(path, "the file is empty")
            with _quiet(), Image.open(file, formats=FORMATS) as picture:
                _check_size(path, picture)
                return _to_rgb(ImageOps.exif_transpose(picture))
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(path, f"not a picture of a known format ({', '.join(FORMATS)})") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(path, f"more pixels than the {MAX_SIDE}x{MAX_SIDE} that are supported") from error
    except OSError as error:
        raise ImageError(path, error.strerror or str(error)) from error
    except Exception as error:  # a decoder that meets damaged bytes may raise anything
        raise ImageError(path, f"damaged picture: {error}") from error


def save(image: Tensor, path: str | Path) -> None:
    """Writes [3,H,W] float in [0,1], rounded to 8 bits, in the format of the file name's ending.

    Raises:
        ImageError: the ending is unknown or the place cannot be written to.
    """
    path = Path(path)
    try:
        Image.fromarray(to_pixels(image)).save(path)
    except OSError as error:
        raise ImageError(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise ImageError(path, f"{error}; use .png") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Pillow warns where this module either raises or has read the picture all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _check_size(path: Path, picture: Image.Image) -> None:
    if min(picture.size) < MIN_SIDE or max(picture.size) > MAX_SIDE:
        size = f"{picture.width}x{picture.height} pixels"
        raise ImageError(path, f"{size}; sides of {MIN_SIDE} to {MAX_SIDE} are supported")


def _to_rgb(picture: Image.Image) -> Tensor:
    if picture.mode.startswith("I"):
        return _grey16(np.asarray(picture))
    if picture.mode == "F":
        raise ValueError("floating-point pixels have no known white")
    if picture.has_transparency_data:
        colour = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour)
    return to_tensor(np.asarray(picture.convert("RGB"))).contiguous()


def _grey16(values: NDArray[Any]) -> Tensor:
    """Pillow's modes I;16 and, for wide PGM files, I with the same range."""
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ValueError("32-bit pixels have no known white")
    return torch.from_numpy(values.astype(np.float32) / 0xFFFF).expand(3, -1, -1).contiguous()
