"""The link-level models of 3GPP: tapped delay lines (TDL) and clustered delay lines (CDL)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from channels.models import Statistics
from channels.randomness import seeded_sionna
from channels.spec import ChannelSpec

if TYPE_CHECKING:
    from sionna.phy.channel.tr38901 import PanelArray

_CALIBRATION_DRAWS = 500


class Tdl:
    """TR 38.901 §7.7.2 profiles A to E and the fixed ones of TS 38.101-4 §B.2, Jakes spectrum on every tap.

    Antenna pairs fade independently.
    """

    def __init__(self, spec: ChannelSpec) -> None:
        from sionna.phy.channel.tr38901 import TDL

        profile = spec.model.removeprefix("tdl-").upper()
        speed = spec.speed_kmh / 3.6
        self._max_doppler_hz = spec.max_doppler_hz
        self._tdl = TDL(
            model=profile,
            # The fixed profiles bring their own
            delay_spread=spec.delay_spread_ns * 1e-9 if len(profile) == 1 else None,
            carrier_frequency=spec.carrier_frequency_hz,
            min_speed=speed,
            max_speed=speed,
            num_rx_ant=spec.num_rx_antennas,
            num_tx_ant=spec.num_tx_antennas,
            precision="single",
            device="cpu",
        )

    def impulse_response(self, seed: int, num_steps: int, step_s: float) -> tuple[Tensor, Tensor]:
        """See `ChannelModel`."""
        with seeded_sionna(seed):
            gains, delays = self._tdl(1, num_steps, 1.0 / step_s)
        return gains[0, 0, :, 0], delays[0, 0, 0]

    def statistics(self) -> Statistics:
        """See `ChannelModel`; the line of sight of profiles D and E counts as a Jakes path."""
        return Statistics(self._tdl.delays, self._tdl.mean_powers, self._max_doppler_hz)


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

    def impulse_response(self, seed: int, num_steps: int, step_s: float) -> tuple[Tensor, Tensor]:
        """See `ChannelModel`."""
        with seeded_sionna(seed):
            gains, delays = self._cdl(1, num_steps, 1.0 / step_s)
        return self._gain * gains[0, 0, :, 0], delays[0, 0, 0]

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
