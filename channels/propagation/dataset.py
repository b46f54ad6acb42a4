"""Measured or ray-traced channels: records from a file, one drawn for every burst.

A file holds one of two things, N records of R receive and T transmit antennas:

    a     [N, R, T, paths, instants] complex path gains         (N and instants may be left out)
    tau   [N, paths] or [paths] delays in seconds
or
    h     [N, R, T, frequencies] or [N, R, T, frequencies, instants] complex frequency responses
    frequencies_hz   [frequencies], evenly spaced

and, where there are several instants, `step_s`, the seconds between them. `.npz` and HDF5 name their arrays
so; a folder is read in the layout of DeepMIMO 4 (one antenna at both ends).

A seed draws a record, an instant to begin at, and a phase that all antennas share. Between recorded instants
gains are interpolated linearly; a burst that outlasts a record goes back the way it came. The mean power of
all records is made one, those without a path are left out. Antennas are the first of those recorded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import j0
from torch import Tensor

from channels.propagation.base import Statistics
from channels.propagation.deepmimo import read_folder
from channels.propagation.records import Records
from channels.spec import ChannelSpec

SHIPPED = "corridor.npz"
_FIRST_ZERO = 2.404825557695773
# What of a frequency response comes before its strongest tap: a sixteenth of the unambiguous delay
_BEFORE = 16
# Of the mean power-delay profile
_PROFILE_BINS = 256


class CirDataset:
    """Channel model `cir`.

    Raises:
        ValueError: the file cannot be read, holds something else, or fewer antennas than the spec wants.
    """

    def __init__(self, spec: ChannelSpec) -> None:
        records = read(spec.dataset.file)
        num_rx, num_tx = spec.num_rx_antennas, spec.num_tx_antennas
        have = records.gains.shape[1:3]
        if num_rx > have[0] or num_tx > have[1]:
            raise ValueError(
                f"channel.dataset holds {have[0]} receive and {have[1]} transmit antenna(s), fewer than "
                f"num_rx_antennas {num_rx} and num_tx_antennas {num_tx}"
            )
        gains = records.gains[:, :num_rx, :num_tx]
        power = np.square(np.abs(gains)).sum(axis=3).mean(axis=(1, 2, 3))
        heard = power > 0
        if not heard.any():
            raise ValueError("channel.dataset: no record has a path")
        self._gains = (gains[heard] / math.sqrt(power[heard].mean())).astype(np.complex64)
        self._delays = records.delays_s[heard]
        self._step_s = records.step_s if spec.dataset.motion == "recorded" else math.inf
        self.bandwidth_hz = records.bandwidth_hz

    def impulse_responses(self, seeds: Sequence[int], num_steps: int, step_s: float) -> tuple[Tensor, Tensor]:
        """See `ChannelModel`."""
        generator = torch.Generator()
        drawn = np.stack(
            [torch.rand(3, generator=generator.manual_seed(seed), dtype=torch.float64) for seed in seeds]
        )
        record = (drawn[:, 0] * len(self._gains)).astype(int)
        last = self._gains.shape[-1] - 1
        at = drawn[:, 1, None] * last + np.arange(num_steps) * (step_s / self._step_s)
        at = last - np.abs(last - at % (2 * last)) if last else np.zeros_like(at)
        low = np.minimum(at.astype(int), max(last - 1, 0))
        part = (at - low).astype(np.float32)[:, None, None, None]
        chosen = self._gains[record]
        indices = np.broadcast_to(low[:, None, None, None], (*chosen.shape[:-1], num_steps))
        gains = np.take_along_axis(chosen, indices, axis=-1)
        if last:
            gains = (1 - part) * gains + part * np.take_along_axis(chosen, indices + 1, axis=-1)
        gains = gains * np.exp(2j * math.pi * drawn[:, 2])[:, None, None, None, None]
        delays = torch.from_numpy(self._delays[record].astype(np.float32))
        return torch.from_numpy(gains.astype(np.complex64)), delays

    def statistics(self) -> Statistics:
        """See `ChannelModel`: the mean profile, and the Doppler spread that moves a path as Jakes' would."""
        powers = np.square(np.abs(self._gains)).mean(axis=(1, 2, 4))
        edges = np.linspace(0, max(float(self._delays.max()), 1e-12), _PROFILE_BINS)
        place = np.searchsorted(edges, self._delays.ravel())
        power = np.bincount(place, powers.ravel(), minlength=_PROFILE_BINS)
        moment = np.bincount(place, (powers * self._delays).ravel(), minlength=_PROFILE_BINS)
        filled = power > 0
        return Statistics(
            torch.from_numpy((moment[filled] / power[filled]).astype(np.float32)),
            torch.from_numpy((power[filled] / power.sum()).astype(np.float32)),
            self._doppler_hz(),
        )

    def transmit_correlation(self) -> Tensor:
        """See `ChannelModel`: exact, the mean over all records and instants."""
        gains = self._gains.astype(np.complex128)
        correlation = np.einsum("nripk,nrjpk->ij", gains.conj(), gains)
        return torch.from_numpy(correlation / correlation.diagonal().real.mean())

    def _doppler_hz(self) -> float:
        """Of the Jakes spectrum whose correlation over one recorded step is the records' own."""
        before, after = self._gains[..., :-1], self._gains[..., 1:]
        if not before.size or math.isinf(self._step_s):
            return 0.0
        power = 0.5 * float(np.square(np.abs(before)).sum() + np.square(np.abs(after)).sum())
        kept = float(np.vdot(before, after).real) / power
        if kept <= 0:
            return _FIRST_ZERO / (2 * math.pi * self._step_s)
        argument = brentq(lambda x: j0(x) - min(kept, 1.0), 0.0, _FIRST_ZERO)
        return float(argument) / (2 * math.pi * self._step_s)


