"""Key transform: what the receiver would get wrong inside one key cell, as 32 latents and back.

    picture, HCI ─┬─ residual's 48 values a cell ─ linear ──(+)─► 32 latents ─► integers
                  └─ convolutions, strided ──────────────────┘

    integers ─┬─ linear ──────(+)─► residual [3,h,w] of the HCI
              └─ convolutions ─┴──► planes [8,h,w] for the enhancer

One key cell is 16×16 pixels of the picture and 4×4 pixels of the HCI. The linear part starts as the
directions that hold most energy of AV1's residuals (Karhunen–Loève); the convolutions may send what no
residual says. Both are trained through the enhancer's and the decoder's loss and what the integers cost
(stage `joint`). Only integers travel: another processor's rounding changes a picture by nothing that shows.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcom.limits import MAX_LATENT
from semcom.picture.grid import CELL, HCI_SCALE

CELL_SIDE = CELL // HCI_SCALE
CELL_VALUES = 3 * CELL_SIDE**2
LATENTS = 32
"""Of a cell."""
PLANES = 8
"""Of what the enhancer reads beside the refined HCI, where key latents arrived."""
FINENESSES = range(5)
"""Of the quantiser, coarsest first; from one to the next a step is smaller by √2."""
USUAL_FINENESS = 1
"""Whose steps are of unit size."""
_STEP = 60 / 255  # quantisation step of the linear part at its start, in units of [0,1] pixel values
_SLOPE = 0.2


class KeyTransform(nn.Module):
    """Learned transform with a uniform quantiser.

    Args:
        channels: latents per cell.
        rounding: fraction of a step from which magnitudes round up; less than one half makes a dead zone,
            which saves more bits than it costs quality at low rate.
    """

    def __init__(self, channels: int = LATENTS, rounding: float = 0.36) -> None:
        super().__init__()
        self._round_up = rounding
        self.project = nn.Conv2d(CELL_VALUES, channels, 1, bias=False)
        self.analysis = nn.Sequential(
            nn.Conv2d(3 * HCI_SCALE**2 + 3, 64, 3, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(64, 96, 3, stride=2, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(96, 128, 3, stride=2, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(128, 128, 3, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(128, channels, 1),
        )
        self.restore = nn.Conv2d(channels, CELL_VALUES, 1, bias=False)
        self.synthesis = nn.Sequential(
            nn.Conv2d(channels + 1, 128, 3, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(128, 128, 3, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(128, (3 + PLANES) * CELL_SIDE**2, 1),
        )

    def forward(self, picture: Tensor, hci: Tensor) -> Tensor:
        """Latents in usual steps, [B,C,h/4,w/4], of pictures [B,3,4h,4w] and their HCIs [B,3,h,w]."""
        flat = hci.repeat_interleave(HCI_SCALE, 2).repeat_interleave(HCI_SCALE, 3)
        residual = F.avg_pool2d(picture, HCI_SCALE) - hci
        detail = F.pixel_unshuffle(picture - flat, HCI_SCALE)
        linear = self.project(F.pixel_unshuffle(residual, CELL_SIDE))
        latents: Tensor = linear + self.analysis(torch.cat((detail, hci - 0.5), 1))
        return latents.float()

    def quantise(self, latents: Tensor, fineness: int = USUAL_FINENESS) -> Tensor:
        """Integers within ±7, as floats."""
        magnitudes = (latents.abs() * _steps_per_unit(fineness) + self._round_up).floor()
        return latents.sign() * magnitudes.clamp_max(MAX_LATENT)

    def values(self, integers: Tensor, fineness: int = USUAL_FINENESS) -> Tensor:
        """Latents that integers stand for, what `refine` reads."""
        return integers / _steps_per_unit(fineness)

    def refine(self, hci: Tensor, latents: Tensor, arrived: Tensor) -> tuple[Tensor, Tensor]:
        """What the enhancer reads.

        Args:
            hci: [B,3,h,w] in [0,1].
            latents: [B,C,h/4,w/4], zero where none arrived.
            arrived: [B,1,h/4,w/4] 1 where they did, else 0.

        Returns:
            The refined HCI, and [B,1+8,h,w]: where it is refined, and the planes.
        """
        cells = self.synthesis(torch.cat((latents, arrived), 1)).float() * arrived
        linear = F.pixel_shuffle(self.restore(latents).float(), CELL_SIDE)
        residual, planes = F.pixel_shuffle(cells, CELL_SIDE).split((3, PLANES), 1)
        known = arrived.repeat_interleave(CELL_SIDE, 2).repeat_interleave(CELL_SIDE, 3)
        return (hci + linear + residual).clamp(0, 1), torch.cat((known, planes), 1)


def _steps_per_unit(fineness: int) -> float:
    return float(2 ** ((fineness - USUAL_FINENESS) / 2))


def start_from_basis(basis: Tensor) -> KeyTransform:
    """The transform whose linear part is an orthonormal basis [C,48]; its convolutions say little yet."""
    transform = KeyTransform(len(basis))
    with torch.no_grad():
        transform.project.weight.copy_(basis[:, :, None, None] / _STEP)
        transform.restore.weight.copy_(basis.T[:, :, None, None] * _STEP)
        for convolutions in (transform.analysis, transform.synthesis):
            last = convolutions[-1]
            assert isinstance(last, nn.Conv2d) and last.bias is not None
            last.weight.mul_(0.1)
            last.bias.zero_()
    return transform


def learn_basis(cells: Tensor, channels: int) -> Tensor:
    """Orthonormal directions [channels,48] of most energy in cells [N,48], most first."""
    _, vectors = torch.linalg.eigh(cells.T.double() @ cells.double() / len(cells))
    return vectors.flip(1)[:, :channels].T.float().contiguous()
