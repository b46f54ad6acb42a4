"""The scenarios of TR 38.901: urban micro and macro, rural macro, indoor hotspot; one base station, one
terminal.

Each realisation drops the terminal anew. Path loss and shadow fading are off, because `snr_db` is the SNR at
the receiver; what remains of the scenario is its line-of-sight probability, delay and angle spreads, K factor
and Doppler.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from channels.propagation.base import Statistics
from channels.propagation.clustered import panel_array
from channels.randomness import seeded_sionna
from channels.spec import ChannelSpec

_CALIBRATION_DRAWS, _BATCH = 1_000, 250
# Paths differ from drop to drop: the mean profile has one at every 2 % of delay
_DELAY_EDGES_S = torch.logspace(-9, -5, 466, dtype=torch.float64)
# TR 38.901 Table 7.2-2: antennas under the ceiling, terminals at desk height, cells of a 120 x 50 m office
_OFFICE_BS_HEIGHT_M, _OFFICE_UT_HEIGHT_M, _OFFICE_RADIUS_M = 3.0, 1.0, 50.0


class Scenario:
    """UMi, UMa, RMa or InH, downlink."""

    def __init__(self, spec: ChannelSpec) -> None:
        from sionna.phy.channel import tr38901

        self._spec, self._gain = spec, 1.0
        common = {
            "carrier_frequency": spec.carrier_frequency_hz,
            "ut_array": panel_array(spec, spec.num_rx_antennas),
            "bs_array": panel_array(spec, spec.num_tx_antennas),
            "direction": "downlink",
            "enable_pathloss": False,
            "enable_shadow_fading": False,
            "precision": "single",
            "device": "cpu",
        }
        build = {"umi": tr38901.UMi, "uma": tr38901.UMa, "rma": tr38901.RMa, "inh": tr38901.InH}[spec.model]
        self._channel = build(**common, **({"o2i_model": "low"} if spec.model in ("umi", "uma") else {}))
        self._statistics, self._correlation = self._calibrate()

    def impulse_responses(self, seeds: Sequence[int], num_steps: int, step_s: float) -> tuple[Tensor, Tensor]:
        """See `ChannelModel`."""
        gains, delays = zip(*(self._draw(seed, 1, num_steps, step_s) for seed in seeds), strict=True)
        return self._gain * torch.cat(gains), torch.cat(delays)

    def statistics(self) -> Statistics:
        """See `ChannelModel`; the profile is the mean over terminals."""
        return self._statistics

    def transmit_correlation(self) -> Tensor:
        """See `ChannelModel`."""
        return self._correlation

    def _draw(self, seed: int, batch: int, num_steps: int, step_s: float) -> tuple[Tensor, Tensor]:
        """Gains [batch, rx, tx, paths, steps] and delays [batch, paths] of as many terminals."""
        with seeded_sionna(seed):
            # What Sionna keeps of the last drop would leak into this one
            self._channel.reset_topology()
            los = "random" if self._spec.los is None else self._spec.los
            self._channel.set_topology(*self._drop(batch), los=los)
            gains, delays = self._channel(num_steps, 1.0 / step_s)
        # Sionna gives clusters that a drop doesn't have zero gain and a negative delay
        return gains[:, 0, :, 0], delays[:, 0, 0].clamp_min(0)

    def _drop(self, batch: int) -> tuple[Tensor, ...]:
        """Terminals and base stations: places, orientations, velocities, indoor states (Sionna's order)."""
        from sionna.phy.channel import gen_single_sector_topology

        speed = self._spec.speed_kmh / 3.6
        if self._spec.model != "inh":
            return tuple(
                gen_single_sector_topology(
                    batch,
                    1,
                    self._spec.model,
                    min_ut_velocity=speed,
                    max_ut_velocity=speed,
                    precision="single",
                    device="cpu",
                )
            )
        radius, bearing, heading, yaw = torch.rand(4, batch, 1)
        distance, bearing, heading = (
            _OFFICE_RADIUS_M * radius.sqrt(),
            2 * math.pi * bearing,
            2 * math.pi * heading,
        )
        zero = torch.zeros(batch, 1)
        return (
            torch.stack(
                [distance * bearing.cos(), distance * bearing.sin(), zero + _OFFICE_UT_HEIGHT_M], dim=-1
            ),
            torch.stack([zero, zero, zero + _OFFICE_BS_HEIGHT_M], dim=-1),
            torch.stack([2 * math.pi * yaw, zero, zero], dim=-1),
            torch.zeros(batch, 1, 3),
            torch.stack([speed * heading.cos(), speed * heading.sin(), zero], dim=-1),
            torch.ones(batch, 1, dtype=torch.bool),
        )

    def _calibrate(self) -> tuple[Statistics, Tensor]:
        """Normalise the mean power over drops to one; mean power-delay profile and transmit correlation."""
        num_tx = self._spec.num_tx_antennas
        correlation = torch.zeros(num_tx, num_tx, dtype=torch.complex128)
        profile = torch.zeros(2, len(_DELAY_EDGES_S) + 1, dtype=torch.float64)
        for batch in range(_CALIBRATION_DRAWS // _BATCH):
            drawn, delays = self._draw(batch, _BATCH, 1, 1.0)
            gains = drawn[..., 0].to(torch.complex128)
            correlation += torch.einsum("brip,brjp->ij", gains.conj(), gains)
            powers = gains.abs().square().sum(dim=(1, 2)).flatten()
            place = torch.bucketize(delays.flatten().double(), _DELAY_EDGES_S)
            profile[0].index_add_(0, place, powers)
            profile[1].index_add_(0, place, powers * delays.flatten())
        power = float(correlation.diagonal().real.mean())
        # Of batch * receive antennas
        self._gain = (power / (_CALIBRATION_DRAWS * self._spec.num_rx_antennas)) ** -0.5
        powers, moments = profile[:, profile[0] > 0]
        statistics = Statistics(moments / powers, powers / powers.sum(), self._spec.max_doppler_hz)
        return statistics, correlation / power
