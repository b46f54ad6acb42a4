"""Key encoder: what HCI and texture miss in key regions, as packets that decode on their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from semcom.models import key_bitstream
from semcom.models.key_bitstream import LatentTables
from semcom.models.key_transform import KeyTransform


def key_packets(
    thumb: Tensor,
    coded: Tensor,
    key_map: Tensor,
    refinement: NDArray[np.int64],
    transform: KeyTransform,
    tables: LatentTables,
) -> list[bytes]:
    """Packets of the key stream; none for an empty key map.

    Args:
        thumb: [3,h,w] in [0,1], the quarter-size picture.
        coded: [3,h,w], the same after AV1, as the receiver has it.
        key_map: [h/4,w/4] bool.
        refinement: [h/4,w/4] of the texture, the last channel of the latents.
        transform, tables: of the profile.
    """
    shapes = transform.quantise((thumb - coded)[None])[0].numpy().astype(np.int64)
    return key_bitstream.encode(np.concatenate((shapes, refinement[None])), key_map.numpy(), tables)
