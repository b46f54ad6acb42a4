"""Link adaptation of one transmission: the MCS of each protection class, by SNR and channel statistics.

    message ─► sizes of its packets ─► per class the fastest MCS that loses few enough ─► link

The sender knows the SNR and the statistics of the channel, not the realisation: losses are predicted by the
abstraction link, averaged over realisations of their own. A budget in bits leaves the message as it is and
the MCS decides what it costs; a budget in channel uses is spent on the bits that the MCS leaves room for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from semcom.contracts import Budget, BudgetError, Link, System
from semcom.mcs import mcs_by_rate, with_mcs
from semcom.message import Message, PacketSize, Protection
from semcom.packets import packet_sizes
from semcom.seeds import derive

if TYPE_CHECKING:
    from torch import Tensor

    from channels.spec import LinkSpec

TARGET_BLER: Mapping[str, float] = {"critical": 0.01, "base": 0.05, "detail": 0.1}
"""Packets of a class that may be lost. Ten percent is what NR adapts data to (TS 38.214 §5.2.2.1); the
picture rests on the other two."""
REALISATIONS = 400
"""Enough to know a loss of 1 % to half a percent."""
_AUTO = "auto"
_CLASSES = tuple(p.value for p in Protection if p is not Protection.ANALOG)


@dataclass(frozen=True)
class McsWish:
    """What the user says of the MCS: some classes fixed, or all; the others are adapted. Made by `parse`."""

    fixed: Mapping[str, int]
    every: int | None = None

    @classmethod
    def parse(cls, text: str | int | Mapping[str, int]) -> McsWish:
        """`auto`, an index for all classes, or `critical=5,base=12` (in YAML a mapping).

        Raises:
            ValueError: it is none of these.
        """
        if isinstance(text, Mapping):
            return cls({name: _index(value) for name, value in text.items()})
        if str(text).strip() == _AUTO:
            return cls({})
        if "=" not in str(text):
            return cls({}, _index(text))
        pairs = (item.partition("=") for item in str(text).split(","))
        return cls({name.strip(): _index(value) for name, _, value in pairs})

    def check(self, spec: LinkSpec) -> None:
        """Raises `ValueError` where the link has no such class, or its table no such MCS."""
        from channels.coding.mcs import mcs

        unknown = self.fixed.keys() - spec.classes.keys()
        if unknown:
            raise ValueError(
                f"mcs: no class {', '.join(sorted(unknown))!r}; known: {', '.join(spec.classes)}"
            )
        for index in (*self.fixed.values(), *(() if self.every is None else (self.every,))):
            mcs(spec.mcs_table, index)

    def of(self, name: str) -> int | None:
        """MCS of a class; None where it is to be adapted."""
        return self.fixed.get(name, self.every)


@dataclass(frozen=True)
class Adapted:
    """A message and the link it is sent on.

    Attributes:
        message: that fits the budget on this link.
        spec: the link with the chosen MCSs.
        mcs: per class of the message; empty for values that are sent uncoded.
        expected_loss: per class the predicted share of packets lost, over the channel's realisations.
        reason: why these MCSs, in one sentence.
        expected_quality: mean LPIPS, DISTS and PSNR that the sender expects, where it chose by that.
    """

    message: Message
    spec: LinkSpec
    mcs: Mapping[str, int]
    expected_loss: Mapping[str, float]
    reason: str
    expected_quality: Mapping[str, float] = field(default_factory=dict)


def adapt_message(
    system: System,
    image: Tensor,
    spec: LinkSpec,
    budget_on: Callable[[Link], Budget],
    snr_db: float,
    wish: McsWish,
    realisations: int = REALISATIONS,
) -> Adapted:
    """Encodes a picture and chooses the MCS of each of its protection classes.

    A system with a method `over_the_air` (`semcom.semantic`) says what to send for a budget in channel uses.

    Args:
        system: that sends.
        image: [3,H,W] float in [0,1].
        spec: of the link; its MCSs are replaced.
        budget_on: the budget on a link.
        snr_db: Es/N0 per resource element.
        wish: what is fixed.
        realisations: of the channel, that losses are averaged over.

    Raises:
        BudgetError: the smallest message does not fit even at the fastest MCS that is allowed.
        ValueError: the wish names a class or MCS that the link does not have.
    """
    wish.check(spec)
    seeds = [derive(0, "adaptation", i) for i in range(realisations)]
    where = f"{spec.channel.model} at {snr_db:g} dB"
    sender = _Sender(system, image, spec, budget_on, snr_db, wish, seeds)
    advised = sender.advised()
    if advised is not None:
        return advised
    message = sender.probe()
    if any(stream.protection is Protection.ANALOG for stream in message.streams):
        return Adapted(message, spec, {}, {}, "values are sent uncoded: there is no MCS to choose")
    try:
        message, chosen = sender.fastest(message)
        crowded = False
    except BudgetError:
        message, chosen = sender.crowded()
        crowded = True
    losses = sender.expected_losses(message, chosen)
    mcs = {name: chosen.classes[name].mcs for name in losses}
    return Adapted(message, chosen, mcs, losses, _reason(wish, losses, crowded, where))


@dataclass(frozen=True)
class _Sender:
    """What stays the same while MCSs are tried; the fields are arguments of `adapt_message`."""

    system: System
    image: Tensor
    spec: LinkSpec
    budget_on: Callable[[Link], Budget]
    snr_db: float
    wish: McsWish
    seeds: Sequence[int]

    @cached_property
    def budget(self) -> Budget:
        """At the MCSs that the link has."""
        return self.budget_on(_link(self.spec))

    @property
    def _in_channel_uses(self) -> bool:
        return self.budget.unit == "channel uses"

    def advised(self) -> Adapted | None:
        """By the system's own choice; None where it has none, or none that fits."""
        over_the_air = getattr(self.system, "over_the_air", None)
        if over_the_air is None or not self._in_channel_uses:
            return None
        from semcom.chooser import Situation

        height, width = self.image.shape[-2:]
        known = Situation(self.spec, self.budget.limit, width, height, self.snr_db, self.seeds)
        fixed = {name: index for name in _CLASSES if (index := self.wish.of(name)) is not None}
        for choice, variant in over_the_air(known, fixed):
            chosen = with_mcs(self.spec, choice.mcs) if choice.mcs else self.spec
            try:
                message = variant.encode(self.image, self.budget_on(_link(chosen)))
            except BudgetError:
                continue
            losses = {} if not choice.mcs else self.expected_losses(message, chosen)
            mcs = {name: chosen.classes[name].mcs for name in losses}
            where = f"{self.spec.channel.model} at {self.snr_db:g} dB"
            reason = f"{choice} over {len(self.seeds)} fades of {where}"
            return Adapted(message, chosen, mcs, losses, reason, choice.expected)
        return None

    def probe(self) -> Message:
        """The message itself where the budget is in bits, else one of about the size wanted."""
        try:
            return self.system.encode(self.image, self.budget)
        except BudgetError as error:
            if not self._in_channel_uses:
                raise
            return self.system.encode(self.image, replace(self.budget, limit=error.smallest))

    def fastest(self, message: Message) -> tuple[Message, LinkSpec]:
        """The fastest MCSs that keep to the targets, and the message at these. Raises `BudgetError`."""
        chosen = self._adapted(message)
        if self._in_channel_uses:  # other MCSs leave other sizes, for which they are chosen once more
            chosen = self._adapted(self._encoded(message, chosen))
        while True:
            message = self._encoded(message, chosen)
            safer = self._stepped_down(chosen, self.expected_losses(message, chosen))
            if safer is None:
                return message, chosen
            chosen = safer

    def crowded(self) -> tuple[Message, LinkSpec]:
        """One MCS for all, where targets leave no room for the smallest message. Raises `BudgetError`."""
        smallest = smallest_message(self.system, self.image)
        robust = most_robust(self.spec, list(_mean_sizes(smallest)), [smallest], [self.budget.limit])
        wished = {name: self.wish.of(name) for name in robust}
        chosen = with_mcs(
            self.spec, robust | {name: index for name, index in wished.items() if index is not None}
        )
        return self.system.encode(self.image, self.budget_on(_link(chosen))), chosen

    def expected_losses(self, message: Message, spec: LinkSpec) -> dict[str, float]:
        """See the function."""
        return expected_losses(message, spec, self.snr_db, self.seeds)

    def _encoded(self, message: Message, spec: LinkSpec) -> Message:
        if not self._in_channel_uses:
            return message
        return self.system.encode(self.image, self.budget_on(_link(spec)))

    def _adapted(self, message: Message) -> LinkSpec:
        from channels.links.adaptation import adapt

        packet_bytes = protection_classes(message)
        names = self.spec.classes | packet_bytes
        kept = {name: self.spec.classes[name].mcs if name in self.spec.classes else 0 for name in names}
        wished = {name: self.wish.of(name) for name in names}
        start = with_mcs(
            self.spec, kept | {name: index for name, index in wished.items() if index is not None}
        )
        targets = {name: target_bler(name) for name in packet_bytes if wished[name] is None}
        if not targets:
            return start
        return adapt(start, targets, packet_bytes, self.snr_db, self.seeds)

    def _stepped_down(self, spec: LinkSpec, losses: Mapping[str, float]) -> LinkSpec | None:
        """Where packets of mixed sizes lose more than their mean size does: the next safer MCS, if any."""
        by_rate = mcs_by_rate(spec)
        lower = {
            name: by_rate[by_rate.index(spec.classes[name].mcs) - 1]
            for name, loss in losses.items()
            if self.wish.of(name) is None
            and loss > target_bler(name)
            and spec.classes[name].mcs != by_rate[0]
        }
        if not lower:
            return None
        return with_mcs(spec, {name: c.mcs for name, c in spec.classes.items()} | lower)


