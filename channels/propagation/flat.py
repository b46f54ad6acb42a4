"""Channels of a single path: AWGN, Rayleigh and Rician block fading."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from channels.propagation.base import Statistics, random_array_correlation
from channels.spec import ChannelSpec


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

    def transmit_correlation(self) -> Tensor:
        return torch.eye(self._num_tx, dtype=torch.complex128)

    def _gains(self, generator: torch.Generator) -> Tensor:
        """[rx, tx], complex64."""
        raise NotImplementedError


class Awgn(_Flat):
    """Constant unit gain; with several antennas a part of a DFT matrix, which is orthogonal.

    Receive antenna i faces beam i of the precoder.
    """

    def _gains(self, generator: torch.Generator) -> Tensor:
        size = max(self._num_rx, self._num_tx)
        rx, tx = torch.arange(self._num_rx)[:, None], torch.arange(self._num_tx)[None, :]
        return torch.exp(2j * torch.pi * rx * tx / size).to(torch.complex64)

    def transmit_correlation(self) -> Tensor:
        """See `ChannelModel`."""
        h = self._gains(torch.Generator()).to(torch.complex128)
        return h.mH @ h / self._num_rx


class RayleighBlockFading(_Flat):
    """Independent CN(0, 1) coefficients, flat in frequency and constant over a burst."""

    def _gains(self, generator: torch.Generator) -> Tensor:
        return torch.randn(self._num_rx, self._num_tx, dtype=torch.complex64, generator=generator)


class RicianBlockFading(_Flat):
    """A line of sight of random phase and angles on top of Rayleigh block fading.

    The arrays are uniform and linear with half-wavelength spacing, so the line of sight has rank one.
    """

    def transmit_correlation(self) -> Tensor:
        """See `ChannelModel`."""
        k = 10 ** (self._spec.rician_k_db / 10)
        return random_array_correlation(self._num_tx, k / (k + 1))

    def _gains(self, generator: torch.Generator) -> Tensor:
        k = 10 ** (self._spec.rician_k_db / 10)
        phase, angle_rx, angle_tx = torch.rand(3, generator=generator) * 2 * math.pi
        steps_rx = torch.arange(self._num_rx)[:, None] * torch.sin(angle_rx)
        steps_tx = torch.arange(self._num_tx)[None, :] * torch.sin(angle_tx)
        los = torch.exp(1j * (phase + math.pi * (steps_rx - steps_tx)))
        scattered = torch.randn(self._num_rx, self._num_tx, dtype=torch.complex64, generator=generator)
        return ((k / (k + 1)) ** 0.5 * los + (1 / (k + 1)) ** 0.5 * scattered).to(torch.complex64)
