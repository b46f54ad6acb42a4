"""Folders in the layout of DeepMIMO 4: matrices of users by paths.

Of a scenario's files `NAME_tSSS_txIII_rRRR.mat` (set and index of the transmitter, set of the receivers)
those named `power` (dB), `phase` (degrees) and `delay` (seconds) are read, each one array [users, paths] with
NaN where a user has fewer paths (DeepMIMO, dataset specification). A user is a record; antennas are
isotropic, one at each end. Every pair of transmitter and receiver set in the folder counts.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from channels.propagation.records import Records

_WANTED = ("power", "phase", "delay")


def read_folder(folder: Path) -> Records:
    """The records of a folder.

    Raises:
        ValueError: there is no complete set of matrices, or they don't fit each other.
    """
    pairs = sorted(path.stem.removeprefix("power_") for path in folder.glob("power_*.mat"))
    if not pairs:
        raise ValueError("no power_t…_tx…_r….mat in this folder")
    gains, delays = zip(*(_pair(folder, pair) for pair in pairs), strict=True)
    paths = max(part.shape[1] for part in gains)
    wide = [
        np.vstack([np.pad(p, ((0, 0), (0, paths - p.shape[1]))) for p in part]) for part in (gains, delays)
    ]
    return Records(wide[0][:, None, None, :, None].astype(np.complex64), wide[1], math.inf)


def _pair(folder: Path, pair: str) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Gains and delays [users, paths] of one transmitter; zero where there is no path."""
    power, phase, delay = (_matrix(folder / f"{name}_{pair}.mat") for name in _WANTED)
    if not power.shape == phase.shape == delay.shape:
        raise ValueError(f"power, phase and delay of {pair} are of different shapes")
    heard = np.isfinite(power) & np.isfinite(phase) & np.isfinite(delay)
    gains = np.where(heard, 10 ** (power / 20) * np.exp(1j * np.radians(phase)), 0)
    first = np.where(heard, delay, np.inf).min(axis=1, keepdims=True)
    first = np.where(np.isfinite(first), first, 0)
    return gains, np.where(heard, delay - first, 0)


def _matrix(file: Path) -> NDArray[np.float64]:
    if not file.is_file():
        raise ValueError(f"{file.name} is missing")
    arrays = [value for name, value in loadmat(file).items() if not name.startswith("__")]
    if len(arrays) != 1 or arrays[0].ndim != 2:
        raise ValueError(f"{file.name} must hold one array [users, paths]")
    return np.asarray(arrays[0], dtype=np.float64)
