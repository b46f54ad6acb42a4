"""The link-level models of 3GPP: tapped delay lines (TDL) and clustered delay lines (CDL)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from channels.propagation.base import Statistics, random_array_correlation
from channels.randomness import seeded_sionna
from channels.spec import ChannelSpec

if TYPE_CHECKING:
    from sionna.phy.channel.tr38901 import CDL, PanelArray

# Sionna's choice; the line of sight has 0.7 of the largest Doppler shift (TR 38.901 §7.7.2)
_NUM_SINUSOIDS = 20
_LOS_DOPPLER = 0.7
_Singles = NDArray[np.float32]


class Tdl:
    """TR 38.901 §7.7.2 profiles A to E and the fixed ones of TS 38.101-4 §B.2, Jakes spectrum on every tap.

    Antenna pairs fade independently; the line of sight of profiles D and E leaves and arrives at random
    horizontal angles, between rows of antennas half a wavelength apart. The profiles are Sionna's, and so is
    the sum of sinusoids that makes a tap fade (Xiao, Zheng and Beaulieu, IEEE Trans. Wireless Commun. 5(12),
    2006): with one antenna at both ends, or without line of sight, a seed gives the realisation that Sionna's
    `TDL` draws with it. It is written out here because Sionna has one random stream a batch; this draws each
    realisation from its own seed and computes all of them at once, some hundred times as fast as one `TDL`
    call each.
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
        angles, phases, line_of_sight = self._draw(seeds)
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
            argument = line_of_sight[..., None] + _LOS_DOPPLER * omega_t
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

    def transmit_correlation(self) -> Tensor:
        """See `ChannelModel`."""
        return random_array_correlation(self._num_tx, self._los_power)

    def _draw(self, seeds: Sequence[int]) -> tuple[_Singles, _Singles, _Singles]:
        """Angles of arrival [sinusoids, seeds, taps], phases [sinusoids, seeds, rx, tx, taps], phases of the
        line of sight [seeds, rx, tx].
        """
        num_angles, pairs = len(self._delays) * _NUM_SINUSOIDS, self._num_rx * self._num_tx
        generator = torch.Generator()
        uniform, bearings = [], []
        for seed in seeds:
            # Sionna's order: speed (which is fixed here), angles, phases, line of sight
            numbers = torch.rand(2 + num_angles * (1 + pairs), generator=generator.manual_seed(seed))
            uniform.append(numbers.numpy())
            bearings.append(torch.rand(2, generator=generator).numpy())
        return self._arrange(np.stack(uniform), np.sin(2 * math.pi * np.stack(bearings)))

    def _arrange(self, uniform: _Singles, sines: _Singles) -> tuple[_Singles, _Singles, _Singles]:
        """From uniform numbers [seeds, ...] and sines of the line of sight's angles [seeds, rx and tx]."""
        taps = len(self._delays)
        num_angles = taps * _NUM_SINUSOIDS
        width = np.float32(2 * math.pi / _NUM_SINUSOIDS)
        angles = _sinusoids_first(uniform[:, 1 : 1 + num_angles], taps) * width - width / 2
        angles += width * np.arange(1, _NUM_SINUSOIDS + 1, dtype=np.float32)[:, None, None]
        phases = (uniform[:, 1 + num_angles :] - np.float32(0.5)) * np.float32(2 * math.pi)
        scattered = _sinusoids_first(phases[:, :-1], self._num_rx, self._num_tx, taps)
        rx, tx = np.arange(self._num_rx)[:, None], np.arange(self._num_tx)
        across = sines[:, :1, None] * rx - sines[:, 1:, None] * tx
        return angles, scattered, (phases[:, -1, None, None] + math.pi * across).astype(np.float32)


def _sinusoids_first(values: _Singles, *shape: int) -> _Singles:
    """[seeds, shape * sinusoids] to [sinusoids, seeds, *shape], contiguous."""
    return np.ascontiguousarray(np.moveaxis(values.reshape(-1, *shape, _NUM_SINUSOIDS), -1, 0))


