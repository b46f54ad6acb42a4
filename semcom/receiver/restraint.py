"""How far the receiver may invent: from the least error to the sharpest picture.

Between what the bits surely say and what is generated from it lies a trade of distortion against realism
(Blau and Michaeli, arXiv 1711.06077), and a straight line between the two ends of it is optimal for squared
error (Freirich et al., arXiv 2107.02555). The ends here are the received thumbnail, enlarged, and the
generated picture; some of what is generated is nearer to the truth than nothing of it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from semcom.picture.grid import HCI_SCALE

_LEAST_ERROR = 0.35
"""Weight of the generated picture. PSNR is highest at 0.15 to 0.3 on four of Kodak at 0.035 bpp, at most
0.1 dB lower here; small pictures want more."""


def restrained(generated: Tensor, sure: Tensor, realism: float) -> Tensor:
    """Picture [3,H,W] in [0,1]; at realism 1 the generated one itself.

    Args:
        generated: [3,H,W] in [0,1].
        sure: [3,H/4,W/4] in [0,1], the thumbnail that arrived, with what of the key latents did.
        realism: 0 for the least error to 1.
    """
    if realism == 1:
        return generated
    large = F.interpolate(sure[None].double(), scale_factor=HCI_SCALE, mode="bicubic")[0].clamp(0, 1)
    weight = _LEAST_ERROR + (1 - _LEAST_ERROR) * realism
    return torch.lerp(large, generated.double(), weight).float()
