"""Where the abstraction doesn't hold: regions that are refused, each with its reason.

`benchmarks/results/abstraction.json` (`unseen`) has what was measured inside and outside them.
"""

from __future__ import annotations

import numpy as np

from channels.coding.mcs import Mcs
from channels.links.effective_sinr import waterfall
from channels.propagation.base import Statistics
from channels.spec import LinkSpec, OfdmSpec

_UNSMOOTHED = ("ls-linear", "ls-nearest")
# Below this code rate (x 1024) LLRs from an unsmoothed channel estimate are overconfident where the channel
# fades, which costs the bit-exact decoder 0.3 to 0.6 dB more than the SINR says
_LOWEST_RATE_UNSMOOTHED = 120
# Of the noise at an MCS's threshold, what the estimate may miss without noise
_MOST_MISSED = 0.1


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


def refusal_of_channel(spec: LinkSpec, scheme: Mcs, statistics: Statistics, missed: float) -> str | None:
    """Why the abstraction doesn't hold for an MCS over a channel; None where it does.

    Two regions. Where the estimate misses much of the channel even without noise, as interpolation does at
    high speeds, it misses other things in every realisation, and a mean error is not what a burst meets.
    Where the whole band fades as one, the error of an unsmoothed estimate costs a burst less than the share
    of it that counts as noise, which was fitted where the band fades in parts (`channels.ofdm.sinr`).

    Args:
        spec: of the link.
        scheme: the MCS.
        statistics: of the channel.
        missed: mean-square error of the channel estimate without noise, of the channel's power.
    """
    csi, channel = spec.ofdm.csi, spec.channel
    noise = 10 ** (-float(np.mean(waterfall(scheme).threshold_db)) / 10)
    if missed > _MOST_MISSED * noise:
        return (
            f"MCS {scheme.index} at channel.speed_kmh {channel.speed_kmh:g} with csi {csi!r}: what the "
            f"channel estimate misses even without noise is {missed / noise:.0%} of the noise that the MCS "
            f"bears, where the abstraction is optimistic by 1 dB (up to {_MOST_MISSED:.0%} it holds); use a "
            "lower speed or MCS, more ofdm.pilot_symbols, a wider ofdm.subcarrier_spacing_khz, or the "
            "bit-exact link (kind: digital)"
        )
    if csi in _UNSMOOTHED and channel.model != "awgn" and len(statistics.delays_s.unique()) == 1:
        return (
            f"channel.model {channel.model!r} fades the whole band alike, where with csi {csi!r} the "
            "abstraction is pessimistic by 0.3 dB; use csi 'ls-cp' or 'lmmse', a model with delays, or the "
            "bit-exact link (kind: digital)"
        )
    return None
