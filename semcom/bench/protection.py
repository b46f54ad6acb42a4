"""MCS per protection class, for systems that protect their streams unequally.

    target error rates ─► ladder: a choice of MCSs for each ─► expected quality of each ─► the best

The counterpart of `envelope`, where one MCS carries everything. Here a choice also decides how much of the
channel the well protected streams leave for the rest, and losing a class costs less than losing the picture:

    E[quality] = Σ P(classes that arrive) · quality of what they give

with the probabilities of the abstraction link, averaged over channel realisations. Where no choice leaves
enough bytes for the smallest message of every picture, all classes travel alike (`adaptation.most_robust`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from semcom.bench.envelope import Metric, ranked, received_of
from semcom.contracts import Budget, System
from semcom.mcs import with_mcs
from semcom.message import Message, Protection, ReceivedMessage
from semcom.packets import packet_sizes

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from channels.spec import LinkSpec

_BY_IMPORTANCE = (Protection.CRITICAL, Protection.BASE, Protection.DETAIL)


def ladder(
    spec: LinkSpec,
    packet_bytes: Mapping[str, int],
    snr_db: float,
    seeds: Sequence[int],
    targets: Sequence[float],
) -> list[dict[str, int]]:
    """One choice of MCSs for each target error rate, ascending; choices that come out equal are given once.

    The target holds for class `base`; `critical` must be ten times safer, `detail` may be three times as
    risky.
    """
    from channels.links.adaptation import adapt

    choices: list[dict[str, int]] = []
    for target in sorted(targets):
        wanted = {"critical": target / 10, "base": target, "detail": min(3 * target, 0.5)}
        adapted = adapt(
            with_mcs(spec, dict.fromkeys(packet_bytes, 0)),
            {name: wanted[name] for name in packet_bytes},
            packet_bytes,
            snr_db,
            seeds,
        )
        choice = {name: adapted.classes[name].mcs for name in packet_bytes}
        if choice not in choices:
            choices.append(choice)
    return choices


@torch.no_grad()
def expected_quality(
    system: System,
    images: Sequence[Tensor],
    spec: LinkSpec,
    limits: Sequence[int],
    snr_db: float,
    seeds: Sequence[int],
    metrics: Mapping[str, Metric],
) -> dict[str, float]:
    """Expected value of each metric at the MCSs of `spec`.

    A class is taken to arrive or to be lost as a whole, with the mean probability of its packets, and a
    picture that loses one is judged without the less important ones too.

    Args:
        system: that sends.
        images: [3,H,W] float in [0,1], few.
        spec: of the link.
        limits: channel uses of each picture, pilots, CRC and parity included.
        snr_db: Es/N0 per resource element.
        seeds: of the channel realisations that are averaged over.
        metrics: functions of two batches [1,3,H,W], by name.

    Raises:
        BudgetError: the budget is too small for one of the pictures.
    """
    from channels.links.abstraction import AbstractLink

    link = AbstractLink(spec)
    expected = dict.fromkeys(metrics, 0.0)
    for image, limit in zip(images, limits, strict=False):
        message = system.encode(image, Budget(limit, link.channel_uses, "channel uses"))
        sizes = packet_sizes(message)
        losses = link.error_probabilities(sizes, snr_db, seeds)
        for probability, received in _outcomes(message, [name for name, _ in sizes], losses):
            picture = system.decode(received).image
            for name, metric in metrics.items():
                value = metric(picture[None], image[None]).item()
                expected[name] += probability * value / len(images)
    return expected


def best_choices(
    choices: Sequence[dict[str, int]], expected: Sequence[Mapping[str, float]], keep: int
) -> list[dict[str, int]]:
    """Choices of MCSs that are among the `keep` best in at least one metric, in the order of the ladder."""
    chosen: set[int] = set()
    for name in expected[0]:
        values = {i: of_choice[name] for i, of_choice in enumerate(expected)}
        chosen |= set(ranked(values, name)[:keep])
    return [choices[i] for i in sorted(chosen)]


def _outcomes(
    message: Message, packet_classes: Sequence[str], losses: NDArray[np.float64]
) -> Iterator[tuple[float, ReceivedMessage]]:
    """What can arrive, from everything to nothing, with probabilities that add up to one."""
    present = [protection for protection in _BY_IMPORTANCE if protection.value in packet_classes]
    lost = [losses[:, [name == p.value for name in packet_classes]].mean(1) for p in present]
    so_far = np.ones(len(losses))
    for i, probability in enumerate(lost):
        yield float((so_far * probability).mean()), received_of(message, present[:i])
        so_far = so_far * (1 - probability)
    yield float(so_far.mean()), received_of(message, present)
