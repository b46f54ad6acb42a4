"""Recorded channels as path gains, whatever file they came in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Records:
    """What a file holds, as path gains."""

    gains: NDArray[np.complex64]
    """[records, rx, tx, paths, instants]."""
    delays_s: NDArray[np.float64]
    """[records, paths], the earliest of a record zero."""
    step_s: float
    bandwidth_hz: float = math.inf
    """What was measured: beyond it nothing is known."""
