"""Where the abstraction doesn't hold: regions that are refused, each with its reason.

`benchmarks/results/abstraction.json` (`unseen`) has what was measured inside and outside them.
"""

from __future__ import annotations

from itertools import pairwise

from channels.coding.mcs import Mcs
from channels.propagation.base import Statistics
from channels.spec import LinkSpec, OfdmSpec

_UNSMOOTHED = ("ls-linear", "ls-nearest")
# Below this code rate (x 1024) LLRs from an unsmoothed channel estimate are overconfident where the channel
# fades, which costs the bit-exact decoder 0.3 to 0.6 dB more than the SINR says
_LOWEST_RATE_UNSMOOTHED = 120
# Doppler shift times the time between pilots from which samples of the fading no longer determine it
_NYQUIST = 0.5


def refusal(ofdm: OfdmSpec, scheme: Mcs) -> str | None:
    """Why the abstraction doesn't hold for an MCS and a receiver; None where it does."""
    rate = scheme.code_rate * 1024
    if ofdm.csi in _UNSMOOTHED and rate < _LOWEST_RATE_UNSMOOTHED:
        return (
            f"code rate {rate:g}/1024 (MCS {scheme.index} of table {scheme.table}) with csi {ofdm.csi!r}: "
            f"the abstraction is more than 0.3 dB optimistic below {_LOWEST_RATE_UNSMOOTHED}/1024; use csi "
            "'ls-cp' or 'lmmse', a higher MCS, or the bit-exact link"
        )
    return None


def refusal_of_channel(spec: LinkSpec, statistics: Statistics) -> str | None:
    """Why the abstraction doesn't hold for a channel and a receiver, whatever the MCS; None where it does.

    Two regions. Where pilots are further apart than half a period of the largest Doppler shift, what
    interpolation by `ls-*` misses differs between realisations, and a mean error is not what a burst meets.
    Where the whole band fades as one, the error of an unsmoothed estimate costs a burst less than the share
    of it that counts as noise, which was fitted where the band fades in parts (`channels.ofdm.sinr`).
    """
    ofdm, model = spec.ofdm, spec.channel.model
    if ofdm.csi.startswith("ls") and statistics.max_doppler_hz * _pilot_spacing_s(ofdm) > _NYQUIST:
        return (
            f"channel.speed_kmh {spec.channel.speed_kmh:g}: a Doppler shift of "
            f"{statistics.max_doppler_hz:.0f} Hz turns by more than half a period between the pilots, where "
            f"with csi {ofdm.csi!r} the abstraction is optimistic by 1 dB; use more ofdm.pilot_symbols, a "
            "wider ofdm.subcarrier_spacing_khz, csi 'lmmse', or the bit-exact link (kind: digital)"
        )
    if ofdm.csi in _UNSMOOTHED and model != "awgn" and len(statistics.delays_s.unique()) == 1:
        return (
            f"channel.model {model!r} fades the whole band alike, where with csi {ofdm.csi!r} the "
            "abstraction is pessimistic by 0.3 dB; use csi 'ls-cp' or 'lmmse', a model with delays, or the "
            "bit-exact link (kind: digital)"
        )
    return None


def _pilot_spacing_s(ofdm: OfdmSpec) -> float:
    """Longest time between neighbouring pilot symbols of a slot; the slot's, where it has one."""
    gaps = [after - before for before, after in pairwise(sorted(ofdm.pilot_symbols))]
    return max(gaps, default=ofdm.num_ofdm_symbols) * ofdm.symbol_duration_s
