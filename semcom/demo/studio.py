"""The computing behind the page, without the page: a photo and settings in, everything that is shown out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from semcom.adaptation import Adapted, McsWish, adapt_message
from semcom.contracts import Budget, BudgetError, Link, System
from semcom.demo.air import Air, look
from semcom.demo.settings import Settings
from semcom.link import ChannelLink
from semcom.message import Message, ReceivedMessage, Reconstruction
from semcom.metrics.registry import find
from semcom.semantic import SemanticSystem
from semcom.systems import build

if TYPE_CHECKING:
    from channels.spec import LinkSpec

METRICS = ("lpips", "psnr", "ssim")
REALISATIONS = 48
"""That losses are averaged over when MCSs are chosen: fewer than `semcom send` takes, for a quick answer."""
_KEPT = 24
T = TypeVar("T")


@dataclass(frozen=True)
class Sent:
    """One system's way over the channel. `quality` has a value a metric."""

    adapted: Adapted
    received: ReceivedMessage
    reconstruction: Reconstruction
    quality: dict[str, float]


@dataclass(frozen=True)
class Shown:
    """Everything of one setting.

    Attributes:
        semantic: our system, with the streams that were switched off taken out of what arrived.
        rival: a codec with the same channel uses; None where it has nothing that small.
        rival_reason: why it has none.
        key_mask: [cells, cells] bool of the sender.
        air: what the channel did.
    """

    semantic: Sent
    rival: Sent | None
    rival_reason: str
    air: Air | None


class Studio:
    """Systems, built once, and the latest results.

    Args:
        profile: name or folder.
    """

    def __init__(self, profile: str = "tiny") -> None:
        self._semantic = SemanticSystem(profile)
        self._memory: OrderedDict[Any, Any] = OrderedDict()

    @torch.no_grad()
    def show(self, photo: Tensor, photo_id: str, settings: Settings) -> Shown:
        """Sends a photo.

        Args:
            photo: [3,H,W] float in [0,1].
            photo_id: what tells it apart from others.
            settings: of the page.

        Raises:
            ValueError: a setting does not fit the picture or the channel, or the budget is too small.
        """
        height, width = photo.shape[1:]
        options = settings.options(width, height)
        system = _Remembering(
            self._semantic.with_options(**options), self._remember, (photo_id, str(options))
        )

        def budget(link: Link) -> Budget:
            if settings.unit == "cbr":
                return Budget.of_cbr(settings.amount, width, height, link)
            return Budget.of_bpp(settings.amount, width, height)

        spec, key = settings.spec(), (photo_id, str(options), settings.unit, settings.amount)
        try:
            adapted = self._adapted(system, key, photo, spec, budget, settings.snr_db)
        except BudgetError as error:
            scale = 8 / (width * height) if settings.unit == "bpp" else 1 / (3 * width * height)
            raise ValueError(
                f"{settings.amount:g} {settings.unit} is too small for this picture: "
                f"at least {error.smallest * scale:.4f}"
            ) from error
        semantic = self._sent(system, adapted, photo, photo_id, settings, settings.erased)
        rival, reason = self._rival(photo, photo_id, settings, semantic.received.report.channel_uses)
        return Shown(semantic, rival, reason, _air(adapted, settings, semantic))

    def _rival(self, photo: Tensor, photo_id: str, settings: Settings, uses: int) -> tuple[Sent | None, str]:
        name = settings.rival
        system = self._remember(("rival", name), lambda: build(name))
        try:
            adapted = self._adapted(
                system,
                (photo_id, name, uses),
                photo,
                settings.spec(),
                lambda link: Budget.of_channel_uses(uses, link),
                settings.snr_db,
            )
        except BudgetError as error:
            needed = f"{error.smallest} {'channel uses' if error.smallest > uses else 'at a faster MCS'}"
            return None, f"{name} has no file for {uses} channel uses; its smallest takes {needed}"
        return self._sent(system, adapted, photo, photo_id, settings, ()), ""

    def _adapted(
        self,
        system: System,
        key: object,
        photo: Tensor,
        spec: LinkSpec,
        budget: Callable[[Link], Budget],
        snr_db: float,
    ) -> Adapted:
        return self._remember(
            ("adapted", key, spec.model_dump_json(), snr_db),
            lambda: adapt_message(system, photo, spec, budget, snr_db, McsWish.parse("auto"), REALISATIONS),
        )

    def _sent(
        self,
        system: System,
        adapted: Adapted,
        photo: Tensor,
        photo_id: str,
        settings: Settings,
        erased: Sequence[str],
    ) -> Sent:
        from channels.links.digital import DigitalLink

        link = ChannelLink(DigitalLink(adapted.spec))
        (received,) = link.send([adapted.message], settings.snr_db, [settings.seed])
        received = without(received, erased)
        arrived = tuple((stream.name, stream.chunks) for stream in received.streams)

        def rebuilt() -> tuple[Reconstruction, dict[str, float]]:
            picture = system.decode(received)
            pair = picture.image[None], photo[None]
            return picture, {name: float(find(name)(*pair)[0]) for name in METRICS}

        # A receiver that gets the same packets makes the same picture, whatever the channel was
        reconstruction, quality = self._remember(("decoded", photo_id, arrived), rebuilt)
        return Sent(adapted, received, reconstruction, quality)

    def _remember(self, key: Any, made: Callable[[], T]) -> T:
        if key not in self._memory:
            self._memory[key] = made()
            if len(self._memory) > _KEPT:
                self._memory.popitem(last=False)
        self._memory.move_to_end(key)
        value: T = self._memory[key]
        return value


def without(received: ReceivedMessage, names: Sequence[str]) -> ReceivedMessage:
    """The same reception, all packets of some streams erased."""
    streams = tuple(
        replace(stream, chunks=(None,) * len(stream.chunks)) if stream.name in names else stream
        for stream in received.streams
    )
    return replace(received, streams=streams)


def _air(adapted: Adapted, settings: Settings, sent: Sent) -> Air | None:
    if not adapted.mcs:
        return None
    name = "base" if "base" in adapted.mcs else next(iter(adapted.mcs))
    uses = sent.received.report.channel_uses
    return look(adapted.spec, name, settings.snr_db, settings.seed, uses)


class _Remembering:
    """A semantic system that encodes a photo once for each budget in bytes, whatever the link."""

    def __init__(
        self, system: SemanticSystem, remember: Callable[[Any, Callable[[], Message]], Message], key: object
    ) -> None:
        self._system, self._remember, self._key = system, remember, key

    def encode(self, image: Tensor, budget: Budget) -> Message:
        """See `semcom.contracts.System`."""
        if budget.unit != "bytes":
            return self._system.encode(image, budget)
        key = "encoded", self._key, budget.limit
        return self._remember(key, lambda: self._system.encode(image, budget))

    def decode(self, received: ReceivedMessage) -> Reconstruction:
        """See `semcom.contracts.System`."""
        return self._system.decode(received)
