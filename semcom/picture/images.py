"""The one door for pictures: any common file becomes pixels, or one line says why it cannot.

Photos, drawn masks, kept reconstructions and training pictures all come in here. Formats are named, sizes
are checked before any pixel is decoded, and only regular files are opened. Transparency is composited on
white, as a browser or a printed page shows it. The EXIF orientation is applied. Embedded colour profiles
are not. Sixteen-bit grey keeps its precision; sixteen-bit colour is read at eight bits, because Pillow has
no wider colour mode.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError
from torch import Tensor

from semcom.files import read_limited
from semcom.picture import avif_alpha
from semcom.picture.limits import MAX_FILE_BYTES, MAX_PIXELS, MAX_SIDE, MIN_SIDE, SIZES
from semcom.picture.pixels import to_pixels, to_tensor

# Named, because Pillow would also try formats that start other programs (EPS) or carry no pixels.
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM")
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # TIFF 6.0, section 8


class ImageError(ValueError):
    """A picture cannot be read or written; the message is one line that names the file and the reason."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(" ".join(f"{path}: {reason}".split()))


def load(path: str | Path) -> Tensor:
    """Reads a photo.

    Args:
        path: of a PNG, JPEG, WebP, AVIF, TIFF, BMP, GIF (first frame) or PPM file, in colour, grey, with
            transparency, CMYK or with a palette, of a size in `limits.SIZES`.

    Returns:
        [3,H,W] float32 RGB in [0,1], upright.

    Raises:
        ImageError: the file is missing, no picture, damaged, incomplete, too small or too large. Sizes are
            checked before any pixel is decoded.
    """
    with _opened(Path(path), MIN_SIDE) as picture:
        if picture.mode.startswith("I"):
            return _grey16(picture)
        return to_tensor(np.asarray(_on_white(picture))).contiguous()


def read(path: str | Path) -> Image.Image:
    """Any picture that is no photo to send (a mask, a reconstruction, a training picture), of any size up
    to the largest.

    Returns:
        It in mode RGB, upright, loaded.

    Raises:
        ImageError: as `load`.
    """
    with _opened(Path(path), 1) as picture:
        if picture.mode.startswith("I"):
            return Image.fromarray(to_pixels(_grey16(picture)))
        return _on_white(picture)


def read_indices(path: str | Path) -> NDArray[np.uint8]:
    """The values of a label picture as they are stored: [H,W] indices of a palette or grey levels.

    Raises:
        ImageError: as `load`, and for a picture that has colours instead.
    """
    with _opened(Path(path), 1) as picture:
        if picture.mode not in ("P", "L", "1"):
            raise ValueError(f"labels are palette indices or grey levels, not mode {picture.mode}")
        return np.asarray(picture).astype(np.uint8)


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
def _opened(path: Path, min_side: int) -> Iterator[Image.Image]:
    """The picture, loaded and upright; every error inside becomes an `ImageError`."""
    try:
        content = read_limited(path, MAX_FILE_BYTES)
        if not content:
            raise ImageError(path, "the file is empty")
        with _quiet(), _identified(content) as picture:
            _check_size(path, picture, min_side)
            yield _upright(picture)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(path, _unidentified(content)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(path, f"too many pixels; {SIZES} are supported") from error
    except OSError as error:
        raise ImageError(path, error.strerror or str(error)) from error
    except Exception as error:  # a decoder that meets damaged bytes may raise anything
        raise ImageError(path, f"damaged picture: {str(error)[:300]}") from error


def _identified(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        repaired = avif_alpha.with_alpha_size(content)
        if repaired is None:
            raise
        return Image.open(io.BytesIO(repaired), formats=("AVIF",))


def _unidentified(content: bytes) -> str:
    if content[4:12] in (b"ftypavif", b"ftypavis"):
        return "an AVIF file that is damaged or uses what the installed decoder does not read"
    if content[:4] in (b"II*\0", b"MM\0*"):
        return "a TIFF file that is damaged or has a kind of pixels that is not read"
    return f"not a picture of a known format ({', '.join(FORMATS)})"


@contextmanager
def _quiet() -> Iterator[None]:
    """Pillow warns where this module either raises or has read the picture all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _check_size(path: Path, picture: Image.Image, min_side: int) -> None:
    width, height = picture.size
    if min(picture.size) < min_side or max(picture.size) > MAX_SIDE or width * height > MAX_PIXELS:
        raise ImageError(path, f"{width}x{height} pixels; {SIZES} are supported")


def _upright(picture: Image.Image) -> Image.Image:
    """With the tags of a TIFF file that say what its grey levels mean, which `_grey16` needs."""
    tags = dict(picture.tag_v2) if isinstance(picture, TiffImagePlugin.TiffImageFile) else {}
    upright = ImageOps.exif_transpose(picture)
    upright.info["_tags"] = tags
    return upright


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode == "F":
        raise ValueError("floating-point pixels have no known white")
    if picture.has_transparency_data:
        colour = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour)
    return picture.convert("RGB")


def _grey16(picture: Image.Image) -> Tensor:
    """Pillow's modes I;16 and, for wide PGM files, I with the same range.

    A TIFF of 12 bits comes as I;16 of 0 to 4095, and one whose zero is white as it is stored.
    """
    values = np.asarray(picture).astype(np.int64)
    tags = picture.info["_tags"]
    bits = tags.get(_BITS_PER_SAMPLE, (16,))
    white = 0xFFF if tuple(bits) == (12,) else 0xFFFF
    if values.min() < 0 or values.max() > white:
        raise ValueError("32-bit pixels have no known white")
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        values = white - values
    grey: NDArray[Any] = (values / white).astype(np.float32)
    return torch.from_numpy(grey).expand(3, -1, -1).contiguous()
