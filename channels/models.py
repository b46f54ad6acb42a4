"""Channel realisations: from a ChannelSpec and a seed to frequency responses on the OFDM grid.

Every model has unit mean power per antenna pair, so `snr_db` means what it says. A realisation is a function
of its seed alone: it is drawn on the CPU, on its own, whatever else is drawn before or beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from channels.spec import ChannelSpec


@dataclass(frozen=True)
class Statistics:
    """What a receiver may know of a channel beforehand; the prior of LMMSE estimation."""

    delays_s: Tensor
    """[num_paths] seconds."""
    powers: Tensor
    """[num_paths], summing to one."""
    max_doppler_hz: float
    """Of a Jakes spectrum on every path."""


class ChannelModel(Protocol):
    """Draws channel realisations."""

    def impulse_responses(self, seeds: Sequence[int], num_steps: int, step_s: float) -> tuple[Tensor, Tensor]:
        """Draw the realisations of `seeds` at `num_steps` instants `step_s` seconds apart.

        Returns:
            Path gains [len(seeds), num_rx, num_tx, num_paths, num_steps], complex64, and path delays in
            seconds [len(seeds), num_paths], float32, or [1, num_paths] where all realisations share them.
            A realisation doesn't depend on the other seeds, and more steps extend it.
        """
        ...

    def statistics(self) -> Statistics:
        """Return the power-delay profile and the Doppler spread."""
        ...


@lru_cache(maxsize=64)
def build_channel_model(spec: ChannelSpec) -> ChannelModel:
    """Return the model that a spec names, built once a process: some of them take seconds."""
    family = spec.model.split("-")[0]
    if family == "tdl":
        from channels.clustered import Tdl

        return Tdl(spec)
    if family == "cdl":
        from channels.clustered import Cdl

        return Cdl(spec)
    if family in ("umi", "uma", "rma", "inh"):
        from channels.scenarios import Scenario

        return Scenario(spec)
    if family == "rt":
        from channels.ray_tracing import RayTraced

        return RayTraced(spec)
    return {"awgn": Awgn, "rayleigh": RayleighBlockFading, "rician": RicianBlockFading}[family](spec)


def frequency_response(gains: Tensor, delays: Tensor, frequencies: Tensor) -> Tensor:
    """Turn path gains [..., rows, paths] and delays [..., paths] into H [..., rows, frequencies].

    Leading dimensions broadcast; each is a matrix product of its own, so that a realisation's numbers don't
    depend, to the last bit, on what is computed beside it.
    """
    phases = np.exp(-2j * np.pi * delays.numpy()[..., :, None].astype(np.float64) * frequencies.numpy())
    return torch.from_numpy(np.matmul(gains.numpy(), phases.astype(np.complex64)))


class _Flat:
    """A channel of a single path that doesn't change within a burst."""

    def __init__(self, spec: ChannelSpec) -> None:
        self._num_rx, self._num_tx = spec.num_rx_antennas, spec.num_tx_antennas
        self._spec = spec

    def impulse_responses(self, seeds: Sequence[int], num_steps: int, step_s: float) -> tuple[Tensor, Tensor]:
        gains = torch.stack([self._gains(torch.Generator().manual_seed(seed)) for seed in seeds])
        return gains[..., None, None].expand(-1, -1, -1, 1, num_steps), torch.zeros(1, 1)

    def statistics(self) -> Statistics:
        return Statistics(torch.zeros(1), torch.ones(1), 0.0)

    def _gains(self, generator: torch.Generator) -> Tensor:
        """[rx, tx], complex64."""
        raise NotImplementedError


class Awgn(_Flat):
    """Constant unit gain; with several antennas the columns of a DFT matrix, which are orthogonal."""

    def _gains(self, generator: torch.Generator) -> Tensor:
        size = max(self._num_rx, self._num_tx)
        rx, tx = torch.arange(self._num_rx)[:, None], torch.arange(self._num_tx)[None, :]
        return torch.exp(-2j * torch.pi * rx * tx / size).to(torch.complex64)


class RayleighBlockFading(_Flat):
    """Independent CN(0, 1) coefficients, flat in frequency and constant over a burst."""

    def _gains(self, generator: torch.Generator) -> Tensor:
        return torch.randn(self._num_rx, self._num_tx, dtype=torch.complex64, generator=generator)


class RicianBlockFading(_Flat):
    """A line of sight of random phase and angles on top of Rayleigh block fading.

    The arrays are uniform and linear with half-wavelength spacing, so the line of sight has rank one.
    """

    def _gains(self, generator: torch.Generator) -> Tensor:
        k = 10 ** (self._spec.rician_k_db / 10)
        phase, angle_rx, angle_tx = torch.rand(3, generator=generator) * 2 * math.pi
        steps_rx = torch.arange(self._num_rx)[:, None] * torch.sin(angle_rx)
        steps_tx = torch.arange(self._num_tx)[None, :] * torch.sin(angle_tx)
        los = torch.exp(1j * (phase + math.pi * (steps_rx - steps_tx)))
        scattered = torch.randn(self._num_rx, self._num_tx, dtype=torch.complex64, generator=generator)
        return ((k / (k + 1)) ** 0.5 * los + (1 / (k + 1)) ** 0.5 * scattered).to(torch.complex64)
