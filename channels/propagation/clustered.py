"""The link-level models of 3GPP: tapped delay lines (TDL) and clustered delay lines (CDL)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from channels.propagation.base import Statistics
from channels.randomness import seeded_sionna
from channels.spec import ChannelSpec

if TYPE_CHECKING:
    from sionna.phy.channel.tr38901 import PanelArray

_CALIBRATION_DRAWS = 500
# Sionna's choice; the line of sight has 0.7 of the largest Doppler shift (TR 38.901 §7.7.2)
_NUM_SINUSOIDS = 20
_LOS_DOPPLER = 0.7
_Singles = NDArray[np.float32]


class Tdl:
    """TR 38.901 §7.7.2 profiles A to E and the fixed ones of TS 38.101-4 §B.2, Jakes spectrum on every tap.

    Antenna pairs fade independently. The profiles are Sionna's, and so is the sum of sinusoids that makes a
    tap fade (Xiao, Zheng and Beaulieu, IEEE Trans. Wireless Commun. 5(12), 2006): a seed gives the
    realisation that Sionna's `TDL` draws with it. It is written out here because Sionna has one random
    stream a batch; this draws each realisation from its own seed and computes all of them at once, some
    hundred times as fast as one `TDL` call each.
    """

    def __init__(self, spec: ChannelSpec) -> None:
        from sionna.phy.channel.tr38901 import TDL

        profile = spec.model.removeprefix("tdl-").upper()
        tdl = TDL(
            model=profile,
            # The fixed profiles bring their own
            delay_spread=spec.delay_spread_ns * 1e-9 if len(profile) == 1 else None,
            carrier_frequency=spec.carrier_frequency_hz,
            precision="single",
            device="cpu",
        )
        self._num_rx, self._num_tx = spec.num_rx_antennas, spec.num_tx_antennas
        self._max_doppler_hz = spec.max_doppler_hz
        self._delays, self._mean_powers = tdl.delays, tdl.mean_powers
        self._los_power = float(tdl.mean_power_los) if tdl.los else 0.0
        scattered = self._mean_powers.numpy().copy()
        scattered[0] -= self._los_power
        self._amplitudes = np.sqrt(scattered / _NUM_SINUSOIDS)

    def impulse_responses(self, seeds: Sequence[int], num_steps: int, step_s: float) -> tuple[Tensor, Tensor]:
        """See `ChannelModel`."""
        angles, phases, los_phases = self._draw(seeds)
        omega_t = np.float32(2 * math.pi * self._max_doppler_hz) * (
            np.arange(num_steps, dtype=np.float32) * np.float32(step_s)
        )
        rates = np.cos(angles)[:, :, None, None, :, None]
        real = np.zeros((*phases.shape[1:], num_steps), np.float32)
        imaginary = np.zeros_like(real)
        for rate, phase in zip(rates, phases[..., None], strict=True):
            argument = rate * omega_t + phase
            real += np.cos(argument)
            imaginary += np.sin(argument)
        gains = real + np.complex64(1j) * imaginary
        gains *= self._amplitudes[:, None]
        if self._los_power:
            argument = los_phases[:, None, None, None] + _LOS_DOPPLER * omega_t
            gains[:, :, :, 0] += self._los_power**0.5 * np.exp(1j * argument)
        return torch.from_numpy(gains), self._delays[None]

    def statistics(self) -> Statistics:
        """See `ChannelModel`."""
        return Statistics(
            self._delays,
            self._mean_powers,
            self._max_doppler_hz,
            self._los_power,
            _LOS_DOPPLER * self._max_doppler_hz,
        )

    def _draw(self, seeds: Sequence[int]) -> tuple[_Singles, _Singles, _Singles]:
        """Angles of arrival [sinusoids, seeds, taps], phases [sinusoids, seeds, rx, tx, taps], phases of the
        line of sight [seeds].
        """
        taps = len(self._delays)
        num_angles, pairs = taps * _NUM_SINUSOIDS, self._num_rx * self._num_tx
        generator = torch.Generator()
        # Sionna's order: speed (which is fixed here), angles, phases, line of sight
        uniform = np.stack(
            [
                torch.rand(2 + num_angles * (1 + pairs), generator=generator.manual_seed(seed)).numpy()
                for seed in seeds
            ]
        )
        width = np.float32(2 * math.pi / _NUM_SINUSOIDS)
        angles = _sinusoids_first(uniform[:, 1 : 1 + num_angles], taps) * width - width / 2
        angles += width * np.arange(1, _NUM_SINUSOIDS + 1, dtype=np.float32)[:, None, None]
        phases = (uniform[:, 1 + num_angles :] - np.float32(0.5)) * np.float32(2 * math.pi)
        scattered = _sinusoids_first(phases[:, :-1], self._num_rx, self._num_tx, taps)
        return angles, scattered, phases[:, -1]


def _sinusoids_first(values: _Singles, *shape: int) -> _Singles:
    """[seeds, shape * sinusoids] to [sinusoids, seeds, *shape], contiguous."""
    return np.ascontiguousarray(np.moveaxis(values.reshape(-1, *shape, _NUM_SINUSOIDS), -1, 0))


class Cdl:
    """TR 38.901 §7.7.1 profiles A to E with antenna arrays at both ends, downlink.

    The terminal moves in a random horizontal direction. Array and pattern gain are normalised away, once and
    for all realisations.
    """

    def __init__(self, spec: ChannelSpec) -> None:
        from sionna.phy.channel.tr38901 import CDL

        speed = spec.speed_kmh / 3.6
        self._max_doppler_hz = spec.max_doppler_hz
        self._cdl = CDL(
            model=spec.model.removeprefix("cdl-").upper(),
            delay_spread=spec.delay_spread_ns * 1e-9,
            carrier_frequency=spec.carrier_frequency_hz,
            ut_array=panel_array(spec, spec.num_rx_antennas),
            bs_array=panel_array(spec, spec.num_tx_antennas),
            direction="downlink",
            min_speed=speed,
            max_speed=speed,
            precision="single",
            device="cpu",
        )
        with seeded_sionna(0):
            gains, delays = self._cdl(_CALIBRATION_DRAWS, 1, 1.0)
        powers = gains.abs().square().mean(dim=(0, 1, 2, 3, 4, 6))
        self._delays, self._powers = delays[0, 0, 0], powers / powers.sum()
        self._gain = float(powers.sum()) ** -0.5

    def impulse_responses(self, seeds: Sequence[int], num_steps: int, step_s: float) -> tuple[Tensor, Tensor]:
        """See `ChannelModel`."""
        drawn = []
        for seed in seeds:
            with seeded_sionna(seed):
                drawn.append(self._cdl(1, num_steps, 1.0 / step_s)[0][0, 0, :, 0])
        return self._gain * torch.stack(drawn), self._delays[None]

    def statistics(self) -> Statistics:
        """See `ChannelModel`."""
        return Statistics(self._delays, self._powers, self._max_doppler_hz)


def panel_array(spec: ChannelSpec, num_antennas: int) -> PanelArray:
    """Build a half-wavelength row of antennas: V-polarised elements, or cross-polarised pairs."""
    from sionna.phy.channel.tr38901 import PanelArray

    dual = spec.antenna_polarization == "dual"
    return PanelArray(
        num_rows_per_panel=1,
        num_cols_per_panel=num_antennas // 2 if dual else num_antennas,
        polarization=spec.antenna_polarization,
        polarization_type="cross" if dual else "V",
        antenna_pattern=spec.antenna_pattern,
        carrier_frequency=spec.carrier_frequency_hz,
        precision="single",
        device="cpu",
    )
