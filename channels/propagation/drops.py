"""The scenarios of TR 38.901: urban micro and macro, rural macro, indoor hotspot; one base station, one
terminal.

Each realisation drops the terminal anew. Path loss and shadow fading are off, because `snr_db` is the SNR at
the receiver; what remains of the scenario is its line-of-sight probability, delay and angle spreads, K factor
and Doppler.

Mean power, delay profile and antenna correlation are those of many drawn terminals, once a configuration and
then stored. `python -m channels.propagation.drops MODEL [FIELD=VALUE ...]` writes the file of a configuration
that is shipped, from 20 000 terminals (minutes).
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from channels.propagation.base import Statistics
from channels.propagation.cache import cache_folder
from channels.propagation.clustered import panel_array
from channels.randomness import seeded_sionna
from channels.spec import ChannelSpec

# Terminals that the statistics are taken over: what is drawn where a configuration is first used (mean power
# to about 4 %), and what the shipped files hold
_DRAWS, _SHIPPED_DRAWS, _BATCH = 1_000, 20_000, 250
# Of the stored files: change it when what they hold changes
_FORMAT = 1
_DEPENDS_ON = (
    "model",
    "carrier_frequency_hz",
    "num_tx_antennas",
    "num_rx_antennas",
    "antenna_polarization",
    "antenna_pattern",
    "los",
)
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
        # Mean power over drops becomes one; the profile is the mean over terminals
        found = self._calibrated()
        self._gain = found["power"] ** -0.5
        powers = torch.tensor(found["powers"], dtype=torch.float64)
        delays_s = 1e-9 * torch.tensor(found["delays_ns"], dtype=torch.float64)
        self._statistics = Statistics(delays_s, powers / powers.sum(), spec.max_doppler_hz)
        self._correlation = torch.view_as_complex(torch.tensor(found["correlation"], dtype=torch.float64))

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

    def _calibrated(self) -> dict[str, Any]:
        """What `_calibrate` finds: from the file that is shipped, or else from the cache."""
        name = self._file_name()
        shipped, kept = files("channels").joinpath(f"data/drops/{name}"), cache_folder("drops") / name
        if not shipped.is_file() and not kept.exists():
            self._write(kept, _DRAWS)
        found: dict[str, Any] = json.loads((shipped if shipped.is_file() else kept).read_text())
        return found

    def _file_name(self) -> str:
        """A hash of what the statistics depend on; speed isn't part of it."""
        key = {name: getattr(self._spec, name) for name in _DEPENDS_ON}
        digest = hashlib.sha256(json.dumps([_FORMAT, key], sort_keys=True).encode()).hexdigest()[:16]
        return f"{self._spec.model}-{digest}.json"

    def _write(self, path: Path, draws: int) -> None:
        found = self._calibrate(draws)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            json.dump(found, file)
        Path(file.name).replace(path)

    def _calibrate(self, draws: int) -> dict[str, Any]:
        """Mean power, power-delay profile and transmit correlation over so many terminals."""
        num_tx, num_rx = self._spec.num_tx_antennas, self._spec.num_rx_antennas
        correlation = torch.zeros(num_tx, num_tx, dtype=torch.complex128)
        profile = torch.zeros(2, len(_DELAY_EDGES_S) + 1, dtype=torch.float64)
        for batch in range(draws // _BATCH):
            drawn, delays = self._draw(batch, _BATCH, 1, 1.0)
            gains = drawn[..., 0].to(torch.complex128)
            correlation += torch.einsum("brip,brjp->ij", gains.conj(), gains)
            powers = gains.abs().square().sum(dim=(1, 2)).flatten()
            place = torch.bucketize(delays.flatten().double(), _DELAY_EDGES_S)
            profile[0].index_add_(0, place, powers)
            profile[1].index_add_(0, place, powers * delays.flatten())
        total = float(correlation.diagonal().real.mean())
        powers, moments = profile[:, profile[0] > 0]
        return {
            "draws": draws,
            "power": total / (draws * num_rx),
            "delays_ns": [round(1e9 * delay, 3) for delay in (moments / powers).tolist()],
            "powers": [float(f"{share:.4g}") for share in (powers / powers.sum()).tolist()],
            "correlation": torch.view_as_real(correlation / total).tolist(),
        }


def main(model: str, *fields: str) -> None:
    """Write the shipped file of a configuration."""
    values = {name: json.loads(value) for name, value in (field.split("=") for field in fields)}
    scenario = Scenario(ChannelSpec(model=model, **values))
    path = Path(__file__).parents[1] / "data" / "drops" / scenario._file_name()
    scenario._write(path, _SHIPPED_DRAWS)
    print(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
