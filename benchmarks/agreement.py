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

    A positive gap says that the bit-exact link needs more SNR. The interval is that of the coin tosses, the
    realisations being the same on both sides.
    """
    abstract, digital = AbstractLink(spec), DigitalLink(spec)

    chosen = [i for i, (name, _) in enumerate(sizes) if name == "base"]
    one_round = spec.classes["base"].harq_rounds == 1

    def predict(snr_db: float) -> float:
        if one_round:
            return float(abstract.error_probabilities(sizes, snr_db, seeds)[:, chosen].mean())
        return float(losses(abstract, sizes, seeds, snr_db).mean())

    floor = predict(45.0)
    if floor > target:
        lost = losses(digital, sizes, seeds, 45.0)
        return {"floor_at_45_db": float(lost.mean()), "floor_at_45_db_abstraction": floor}
    snr_db = round(crossing(predict, target), 2)
    snrs = snr_db + np.array(offsets_db or _OFFSETS_DB)
    curve = np.minimum.accumulate([predict(snr) for snr in snrs])
    lost = losses(digital, sizes, seeds, snr_db)
    measured, packets = float(lost.mean()), lost.shape[1]
    count = lost.sum(axis=1)
    variance = (count * (packets - count) / (packets**2 * (packets - 1))).sum() / len(lost) ** 2
    half = 1.96 * float(np.sqrt(variance * (1 if one_round else 2)))
    gaps = [
        snr_db - float(np.interp(-rate, -curve, snrs))
        for rate in (measured, measured + half, measured - half)
    ]
    return {
        "snr_db": snr_db,
        "bler": round(measured, 4),
        "bler_abstraction": round(float(curve[len(snrs) // 2]), 4),
        "gap_db": round(gaps[0], 2),
        "gap_interval_db": [round(gap, 2) for gap in sorted(gaps[1:])],
        "packets": lost.size,
        "realisations": len(lost),
    }