def read(file: Path | None) -> Records:
    """The records of a file; of the corridor that comes with semcom where None.

    Raises:
        ValueError: it cannot be read or holds something else.
    """
    if file is None:
        with files("channels").joinpath(f"data/cir/{SHIPPED}").open("rb") as shipped:
            return _records(dict(np.load(shipped)))
    try:
        if file.is_dir():
            return read_folder(file)
        return _records(_arrays(file))
    except (OSError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"channel.dataset.file {file}: {reason}") from error


def _arrays(file: Path) -> dict[str, Any]:
    if file.suffix == ".npz":
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    if file.suffix in (".h5", ".hdf5"):
        import h5py

        with h5py.File(file) as arrays:
            return {name: arrays[name][()] for name in arrays}
    raise ValueError("must end in .npz, .h5 or .hdf5, or be a folder")


def _records(arrays: Mapping[str, Any]) -> Records:
    if "a" in arrays and "tau" in arrays:
        gains = _with_records_and_instants(arrays["a"], "a", ("paths",))
        delays = np.atleast_2d(np.asarray(arrays["tau"], dtype=np.float64))
        if delays.shape not in ((1, gains.shape[3]), (len(gains), gains.shape[3])):
            raise ValueError(f"tau {list(delays.shape)} doesn't fit a {list(gains.shape)}")
        delays = np.broadcast_to(delays, (len(gains), gains.shape[3])).copy()
        bandwidth = math.inf
    elif "h" in arrays and "frequencies_hz" in arrays:
        gains, delays, bandwidth = _taps(
            _with_records_and_instants(arrays["h"], "h", ("frequencies",)),
            np.asarray(arrays["frequencies_hz"], dtype=np.float64),
        )
    else:
        raise ValueError(
            f"must hold a and tau, or h and frequencies_hz, not {', '.join(arrays) or 'nothing'}"
        )
    if gains.shape[-1] > 1 and "step_s" not in arrays:
        raise ValueError("several instants need step_s, the seconds between them")
    silent = np.square(np.abs(gains)).sum(axis=(1, 2, 4)) == 0
    delays[silent] = np.nan
    first = np.nanmin(np.where(silent.all(axis=1, keepdims=True), 0.0, delays), axis=1, keepdims=True)
    delays = np.where(silent, 0.0, delays - first)
    if not np.isfinite(gains).all() or not np.isfinite(delays).all():
        raise ValueError("gains and delays must be finite numbers")
    step_s = float(arrays["step_s"]) if gains.shape[-1] > 1 else math.inf
    return Records(gains.astype(np.complex64), delays, step_s, bandwidth)


def _with_records_and_instants(values: Any, name: str, inner: tuple[str, ...]) -> NDArray[np.complex128]:
    """[records, rx, tx, inner, instants] of an array that may lack the first or the last."""
    array = np.asarray(values, dtype=np.complex128)
    if array.ndim == 3:
        array = array[None, ..., None]
    elif array.ndim == 4:
        array = array[..., None] if name == "h" else array[None]
    if array.ndim != 5 or 0 in array.shape:
        raise ValueError(f"{name} must be [records, rx, tx, {inner[0]}, instants], not {list(array.shape)}")
    return array


def _taps(
    response: NDArray[np.complex128], frequencies_hz: NDArray[np.float64]
) -> tuple[NDArray[np.complex128], NDArray[np.float64], float]:
    """Taps whose response is the measured one at the measured frequencies, and what lies between them.

    Delays are unambiguous up to one over the spacing; what seems to come in the last sixteenth of them before
    the strongest tap comes before it.
    """
    count, steps = len(frequencies_hz), np.diff(frequencies_hz)
    if response.shape[3] != count or count < 2 or not np.allclose(steps, steps[0], rtol=1e-6):
        raise ValueError(f"frequencies_hz must be {response.shape[3]} evenly spaced frequencies, at least 2")
    taps = np.fft.ifft(response, axis=3)
    power = np.square(np.abs(taps)).sum(axis=(1, 2, 4))
    strongest = power.argmax(axis=1)
    rows = (strongest[:, None] - count // _BEFORE + np.arange(count)) % count
    taps = np.take_along_axis(taps, rows[:, None, None, :, None], axis=3)
    # The grid's frequencies are centred on the carrier, the measured ones begin anywhere
    delays = np.arange(count) / (count * steps[0])
    centre = frequencies_hz[0] - frequencies_hz.mean()
    offset = np.exp(2j * math.pi * centre * delays)
    return taps * offset[:, None], np.tile(delays, (len(taps), 1)), float(count * steps[0])
