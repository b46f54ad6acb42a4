"""What the receiver makes of what may arrive, as a table: so that choosing what to send needs no decoder.

The part `air_quality` of a profile, mean LPIPS, DISTS and PSNR on validation photos (stage `air`):

    digital   by bits a pixel of HCI, texture and key; the base picture is on the same curve
    analog    by bits a pixel of information in the values that arrived (`semcom.receiver.analog`)
    grey      of the grey picture
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

PART = "air_quality"
METRICS = ("lpips", "dists", "psnr")
Floats = NDArray[np.float64]
_TO_NOTHING = 8


@dataclass(frozen=True)
class AirQuality:
    """See the module docstring.

    Attributes:
        digital_bpp, analog_bpp: [n] ascending.
        digital, analog: [n,3], metrics in the order of `METRICS`.
        grey: [3].
    """

    digital_bpp: Floats
    digital: Floats
    analog_bpp: Floats
    analog: Floats
    grey: Floats

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> AirQuality:
        """Of a profile's part."""
        return cls(**{name: value.double().numpy() for name, value in tensors.items()})

    def of_digital(self, bpp: float | Floats) -> Floats:
        """[...,3] of what a digital picture of so many bits a pixel looks like.

        Below the lowest rate measured it is taken to become grey within three octaves.
        """
        axis = np.concatenate((self.digital_bpp[:1] / _TO_NOTHING, self.digital_bpp))
        return _read(axis, np.concatenate((self.grey[None], self.digital)), bpp)

    def of_analog(self, bpp: float | Floats) -> Floats:
        """[...,3] of an analog picture of which so many bits a pixel arrived."""
        return _read(self.analog_bpp, self.analog, bpp)


def _read(axis: Floats, table: Floats, bpp: float | Floats) -> Floats:
    """Linear in the logarithm of the rate; the ends hold beyond them."""
    at, known = np.log2(np.maximum(bpp, 1e-9)), np.log2(axis)
    return np.stack([np.interp(at, known, column) for column in table.T], -1)
