"""Key encoder: what the receiver would get wrong in key regions, as packets that decode on their own."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from semcom.models import key_bitstream
from semcom.models.key_bitstream import LatentTables
from semcom.models.key_transform import KeyTransform


@torch.inference_mode()
def key_packets(
    image: Tensor, coded: Tensor, key_map: Tensor, transform: KeyTransform, tables: LatentTables
) -> list[bytes]:
    """Packets of the key stream; none for an empty key map.

    Args:
        image: [3,4h,4w] in [0,1], the picture.
        coded: [3,h,w], its HCI after AV1, as the receiver has it.
        key_map: [h/4,w/4] bool.
        transform, tables: of the profile.
    """
    latents = transform.quantise(transform(image[None], coded[None]))[0]
    return key_bitstream.encode(latents.numpy().astype(np.int64), key_map.numpy(), tables)
