"""Link adaptation: the fastest MCS a class can afford, from effective SINRs and a target error rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from channels.coding.mcs import mcs, mcs_table_size
from channels.impairments.spec import RadioSpec
from channels.links.abstraction import AbstractLink
from channels.links.validity import refusal
from channels.spec import LinkSpec


def adapt(
    spec: LinkSpec,
    target_bler: Mapping[str, float],
    packet_bytes: Mapping[str, int],
    snr_db: float,
    seeds: Sequence[int],
) -> LinkSpec:
    """Choose the MCS of each class named: the highest rate whose predicted BLER meets the class's target.

    The prediction is for first transmissions, averaged over the realisations of `seeds`: several seeds
    adapt to the statistics of the channel, the seed of the burst itself adapts to that realisation (perfect
    feedback). An MCS that the abstraction refuses is not tried. Where not even the most robust MCS meets the
    target, that one is chosen.

    Args:
        spec: the link; classes not in `target_bler` stay as they are.
        target_bler: per class, between 0 and 1.
        packet_bytes: size of a typical packet, per class.
        snr_db: Es/N0 a resource element.
        seeds: at least one.

    Raises:
        ValueError: a target outside (0, 1), a class that isn't the link's, or no seeds.
    """
    for name, target in target_bler.items():
        if name not in spec.classes:
            raise ValueError(
                f"target_bler: class {name!r} is not one of the link's: {', '.join(spec.classes)}"
            )
        if not 0 < target < 1:
            raise ValueError(f"target_bler.{name} must be between 0 and 1, both excluded, not {target}")
    if not seeds:
        raise ValueError("seeds must hold at least 1 seed")
    chosen = {
        name: _fastest(spec, name, target, packet_bytes[name], snr_db, seeds)
        for name, target in target_bler.items()
    }
    classes = {
        name: c.model_copy(update={"mcs": chosen.get(name, c.mcs)}) for name, c in spec.classes.items()
    }
    return spec.model_copy(update={"classes": classes})


def _fastest(
    spec: LinkSpec, name: str, target: float, num_bytes: int, snr_db: float, seeds: Sequence[int]
) -> int:
    """Bisect the MCS table, which is ordered by robustness but for a few near-ties."""
    schemes = [mcs(spec.mcs_table, i) for i in range(mcs_table_size(spec.mcs_table))]
    by_rate = [
        scheme.index
        for scheme in sorted(schemes, key=lambda scheme: scheme.spectral_efficiency)
        if refusal(spec.ofdm, scheme) is None
    ]
    candidates = {str(i): spec.classes[name].model_copy(update={"mcs": i}) for i in by_rate}
    # Of an ideal radio: what a real one costs is left to the target's margin, or to a higher `snr_db`
    ofdm = spec.ofdm.model_copy(update={"waveform": "cp-ofdm"})
    link = AbstractLink(spec.model_copy(update={"classes": candidates, "ofdm": ofdm, "radio": RadioSpec()}))
    low, high = 0, len(by_rate) - 1
    while low < high:
        middle = (low + high + 1) // 2
        bler = link.error_probabilities([(str(by_rate[middle]), num_bytes)], snr_db, seeds).mean()
        low, high = (middle, high) if bler <= target else (low, middle - 1)
    return by_rate[low]
