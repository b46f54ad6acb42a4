"""What the channel did: the constellation before and after the equaliser, and |H| over time and frequency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from channels.spec import LinkSpec

_MOST_POINTS = 600
_MOST_SLOTS = 40


@dataclass(frozen=True)
class Air:
    """Of one burst.

    Attributes:
        modulation: of the symbols shown.
        before, after: [n,2] real, in-phase and quadrature of data symbols at the first antenna, before and
            after the equaliser.
        gain_db: [OFDM symbols, subcarriers], |H|² of the first antenna in dB, over the burst.
        duration_ms, bandwidth_mhz: of the grid shown.
    """

    modulation: str
    before: Tensor
    after: Tensor
    gain_db: Tensor
    duration_ms: float
    bandwidth_mhz: float


def look(spec: LinkSpec, protection: str, snr_db: float, seed: int, channel_uses: int) -> Air:
    """The first slot's symbols and the whole burst's channel, of the realisation that `seed` decides.

    The bits are random, the fades and the noise are those that the message met in its first slot.

    Args:
        spec: of the link.
        protection: class whose modulation is shown.
        snr_db: Es/N0 per resource element.
        seed: as the message had.
        channel_uses: of the message, that say how many slots it took.
    """
    import torch

    from channels.coding.mcs import mcs
    from channels.links.digital import mapper
    from channels.ofdm.front_end import OfdmFrontEnd

    front_end, scheme = (
        OfdmFrontEnd(spec.channel, spec.ofdm),
        mcs(spec.mcs_table, spec.classes[protection].mcs),
    )
    order = scheme.bits_per_symbol
    bits = torch.randint(0, 2, (front_end.num_data_res * order,), generator=torch.Generator().manual_seed(0))
    symbols = mapper(order, "cpu")(bits.float()).reshape(1, -1, 1)
    before = front_end.heard(symbols, snr_db, seed)[0]
    (equalised,) = front_end.send([symbols], [snr_db], [seed])
    a_slot = front_end.num_data_res + front_end.num_pilot_res
    slots = min(max(1, -(-channel_uses // a_slot)), _MOST_SLOTS)
    h = front_end.channel(seed, slots)[:, 0, 0].flatten(0, 1)
    grid = spec.ofdm
    return Air(
        modulation=scheme.modulation,
        before=torch.view_as_real(before[:_MOST_POINTS]),
        after=torch.view_as_real(equalised.symbols[0, :_MOST_POINTS, 0]),
        gain_db=20 * h.abs().clamp(min=1e-4).log10(),
        duration_ms=1e3 * slots * grid.slot_duration_s,
        bandwidth_mhz=grid.num_subcarriers * grid.subcarrier_spacing_khz / 1e3,
    )
