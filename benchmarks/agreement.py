"""How far the abstract link is from the bit-exact one: the gap in dB at equal error rates, same seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from channels.links.abstraction import AbstractLink
from channels.links.digital import DigitalLink
from channels.links.grants import Payload
from channels.spec import LinkSpec

SIZES = tuple([("base", 90)] * 4)
_BURSTS_A_CALL = 32
DECIDES_DB = 0.3
"""How near the two links have to be."""
_FLOOR_DB = 45.0
# Where the abstract link's curve is read, around the SNR that is measured
_OFFSETS_DB = (-2.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0)


def losses(
    link: AbstractLink | DigitalLink, sizes: Sequence[tuple[str, int]], seeds: range, snr_db: float
) -> np.ndarray:
    """Which packets of class `base` are lost, [realisations, packets]; every packet has its own payload."""
    lost = []
    for first in range(seeds.start, seeds.stop, _BURSTS_A_CALL):
        some = range(first, min(first + _BURSTS_A_CALL, seeds.stop))
        rngs = map(np.random.default_rng, some)
        bursts = [[Payload(rng.bytes(size), name) for name, size in sizes] for rng in rngs]
        chosen = [i for i, (name, _) in enumerate(sizes) if name == "base"]
        lost += [[d.payloads[i] is None for i in chosen] for d in link.send(bursts, snr_db, some)]
    return np.array(lost)


def crossing(curve: Callable[[float], float], target: float, low: float = -14.0, high: float = 42.0) -> float:
    """SNR in dB where a falling curve crosses `target`, by bisection to 0.05 dB."""
    while high - low > 0.05:
        middle = (low + high) / 2
        low, high = (middle, high) if curve(middle) > target else (low, middle)
    return (low + high) / 2


def compare(
    spec: LinkSpec,
    seeds: range,
    target: float,
    sizes: Sequence[tuple[str, int]] = SIZES,
    offsets_db: Sequence[float] | None = None,
) -> dict[str, Any]:
    """One row: bit-exact error rate where the abstract link has `target`, and what SNR lies between them.

    A positive gap says that the bit-exact link needs more SNR. Both links meet the same realisations, so the
    95 % interval is that of the mean difference of a realisation: coin tosses, and what the packets of a
    burst have in common without its following from the channel, such as the errors of its estimate. A row
    whose interval is wider than `DECIDES_DB` to either side is not decided.
    """
    abstract, digital = AbstractLink(spec), DigitalLink(spec)
    reason = abstract.refused({name for name, _ in sizes})
    if reason is not None:
        raise ValueError(reason)
    chosen = [i for i, (name, _) in enumerate(sizes) if name == "base"]
    one_round = spec.classes["base"].harq_rounds == 1

    def predict(snr_db: float) -> np.ndarray:
        """Share of each realisation's packets that the abstract link loses."""
        if one_round:
            return abstract.error_probabilities(sizes, snr_db, seeds)[:, chosen].mean(axis=1)
        return losses(abstract, sizes, seeds, snr_db).mean(axis=1)

    def curve(snr_db: float) -> float:
        return float(predict(snr_db).mean())

    floor = curve(_FLOOR_DB)
    if floor > target:
        lost = losses(digital, sizes, seeds, _FLOOR_DB)
        return {
            "floor_at_45_db": float(lost.mean()),
            "floor_at_45_db_abstraction": floor,
            "decided": False,
            "reason": f"the error rate never falls to {target:g}",
        }
    snr_db = round(crossing(curve, target), 2)
    offsets = np.array(offsets_db or _OFFSETS_DB)
    snrs = snr_db + offsets
    rates = np.minimum.accumulate([curve(snr) for snr in snrs])
    lost, predicted = losses(digital, sizes, seeds, snr_db), predict(snr_db)
    half = 1.96 * float(np.std(lost.mean(axis=1) - predicted, ddof=1)) / len(lost) ** 0.5
    measured = float(lost.mean())

    def gap(rate: float) -> float:
        return snr_db - float(np.interp(-rate, -rates, snrs))

    interval = [gap(measured - half), gap(measured + half)]
    row = {
        "snr_db": snr_db,
        "bler": round(measured, 4),
        "bler_abstraction": round(float(predicted.mean()), 4),
        "gap_db": round(gap(measured), 2),
        "gap_interval_db": [round(g, 2) for g in interval],
        "packets": lost.size,
        "realisations": len(lost),
    }
    return row | verdict(row["gap_db"], interval, (-float(offsets[-1]), -float(offsets[0])))


def verdict(gap_db: float, interval_db: Sequence[float], reach_db: tuple[float, float]) -> dict[str, Any]:
    """Whether a gap and its interval decide that the links agree to `DECIDES_DB`.

    Args:
        gap_db: measured.
        interval_db: its ends.
        reach_db: the largest gaps that could have been seen, negative and positive.
    """
    low, high = interval_db
    if low > DECIDES_DB or high < -DECIDES_DB:
        return {"decided": True, "within_0.3_db": False}
    if max(gap_db - low, high - gap_db) > DECIDES_DB or low <= reach_db[0] or high >= reach_db[1]:
        reason = f"too few realisations: the gap's 95 % interval reaches more than {DECIDES_DB:g} dB from it"
        return {"decided": False, "reason": reason}
    return {"decided": True, "within_0.3_db": abs(gap_db) <= DECIDES_DB}
