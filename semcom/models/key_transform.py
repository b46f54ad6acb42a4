"""Key transform: what the HCI misses inside one key cell, as 32 latents and back.

    HCI residual [3,h,w] ─ 4×4 pixels a cell ─► 48 values ─ orthonormal basis ─► 32 latents ─ step ─► integers

One key cell is 16×16 pixels of the picture and 4×4 pixels of the HCI. The basis is learned from the coding
residuals of training photographs (Karhunen–Loève: the 32 directions that hold most of their energy), so
that it fits AV1's errors at the qualities in use. Both ends share it; only integers travel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcom.models.grid import CELL, HCI_SCALE
from semcom.models.key_bitstream import MAX_MAGNITUDE

CELL_SIDE = CELL // HCI_SCALE
CELL_VALUES = 3 * CELL_SIDE**2


class KeyTransform(nn.Module):
    """Learned block transform with a uniform quantiser.

    Args:
        channels: latents per cell.
        step: quantisation step, in units of [0,1] pixel values.
        rounding: fraction of a step from which magnitudes round up; less than one half makes a dead zone,
            which saves more bits than it costs quality at low rate.
    """

    basis: Tensor

    def __init__(self, channels: int = 32, step: float = 60 / 255, rounding: float = 0.36) -> None:
        super().__init__()
        self.step, self._round_up = step, rounding
        self.register_buffer("basis", torch.eye(CELL_VALUES)[:channels])

    def quantise(self, residual: Tensor) -> Tensor:
        """Integer latents [B,C,h/4,w/4] within ±7, as floats, of HCI residuals [B,3,h,w]."""
        cells = F.pixel_unshuffle(residual, CELL_SIDE)
        steps = torch.einsum("cv,bvhw->bchw", self.basis, cells) / self.step
        magnitudes = (steps.abs() + self._round_up).floor().clamp_max(MAX_MAGNITUDE)
        return steps.sign() * magnitudes

    def residual(self, latents: Tensor) -> Tensor:
        """HCI residuals [B,3,h,w] of integer latents [B,C,h/4,w/4]; zero latents give zero."""
        cells = torch.einsum("cv,bchw->bvhw", self.basis, latents * self.step)
        return F.pixel_shuffle(cells, CELL_SIDE)


def learn_basis(cells: Tensor, channels: int) -> Tensor:
    """Orthonormal directions [channels,48] of most energy in cells [N,48], most first."""
    _, vectors = torch.linalg.eigh(cells.T.double() @ cells.double() / len(cells))
    return vectors.flip(1)[:, :channels].T.float().contiguous()