class Cdl:
    """TR 38.901 §7.7.1 profiles A to E with antenna arrays at both ends, downlink.

    The terminal moves in a random direction. Pattern and polarisation gain are normalised away, in closed
    form, once and for all realisations.
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
        # The order in which Sionna returns the clusters
        self._delays, order = torch.sort(self._cdl._delays, stable=True)
        by_cluster = cdl_transmit_correlation(self._cdl)[order]
        power = by_cluster.diagonal(dim1=1, dim2=2).real.mean(dim=1)
        self._gain = float(power.sum()) ** -0.5
        self._powers = power / power.sum()
        self._correlation = by_cluster.sum(dim=0) / power.sum()

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

    def transmit_correlation(self) -> Tensor:
        """See `ChannelModel`."""
        return self._correlation


def cdl_transmit_correlation(cdl: CDL) -> Tensor:
    """E[h_i* h_j] between transmit antennas, the mean over receive antennas, of Sionna's CDL before scaling.

    Phases of rays are independent and departures are coupled with arrivals at random (TR 38.901 §7.5, steps 8
    and 10), so for each cluster the expectation is that over its 20 x 20 pairs of azimuth and zenith at one
    end times that at the other, polarisation by polarisation. [clusters, tx, tx], complex128; the line of
    sight is part of the first cluster, which has no delay either.
    """
    turned = cdl._ut_orientation[0]
    k = float(cdl._k_factor)
    powers = cdl._powers.double() / (k + 1)
    every = (slice(None), slice(None), None), (slice(None), None, slice(None))
    sent = _elements(cdl._tx_array, cdl._zod[every[0]], cdl._aod[every[1]])
    received = _elements(cdl._rx_array, cdl._zoa[every[0]], cdl._aoa[every[1]] - turned)
    # Of each polarisation, [clusters, theta and phi]
    arriving = received.abs().square().mean(dim=(1, 3, 4)).T
    across = 1 / float(cdl._xpr)
    weights = arriving @ torch.tensor([[1.0, across], [across, 1.0]], dtype=torch.float64)
    pairs = torch.einsum("bicmn,bjcmn->cbij", sent.conj(), sent) / sent[0, 0, 0].numel()
    correlation = torch.einsum("c,cb,cbij->cij", powers.to(pairs), weights.to(pairs), pairs)
    if not k:
        return correlation
    sent = _elements(cdl._tx_array, cdl._los_zod.reshape(1), cdl._los_aod.reshape(1))[..., 0]
    received = _elements(cdl._rx_array, cdl._los_zoa.reshape(1), cdl._los_aoa.reshape(1) - turned)[..., 0]
    sign = torch.tensor([1.0, -1.0], dtype=torch.complex128)
    h = torch.einsum("a,ar,at->rt", sign, received, sent)
    correlation[0] += k / (k + 1) * h.mH @ h / len(h)
    return correlation


def _elements(array: PanelArray, zenith: Tensor, azimuth: Tensor) -> Tensor:
    """Fields of an array's antennas towards directions: [theta and phi, antennas, ...], complex128."""
    zenith, azimuth = torch.broadcast_tensors(zenith.double(), azimuth.double())
    # Patterns are defined from -pi to pi
    azimuth = torch.atan2(azimuth.sin(), azimuth.cos())
    direction = torch.stack([zenith.sin() * azimuth.cos(), zenith.sin() * azimuth.sin(), zenith.cos()], dim=0)
    fields = torch.zeros(2, array.num_ant, *zenith.shape, dtype=torch.complex128)
    elements = [(array.ant_pol1, array.ant_ind_pol1)]
    if array.polarization == "dual":
        elements.append((array.ant_pol2, array.ant_ind_pol2))
    for pol, where in elements:
        field = torch.stack([part.double() for part in pol.field(zenith.float(), azimuth.float())])
        for antenna in where.tolist():
            place = array.ant_pos[antenna].double() / float(array._lambda_0)
            phase = 2 * math.pi * torch.tensordot(place, direction, dims=1)
            fields[:, antenna] = field * torch.exp(1j * phase)
    return fields


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