def expected_losses(
    message: Message, spec: LinkSpec, snr_db: float, seeds: Sequence[int]
) -> dict[str, float]:
    """Per class the mean over its packets and the channel's realisations."""
    from channels.links.abstraction import AbstractLink

    sizes = packet_sizes(message)
    losses = AbstractLink(spec).error_probabilities(sizes, snr_db, seeds)
    classes = [name for name, _ in sizes]
    return {
        name: float(losses[:, [other == name for other in classes]].mean()) for name in dict.fromkeys(classes)
    }


def target_bler(name: str) -> float:
    """Of a class; that of `base` for a class of a user's own."""
    return TARGET_BLER.get(name, TARGET_BLER["base"])


def protection_classes(message: Message) -> dict[str, int]:
    """Classes of a message with the mean bytes of their packets, headers included."""
    return _mean_sizes(packet_sizes(message))


def smallest_message(system: System, image: Tensor) -> list[PacketSize]:
    """Packets of the smallest message that a system has for a picture, headers included."""
    asked: dict[int, list[PacketSize]] = {}

    def num_bytes(sizes: Sequence[PacketSize]) -> int:
        total = sum(size for _, size in sizes)
        asked[total] = list(sizes)
        return total

    try:
        return packet_sizes(system.encode(image, Budget(1, num_bytes, "bytes")))
    except BudgetError as error:
        return asked[error.smallest]


