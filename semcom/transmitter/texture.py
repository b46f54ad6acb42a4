"""Texture encoder: how much finer the picture is than its HCI lets expect, as bytes."""

from __future__ import annotations

import torch
from torch import Tensor

from semcom.picture import texture
from semcom.streams import texture as texture_code
from semcom.streams.tables import StreamTables


def measure(image: Tensor, noise: float = 0.0) -> Tensor:
    """Levels [1,rows,columns] per 32×32 pixels of a picture [3,H,W] in [0,1], sides multiples of 16.

    Args:
        image: the picture.
        noise: of its film grain, in grey levels of luma: the receiver adds that by itself.
    """
    return texture.measure(image[None], texture.BLOCK, noise)


def encode(levels: Tensor, coded: Tensor, quality: int, tables: StreamTables) -> bytes:
    """The stream.

    Args:
        levels: [1,rows,columns], measured.
        coded: [3,h,w] the HCI after AV1.
        quality: of it.
        tables: of the profile.
    """
    expectation = texture.expected(coded[None], torch.tensor([float(quality)]))
    octaves = (levels - expectation)[0].numpy()
    return texture_code.encode(texture_code.choose(octaves, texture_code.code_lengths(tables)), tables)
