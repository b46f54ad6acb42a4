"""What to send over a channel of known statistics: packets or values, the base picture, every class's MCS.

    SNR, channel ─► fades ─┬─ abstraction link ─► losses of each way to spend the budget ─┐
                           └─ analog link ──────► information that arrives ───────────────┤
    table of the profile ─► quality of what arrives ──────────────────────────────────────┴─► the best

The sender does not know the fade (statistical CSIT): the expectation is over the same realisations for every
candidate. Quality comes from `semcom.air_quality`, so no decoder runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from semcom.air_quality import METRICS, AirQuality, Floats
from semcom.bisection import largest
from semcom.contracts import Budget, BudgetError
from semcom.message import PacketSize
from semcom.packets import HEADER_BYTES, bundle_bytes
from semcom.streams import header
from semcom.transmitter import analog
from semcom.transmitter.objective import OBJECTIVES

if TYPE_CHECKING:
    from channels.spec import LinkSpec

BASE_BYTES = (0, 50, 70, 100, 140, 190, 250)
"""Of the base picture, that are tried."""
_FEWEST_HCI_BYTES = 40  # the coarsest of the smallest is about as large
_GREY = 0.001
"""Fades that may leave nothing: no mean pays for a grey picture, and a safer header costs next to nothing."""
_HOPELESS = 0.6  # a header that is lost more often than this is no choice


@dataclass(frozen=True)
class Choice:
    """One way to spend a budget.

    Attributes:
        mode: `digital` or `analog`.
        base_bytes: of the base picture; 0 for none.
        mcs: per protection class; empty for `analog`.
        expected: mean LPIPS, DISTS and PSNR over the fades.
        loss: what was minimised.
        grey: share of the fades that leave nothing.
    """

    mode: str
    base_bytes: int
    mcs: Mapping[str, int]
    expected: Mapping[str, float]
    loss: float
    grey: float = 0.0

    @property
    def rank(self) -> tuple[bool, float]:
        """The lower, the better."""
        return self.grey > _GREY, self.loss

    @property
    def variant(self) -> str:
        """What of it decides the message beside the link."""
        return f"{self.mode}, base {self.base_bytes}"

    def __str__(self) -> str:
        figures = f"expected LPIPS {self.expected['lpips']:.2f}, DISTS {self.expected['dists']:.2f}"
        if self.mode == "analog":
            return f"analog ({figures})"
        schemes = ", ".join(f"{name} {index}" for name, index in self.mcs.items())
        return f"digital, base picture of {self.base_bytes} bytes, MCS {schemes} ({figures})"


@dataclass(frozen=True)
class Situation:
    """What the sender knows.

    Attributes:
        spec: of the link; its MCSs are replaced.
        limit: channel uses.
        width, height: of the picture.
        snr_db: Es/N0 a resource element.
        seeds: of the fades that are averaged over.
    """

    spec: LinkSpec
    limit: int
    width: int
    height: int
    snr_db: float
    seeds: Sequence[int]


def choices(
    quality: AirQuality,
    objective: str,
    known: Situation,
    base_bytes: Sequence[int] = BASE_BYTES,
    fixed: Mapping[str, int] | None = None,
) -> list[Choice]:
    """The best digital choice and the analog one, those that fit; the best first.

    What leaves nothing in more than one of a thousand fades comes last.

    Args:
        quality: of the receiver.
        objective: key of `OBJECTIVES`.
        known: the situation.
        base_bytes: to try.
        fixed: MCSs of classes that are not to be chosen.
    """
    found = [_analog(quality, objective, known)]
    digital = list(_digital(quality, objective, known, base_bytes, fixed or {}))
    if digital:
        found.append(min(digital, key=lambda choice: choice.rank))
    return sorted((c for c in found if c is not None), key=lambda choice: choice.rank)


def _digital(
    quality: AirQuality,
    objective: str,
    known: Situation,
    base_bytes: Sequence[int],
    fixed: Mapping[str, int],
) -> Iterator[Choice]:
    """All that fit; HCI, texture and key share an MCS, and fill what the header's packet leaves.

    How often an MCS loses the HCI is taken from a packet that fills the whole budget: what differs is where
    in the burst it begins.
    """
    from channels.links.abstraction import AbstractLink
    from semcom.mcs import with_mcs

    schemes = _schemes(known.spec)
    vital_schemes = [fixed["critical"]] if "critical" in fixed else schemes[::2]
    hci_schemes = [fixed["base"]] if "base" in fixed else schemes
    # One class for each MCS: a link is dear to make, losses of one more packet are cheap
    link = AbstractLink(with_mcs(known.spec, {str(i): i for i in {*vital_schemes, *hci_schemes}}))

    def losses(packet: PacketSize) -> Floats:
        return link.error_probabilities([packet], known.snr_db, known.seeds)[:, 0]

    def left(mcs: int, *beside: PacketSize) -> int:
        return largest(lambda n: link.channel_uses([*beside, (str(mcs), HEADER_BYTES + n)]) <= known.limit)

    pixels = known.width * known.height
    whole = {i: HEADER_BYTES + left(i) for i in hci_schemes}
    hci_lost = {i: losses((str(i), whole[i])) for i in hci_schemes if whole[i] > _FEWEST_HCI_BYTES}
    for num_bytes, vital_mcs in product(base_bytes, vital_schemes):
        chunks = [header.NUM_BYTES, *([num_bytes] if num_bytes else [])]
        vital = (str(vital_mcs), bundle_bytes(chunks))
        if link.channel_uses([vital]) > known.limit:
            continue
        vital_lost = losses(vital)
        stand_in = quality.of_digital(8 * num_bytes / pixels) if num_bytes else quality.grey
        for hci_mcs, lost in hci_lost.items():
            size = left(hci_mcs, vital)
            if size < _FEWEST_HCI_BYTES or vital_lost.mean() > _HOPELESS:
                continue
            arrived = quality.of_digital(8 * size / pixels)
            expected = _mean(vital_lost, lost, quality.grey, stand_in, arrived)
            mcs = {"critical": vital_mcs, "base": hci_mcs, "detail": fixed.get("detail", hci_mcs)}
            yield _choice("digital", num_bytes, mcs, expected, objective, float(vital_lost.mean()))


def _schemes(spec: LinkSpec) -> list[int]:
    """MCSs, the most robust first, that losses can be predicted of."""
    from channels.coding.mcs import mcs
    from channels.links.abstraction import refusal
    from semcom.mcs import mcs_by_rate

    return [i for i in mcs_by_rate(spec) if refusal(spec.ofdm, mcs(spec.mcs_table, i)) is None]


def _mean(vital_lost: Floats, hci_lost: Floats, grey: Floats, stand_in: Floats, arrived: Floats) -> Floats:
    """Expected metrics [3] from losses [fades] of the header's packet and of the HCI."""
    readable = 1 - vital_lost
    shares = vital_lost.mean(), (readable * hci_lost).mean(), (readable * (1 - hci_lost)).mean()
    return np.asarray(shares[0] * grey + shares[1] * stand_in + shares[2] * arrived)


def _analog(quality: AirQuality, objective: str, known: Situation) -> Choice | None:
    from channels.links.analog import AnalogLink
    from semcom.receiver.analog import information

    link = AnalogLink(known.spec)
    budget = Budget(known.limit, lambda sizes: link.channel_uses(sizes[0][1]), "channel uses")
    try:
        count = analog.affordable(budget, known.height, known.width)
    except BudgetError:
        return None
    values = torch.ones(count)
    delivered = link.send([values] * len(known.seeds), known.snr_db, known.seeds)
    bits = information(torch.stack([d.error_variance for d in delivered])) / (known.width * known.height)
    expected = quality.of_analog(bits.double().numpy()).mean(0)
    return _choice("analog", 0, {}, expected, objective)


def _choice(
    mode: str, base_bytes: int, mcs: Mapping[str, int], expected: Floats, objective: str, grey: float = 0.0
) -> Choice:
    metrics = dict(zip(METRICS, map(float, expected), strict=True))
    weights = OBJECTIVES[objective]
    loss = sum((-1 if name == "psnr" else 1) * weights.get(name, 0.0) * v for name, v in metrics.items())
    return Choice(mode, base_bytes, mcs, metrics, loss, grey)
