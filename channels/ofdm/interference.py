"""Interference between OFDM symbols and between carriers, in closed form from a channel's statistics.

The grid is simulated in the frequency domain, one coefficient a resource element; what a longer delay or a
faster fade than that would add to the noise is added as noise of the same power.
"""

from __future__ import annotations

import math
import warnings

import torch

from channels.ofdm.correlation import components
from channels.propagation.base import Statistics
from channels.spec import MOST_DOPPLER, OfdmSpec

_WARN_FROM = 1e-3
_INTEGRATION_POINTS = 2001


def intersymbol_interference(statistics: Statistics, ofdm: OfdmSpec) -> float:
    """Share of the received power that delays beyond the cyclic prefix turn into interference.

    A path that is late by a share x of the symbol contributes the amplitude 1 - x: the previous symbol fills
    the rest, and the carriers lose their orthogonality, in all 1 - (1 - x)^2 of its power (Steendam and
    Moeneclaey, IEEE Trans. Commun. 47(11), 1999). Every subcarrier counts as having neighbours on both sides.
    """
    late = (statistics.delays_s.double() - ofdm.cyclic_prefix_s) * ofdm.subcarrier_spacing_khz * 1e3
    return float(statistics.powers.double() @ (1 - (1 - late.clamp(0, 1)).square()))


def intercarrier_interference(statistics: Statistics, ofdm: OfdmSpec) -> float:
    """Share of the received power that fading within a symbol moves to other carriers.

    1 - integral of (1 - |x|) R(x T) over x from -1 to 1, with R the correlation in time and T the symbol
    without its prefix (Robertson and Kaiser, VTC 1999); a line of sight leaves sinc^2 of its shift.
    """
    x = torch.linspace(0, 1, _INTEGRATION_POINTS, dtype=torch.float64)
    symbol_s = 1e-3 / ofdm.subcarrier_spacing_khz
    kept = [
        2 * float(part.powers.sum()) * float(torch.trapezoid((1 - x) * part.in_time(x * symbol_s).real, x))
        for part in components(statistics)
    ]
    return max(1 - sum(kept), 0.0)


def interference_to_signal(statistics: Statistics, ofdm: OfdmSpec) -> float:
    """Power of both interferences over what is left of the signal's, linear.

    Warns from -30 dB on.

    Raises:
        ValueError: the Doppler shift exceeds a quarter of the subcarrier spacing, or interference the signal.
    """
    spacing_hz = ofdm.subcarrier_spacing_khz * 1e3
    if statistics.max_doppler_hz > MOST_DOPPLER * spacing_hz:
        raise ValueError(
            f"a Doppler shift of {statistics.max_doppler_hz:.0f} Hz is more than a quarter of "
            f"ofdm.subcarrier_spacing_khz ({ofdm.subcarrier_spacing_khz}): the channel changes within a "
            "symbol. Lower channel.speed_kmh or channel.carrier_frequency_hz, or widen the spacing"
        )
    symbols, carriers = (
        intersymbol_interference(statistics, ofdm),
        intercarrier_interference(statistics, ofdm),
    )
    ratio = (symbols + carriers) / (1 - symbols - carriers) if symbols + carriers < 1 else math.inf
    if ratio >= 1:
        raise ValueError(
            "interference between symbols exceeds the signal: the channel's delays are too long for the "
            f"cyclic prefix ({ofdm.cyclic_prefix_s * 1e9:.0f} ns at {ofdm.subcarrier_spacing_khz} kHz). "
            "Lower channel.delay_spread_ns or ofdm.subcarrier_spacing_khz"
        )
    if ratio >= _WARN_FROM:
        warnings.warn(
            f"signal to interference is {-10 * math.log10(ratio):.1f} dB, which is added to the noise: "
            f"{_db(symbols)} of the power between symbols (delays beyond the cyclic prefix of "
            f"{ofdm.cyclic_prefix_s * 1e9:.0f} ns) and {_db(carriers)} between carriers (Doppler shift "
            f"{statistics.max_doppler_hz:.0f} Hz at {ofdm.subcarrier_spacing_khz} kHz)",
            stacklevel=2,
        )
    return ratio


def _db(share: float) -> str:
    return f"{10 * math.log10(share):.1f} dB" if share > 1e-12 else "none"
