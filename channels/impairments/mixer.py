"""IQ imbalance of a direct-conversion receiver: the image of the band leaks into it."""

from __future__ import annotations

import cmath
import math

from torch import Tensor


def imbalance(gain_db: float, phase_deg: float) -> tuple[complex, complex]:
    """Factors of the signal and of its conjugate; unit power in the mean stays unit power."""
    branch = 10 ** (gain_db / 20) * cmath.exp(1j * math.radians(phase_deg))
    signal, image = (1 + branch.conjugate()) / 2, (1 - branch) / 2
    scale = math.sqrt(abs(signal) ** 2 + abs(image) ** 2)
    return signal / scale, image / scale


def mix(x: Tensor, gain_db: float, phase_deg: float) -> Tensor:
    """The signal with its image."""
    signal, image = imbalance(gain_db, phase_deg)
    return signal * x + image * x.conj()


def image_rejection_db(gain_db: float, phase_deg: float) -> float:
    """Power of the signal over its image's: (1 + 2 g cos p + g^2) / (1 - 2 g cos p + g^2)."""
    gain, cosine = 10 ** (gain_db / 20), math.cos(math.radians(phase_deg))
    return 10 * math.log10((1 + 2 * gain * cosine + gain**2) / (1 - 2 * gain * cosine + gain**2))
