"""Key encoder: what the receiver would get wrong in key regions, as packets that decode on their own."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from semcom.networks.key_transform import KeyTransform
from semcom.streams import key as key_bitstream
from semcom.streams.key import LatentTables


class KeyEncoder:
    """Encodes with the models of a profile.

    Args:
        transform: of what the HCI misses in a key cell.
        tables: integer tables of the latents.
    """

    def __init__(self, transform: KeyTransform, tables: LatentTables) -> None:
        self._transform, self._tables = transform, tables

    @torch.inference_mode()
    def latents(self, image: Tensor, coded: Tensor) -> Tensor:
        """[C,h/4,w/4] of a picture [3,4h,4w] in [0,1] and of its HCI after AV1 [3,h,w]."""
        return self._transform(image[None], coded[None])[0]

    def packets(self, latents: Tensor, key_map: Tensor, fineness: int) -> list[bytes]:
        """Packets of the key stream for a key map [h/4,w/4]; none for an empty one."""
        integers = self._transform.quantise(latents, fineness).numpy().astype(np.int64)
        return key_bitstream.encode(integers, key_map.numpy(), self._tables)
