"""The scenarios of TR 38.901: urban micro and macro, rural macro, indoor hotspot; one base station, one terminal.

Each realisation drops the terminal anew. Path loss and shadow fading are off, because `snr_db` is the SNR at
the receiver; what remains of the scenario is its line-of-sight probability, delay and angle spreads, K factor
and Doppler.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from channels.clustered import panel_array
from channels.models import Statistics
from channels.randomness import seeded_sionna
from channels.spec import ChannelSpec

_CALIBRATION_DRAWS = 200
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
        self._statistics = self._calibrate()

    def impulse_response(self, seed: int, num_steps: int, step_s: float) -> tuple[Tensor, Tensor]:
        """See `ChannelModel`."""
        with seeded_sionna(seed):
            self._channel.set_topology(*self._drop(), los="random" if self._spec.los is None else self._spec.los)
            gains, delays = self._channel(num_steps, 1.0 / step_s)
        delays = delays[0, 0, 0]
        return self._gain * gains[0, 0, :, 0], delays - delays.min()

    def statistics(self) -> Statistics:
        """See `ChannelModel`; the profile is the mean over terminals."""
        return self._statistics

    def _drop(self) -> tuple[Tensor, ...]:
        """Terminal and base station: locations, orientations, velocity, indoor state (Sionna's order)."""
        from sionna.phy.channel import gen_single_sector_topology

        speed = self._spec.speed_kmh / 3.6
        if self._spec.model != "inh":
            return gen_single_sector_topology(
                1, 1, self._spec.model, min_ut_velocity=speed, max_ut_velocity=speed, precision="single", device="cpu"
            )
        radius, bearing, heading, yaw = torch.rand(4)
        distance = _OFFICE_RADIUS_M * math.sqrt(float(radius))
        angle, direction = 2 * math.pi * float(bearing), 2 * math.pi * float(heading)
        place = [distance * math.cos(angle), distance * math.sin(angle), _OFFICE_UT_HEIGHT_M]
        return (
            torch.tensor([[place]]),
            torch.tensor([[[0.0, 0.0, _OFFICE_BS_HEIGHT_M]]]),
            torch.tensor([[[2 * math.pi * float(yaw), 0.0, 0.0]]]),
            torch.zeros(1, 1, 3),
            torch.tensor([[[speed * math.cos(direction), speed * math.sin(direction), 0.0]]]),
            torch.ones(1, 1, dtype=torch.bool),
        )

    def _calibrate(self) -> Statistics:
        """Normalise the mean power over drops to one and collect the mean power-delay profile."""
        draws = [self.impulse_response(seed, 1, 1.0) for seed in range(_CALIBRATION_DRAWS)]
        powers = torch.stack([gains.abs().square().mean(dim=(0, 1, 3)) for gains, _ in draws])
        mean = float(powers.sum(dim=1).mean())
        self._gain = mean**-0.5
        delays = torch.stack([delays for _, delays in draws])
        # Paths differ from drop to drop: keep them all, each with its share
        return Statistics(delays.flatten(), (powers / powers.sum()).flatten(), self._spec.max_doppler_hz)
