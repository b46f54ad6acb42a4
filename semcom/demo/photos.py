"""Uploads: bytes of a stranger become a photo of at most 512 pixels a side, or a sentence says why not."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from semcom.files import MIB

if TYPE_CHECKING:
    from torch import Tensor

MAX_BYTES = 20 * MIB
MAX_PIXELS = 24_000_000
MAX_SIDE = 512
"""Larger pictures are made smaller, so that an answer takes seconds."""


def photo_of(content: bytes) -> Tensor:
    """[3,H,W] float in [0,1], 64 to 512 pixels a side, of the bytes of a picture file.

    The name under which a file was uploaded plays no part.

    Raises:
        ValueError: one sentence, without any path of this machine.
    """
    from semcom.picture import images

    if len(content) > MAX_BYTES:
        raise ValueError(f"the file has more than {MAX_BYTES // MIB} MiB: choose a smaller one")
    _check_pixels(content)
    with tempfile.NamedTemporaryFile(prefix="semcom-", suffix=".upload") as file:
        file.write(content)
        file.flush()
        try:
            photo = images.load(file.name)
        except images.ImageError as error:
            reason = str(error).removeprefix(f"{file.name}: ").replace(str(Path(file.name).parent), "")
            raise ValueError(f"this file cannot be sent: {reason}") from None
    return _small(photo)


def as_png(picture: Tensor) -> bytes:
    """The bytes of a PNG file of [3,H,W] float in [0,1]."""
    from PIL import Image

    from semcom.picture.pixels import to_pixels

    buffer = io.BytesIO()
    Image.fromarray(to_pixels(picture)).save(buffer, "PNG")
    return buffer.getvalue()


def _check_pixels(content: bytes) -> None:
    """Refuses from the header alone; what has none that is known is refused by the reader."""
    import warnings

    from PIL import Image

    from semcom.picture.images import FORMATS

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            width, height = Image.open(io.BytesIO(content), formats=FORMATS).size
    except Image.DecompressionBombError:
        raise ValueError(f"more than {MAX_PIXELS // 10**6} million pixels: choose a smaller one") from None
    except Exception:
        return
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"{width}x{height} pixels are more than {MAX_PIXELS // 10**6} million: choose a smaller picture"
        )


def _small(photo: Tensor) -> Tensor:
    import torch.nn.functional as F

    height, width = photo.shape[1:]
    scale = MAX_SIDE / max(height, width)
    if scale >= 1:
        return photo
    size = round(height * scale), round(width * scale)
    if min(size) < 64:
        raise ValueError(f"{width}x{height} pixels: too long and thin to be shown at {MAX_SIDE} pixels")
    small = F.interpolate(photo[None], size, mode="bilinear", antialias=True)[0]
    # To eight bits, so that the photo that can be saved is the photo that was sent
    return (small.clamp(0, 1) * 255).round() / 255
