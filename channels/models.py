"""Channel realisations: from a ChannelSpec and a seed to frequency responses on the OFDM grid.

Every model has unit mean power per antenna pair, so `snr_db` means what it says. A realisation is a function
of its seed alone: it is drawn on the CPU, on its own, whatever else is drawn before or beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from channels.spec import ChannelSpec

_SPEED_OF_LIGHT = 299_792_458.0
_sionna_rng = threading.Lock()


class ChannelModel(Protocol):
    """Draws channel realisations."""

    def impulse_response(self, seed: int, num_steps: int, step_s: float) -> tuple[Tensor, Tensor]:
        """Draw the realisation of `seed` at `num_steps` instants `step_s` seconds apart.

        Returns:
            Path gains [num_rx, num_tx, num_paths, num_steps], complex64, and path delays in seconds
            [num_paths], float32. More steps of one seed extend the same realisation.
        """
        ...


def build_channel_model(spec: ChannelSpec) -> ChannelModel:
    """Build the model that a spec names."""
    if spec.model == "awgn":
        return _Awgn(spec)
    if spec.model == "rayleigh":
        return _RayleighBlockFading(spec)
    return _Tdl(spec)


def frequency_response(gains: Tensor, delays: Tensor, frequencies: Tensor) -> Tensor:
    """Turn path gains [rx, tx, paths, steps] and delays [paths] into H [rx, tx, steps, subcarriers]."""
    phases = torch.exp(-2j * torch.pi * delays[:, None].double() * frequencies[None, :].double())
    return torch.einsum("rtps,pf->rtsf", gains, phases.to(gains.dtype))


def derive_seed(seed: int, *purpose: int) -> int:
    """Derive the independent 64-bit seed of one purpose (channel, noise of a slot) from a trial's seed."""
    return int(np.random.SeedSequence([seed, *purpose]).generate_state(1, np.uint64)[0])


@contextmanager
def seeded_sionna(seed: int) -> Iterator[None]:
    """Run Sionna code as if its global generators had just been seeded, then put them back as they were."""
    from sionna.phy import config

    with _sionna_rng:
        previous = config.seed
        python, numpy_state = config.py_rng.getstate(), config.np_rng.bit_generator.state
        explicit = {device: config.torch_rng(device).get_state() for device in config.available_devices}
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        default = torch.get_rng_state()
        try:
            config.seed = seed
            yield
        finally:
            config.seed = previous
            config.py_rng.setstate(python)
            config.np_rng.bit_generator.state = numpy_state
            for device, state in explicit.items():
                config.torch_rng(device).set_state(state)
            if cuda:
                torch.cuda.set_rng_state_all(cuda)
            torch.set_rng_state(default)


class _Awgn:
    """A constant channel of unit gain; with several antennas the columns of a DFT matrix, orthogonal."""

    def __init__(self, spec: ChannelSpec) -> None:
        size = max(spec.num_rx_antennas, spec.num_tx_antennas)
        n = torch.arange(size, dtype=torch.float64)
        dft = torch.exp(-2j * torch.pi * n[:, None] * n[None, :] / size)
        self._gains = dft[: spec.num_rx_antennas, : spec.num_tx_antennas, None, None].to(torch.complex64)

    def impulse_response(self, seed: int, num_steps: int, step_s: float) -> tuple[Tensor, Tensor]:
        return self._gains.expand(-1, -1, -1, num_steps), torch.zeros(1)


class _RayleighBlockFading:
    """Independent CN(0, 1) coefficients, flat in frequency and constant over a burst."""

    def __init__(self, spec: ChannelSpec) -> None:
        self._shape = (spec.num_rx_antennas, spec.num_tx_antennas, 1, 1)

    def impulse_response(self, seed: int, num_steps: int, step_s: float) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        gains = torch.randn(self._shape, dtype=torch.complex64, generator=generator)
        return gains.expand(-1, -1, -1, num_steps), torch.zeros(1)


class _Tdl:
    """Tapped delay lines of TR 38.901 §7.7.2 with a Jakes spectrum on every tap."""

    def __init__(self, spec: ChannelSpec) -> None:
        from sionna.phy.channel.tr38901 import TDL

        speed = spec.speed_kmh / 3.6
        self._tdl = TDL(
            model=spec.model.removeprefix("tdl-").upper(),
            delay_spread=spec.delay_spread_ns * 1e-9,
            carrier_frequency=spec.carrier_frequency_hz,
            min_speed=speed,
            max_speed=speed,
            num_rx_ant=spec.num_rx_antennas,
            num_tx_ant=spec.num_tx_antennas,
            precision="single",
            device="cpu",
        )

    def impulse_response(self, seed: int, num_steps: int, step_s: float) -> tuple[Tensor, Tensor]:
        with seeded_sionna(seed):
            gains, delays = self._tdl(1, num_steps, 1.0 / step_s)
        return gains[0, 0, :, 0], delays[0, 0, 0]