def all_fit(spec: LinkSpec, messages: Sequence[Sequence[PacketSize]], limits: Sequence[int]) -> bool:
    """Whether each of the messages takes at most its limit of channel uses."""
    link = _link(spec)
    return all(link.channel_uses(sizes) <= limit for sizes, limit in zip(messages, limits, strict=True))


def most_robust(
    spec: LinkSpec,
    classes: Sequence[str],
    messages: Sequence[Sequence[PacketSize]],
    limits: Sequence[int],
) -> dict[str, int]:
    """One MCS for all classes, the most robust at which all messages fit, the fastest where none is.

    For SNRs and budgets that leave no room for unequal protection.
    """
    for index in mcs_by_rate(spec):
        choice = dict.fromkeys(classes, index)
        if all_fit(with_mcs(spec, choice), messages, limits):
            break
    return choice


def _reason(wish: McsWish, losses: Mapping[str, float], crowded: bool, where: str) -> str:
    free = [name for name in losses if wish.of(name) is None]
    if not free:
        return "as asked for"
    if crowded:
        return f"the most robust at which the smallest message fits the budget ({where})"
    kept = ", ".join(
        f"{name} {100 * target_bler(name):g} %" for name in free if losses[name] <= target_bler(name)
    )
    missed = ", ".join(name for name in free if losses[name] > target_bler(name))
    fastest = f"the fastest expected to lose at most {kept} of the packets" if kept else ""
    robust = f"the most robust for {missed}, of which none loses few enough" if missed else ""
    return f"{'; '.join(filter(None, (fastest, robust)))} ({where})"


def _mean_sizes(packets: Iterable[PacketSize]) -> dict[str, int]:
    sizes: dict[str, list[int]] = {}
    for name, size in packets:
        sizes.setdefault(name, []).append(size)
    return {name: round(float(np.mean(values))) for name, values in sizes.items()}


def _link(spec: LinkSpec) -> Link:
    from channels.links.digital import DigitalLink
    from semcom.link import ChannelLink

    return ChannelLink(DigitalLink(spec))


def _index(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise ValueError(
            f"mcs: {value!r} is neither auto, an index of the MCS table, nor class=index,…"
        ) from None
