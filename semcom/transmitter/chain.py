"""Transmitter: a picture becomes a message that fits its budget.

image ─┬─ noise level, sizes ───────────────────────► header
       ├─ colour card ──────────────────────────────► card
       ├─ region selector ─ key map ────────────────► mask
       ├─ captioner ─ vocabulary, tables ───────────► caption
       ├─ backbone ─ TASCM ─ FSQ ───────────────────► spw
       ├─ thumbnail ─ AV1 at the finest quality ────► hci
       ├─ texture (image, decoded HCI) ─ tables ────► texture
       └─ key encoder (image, decoded HCI) ─ tables ─► key
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semcom.contracts import Budget, BudgetError
from semcom.message import Message, PacketSize, Protection, Stream
from semcom.networks.key_transform import USUAL_FINENESS, KeyTransform
from semcom.networks.pseudo_words import PseudoWordEncoder
from semcom.options import SemanticOptions
from semcom.packets import HEADER_BYTES, packet_sizes
from semcom.picture import grain
from semcom.picture.grid import REDUCTIONS, pad_to_grid
from semcom.streams import STREAMS, card, extra_streams, presence
from semcom.streams import hci as hci_picture
from semcom.streams import mask as keymap
from semcom.streams.format import ExtraStream
from semcom.streams.header import Header
from semcom.streams.key import LatentTables
from semcom.transmitter import hci, texture
from semcom.transmitter.captions import CaptionEncoder
from semcom.transmitter.features import FeatureExtractor
from semcom.transmitter.key_codec import KeyEncoder
from semcom.transmitter.pseudo_words import pseudo_words
from semcom.transmitter.regions import RegionSelector
from semcom.transmitter.search import Draft, SenderSearch
from semcom.transmitter.split import KeyShares, finest_within_share

_NAMED_SHARE = 0.25
"""Of the key stream at least, in regions that the user named: who points at something wants it kept."""


@dataclass(frozen=True)
class _Plan:
    """The parts of a message before the HCI's quality is settled."""

    image: Tensor  # [3,H,W] in [0,1], whole key cells
    width: int
    height: int
    grain: int
    key_map: Tensor  # [rows,columns] bool
    fineness: int = USUAL_FINENESS  # of the key latents
    levels: Tensor | None = None  # of the texture; None sends none
    card: bytes | None = None
    caption: bytes | None = None
    words: bytes | None = None
    extras: Mapping[str, Sequence[bytes]] = field(default_factory=dict)  # chunks by stream
    reduction: int = 1  # of the HCI


class Transmitter:
    """Encodes pictures with the models of a profile.

    Args:
        selector: chooses key regions.
        transform: of what the HCI misses in a key cell.
        tables: integer tables of the latents.
        captions: finds and codes the caption.
        extractor: of the features that regions and pseudo-words share.
        words: makes the pseudo-words.
        shares: the key stream's share of the budget where none is wished.
        search: at the sender, for efforts above 0.
        extras: further streams to send; by default those that are installed.
    """

    def __init__(
        self,
        selector: RegionSelector,
        transform: KeyTransform,
        tables: LatentTables,
        captions: CaptionEncoder,
        extractor: FeatureExtractor,
        words: PseudoWordEncoder,
        shares: KeyShares,
        search: SenderSearch,
        extras: Sequence[ExtraStream] | None = None,
    ) -> None:
        self.selector, self.key = selector, KeyEncoder(transform, tables)
        self.captions, self.extractor, self.words, self.shares = captions, extractor, words, shares
        self.extras = extra_streams() if extras is None else tuple(extras)
        self.search = search

    def encode(self, image: Tensor, budget: Budget, options: SemanticOptions) -> Message:
        """Message of a picture [3,H,W] in [0,1].

        When the budget does not hold everything, the key stream is left out first, then caption,
        pseudo-words and extra streams, then the texture; then the HCI is sent smaller, with the colour card
        or without.

        Raises:
            BudgetError: not even the smallest and coarsest HCI fits.
            ValueError: the profile lacks what the wished caption or the prompts need, or a prompt or mask
                does not fit the picture.
        """
        height, width = image.shape[-2:]
        whole = pad_to_grid(image)
        thumb = hci.thumbnail(whole)
        search = hci.Search(thumb)
        share = self._key_share(budget, height * width, options)
        features = self.extractor(image)
        # The AV1 encoder and the many small steps of the captioner leave room on the cores for the saliency.
        with ThreadPoolExecutor(2) as pool:
            typical = pool.submit(search.typical, _fits(budget, (), (1 - share) * budget.limit))
            selected = pool.submit(
                self.selector.select, image, options.area, options.key_mask, options.prompts, features
            )
            caption = self.captions.encode(image, features, selected.result, options.caption)
            words = pseudo_words(self.words, features, options.num_words) if options.num_words else None
            colours = card.encode(image) if options.card else None
            noise = grain.measure(image)
            levels = texture.measure(whole, grain.grey_levels(noise)) if options.texture else None
        key_map, likely = selected.result(), typical.result()
        plain = _Plan(whole, width, height, noise, torch.zeros_like(key_map))
        plan = replace(plain, levels=levels)
        extras = {stream.name: chunks for stream in self.extras if (chunks := stream.encode(image))}
        unrefined = replace(plan, card=colours, caption=caption, words=words, extras=extras)
        key_map, fineness = self._affordable(key_map, unrefined, likely, share, budget)
        choices = (
            replace(unrefined, key_map=key_map, fineness=fineness),
            unrefined,
            replace(plan, card=colours),
            replace(plain, card=colours),
        )
        for choice in choices:
            message = self._fit(choice, search, likely, budget)
            if message is not None:
                return self._improved(choice, search.thumb, message, budget, options)
        return self._reduced(plain, colours, thumb, budget)

    def _improved(
        self,
        plan: _Plan,
        thumb: NDArray[np.uint8],
        message: Message,
        budget: Budget,
        options: SemanticOptions,
    ) -> Message:
        """What a search at the sender makes of a plan whose plain message fits."""
        if not options.effort:
            return message

        def make(draft: Draft, quality: int) -> Message:
            cells = plan.key_map if draft.key else torch.zeros_like(plan.key_map)
            drafted = replace(plan, levels=draft.levels, key_map=cells)
            return self._message(drafted, hci.encode(draft.thumb, quality), quality)

        wish = options.effort, options.objective, options.names_regions
        return self.search.improve(plan.image, Draft(thumb, plan.levels), message, make, budget, *wish)

    def _key_share(self, budget: Budget, num_pixels: int, options: SemanticOptions) -> float:
        if options.key_share is not None:
            return options.key_share
        named = _NAMED_SHARE if options.names_regions else 0.0
        return max(self.shares.of(budget, num_pixels), named)

    def _reduced(
        self, plan: _Plan, colours: bytes | None, thumb: NDArray[np.uint8], budget: Budget
    ) -> Message:
        """A message without caption, pseudo-words and texture, its HCI reduced until it fits.

        Even the coarsest HCI of full size is better than a finer reduced one (four of Kodak).
        """
        for reduction in REDUCTIONS[1:]:
            search = hci.Search(hci.reduced(thumb, reduction))
            coarsest = search.typical(lambda size: False)
            for sent in (colours, None):
                choice = replace(plan, card=sent, reduction=reduction)
                message = self._fit(choice, search, coarsest, budget)
                if message is not None:
                    return message
        smallest = self._message(choice, *coarsest)
        raise BudgetError(budget.limit, budget.cost(packet_sizes(smallest)), budget.unit)

    def _affordable(
        self, key_map: Tensor, plan: _Plan, typical: tuple[bytes, int], share: float, budget: Budget
    ) -> tuple[Tensor, int]:
        """What of the key map may be refined, and how finely, with `share` of what the plan leaves."""
        if share == 0 or not key_map.any():
            return torch.zeros_like(key_map), USUAL_FINENESS
        others = [stream for stream in self._message(plan, *typical).streams if stream.name != "hci"]
        left = budget.limit - budget.cost(packet_sizes(Message(tuple(others), plan.width, plan.height)))
        coded = hci_picture.decode(typical[0], plan.width, plan.height, plan.reduction)
        latents = self.key.latents(plan.image, coded)

        def cost(cells: Tensor, fineness: int) -> float:
            packets = self.key.packets(latents, cells, fineness)
            return budget.cost([(Protection.DETAIL.value, HEADER_BYTES + len(packet)) for packet in packets])

        return finest_within_share(key_map, cost, share * max(left, 0))

    def _fit(
        self, plan: _Plan, search: hci.Search, typical: tuple[bytes, int], budget: Budget
    ) -> Message | None:
        """The finest HCI beside the other streams; None when no HCI fits beside them.

        Args:
            typical: an HCI of about the quality that the final one will have.
        """
        likely = self._message(plan, *typical)
        others = tuple(stream for stream in likely.streams if stream.name != "hci")
        found = search.finest(_fits(budget, packet_sizes(replace(likely, streams=others)), budget.limit))
        while found is not None:
            payload, quality = found
            message = self._message(plan, payload, quality)
            if budget.fits(message):
                return message
            # The key stream of the final HCI came out larger than that of the typical one.
            lower = hci.coarser(quality)
            found = None if lower is None else (hci.encode(search.thumb, lower), lower)
        return None

    def _message(self, plan: _Plan, payload: bytes, quality: int) -> Message:
        fine, packets = self._beside(plan, payload, quality)
        one = {"card": plan.card, "caption": plan.caption, "spw": plan.words, "hci": payload, "texture": fine}
        chunks: dict[str, Sequence[bytes]] = {name: (data,) for name, data in one.items() if data is not None}
        if packets:
            chunks |= {"mask": (keymap.encode(plan.key_map),), "key": packets}
        chunks |= plan.extras
        present, count = presence(chunks), len(packets)
        size = plan.width, plan.height
        header = Header(*size, quality, plan.reduction, present, count, plan.fineness, plan.grain)
        chunks["header"] = (header.to_bytes(),)
        streams = [
            Stream(stream.name, stream.protection, tuple(chunks[stream.name]))
            for stream in dict.fromkeys((*STREAMS, *self.extras))
            if stream.name in chunks
        ]
        return Message(tuple(streams), plan.width, plan.height)

    def _beside(self, plan: _Plan, payload: bytes, quality: int) -> tuple[bytes | None, list[bytes]]:
        """What is sent beside an HCI and depends on it: texture, if any, and key packets."""
        key, fine = bool(plan.key_map.any()), None
        if plan.levels is None and not key:
            return None, []
        coded = hci_picture.decode(payload, plan.width, plan.height, plan.reduction)
        if plan.levels is not None:
            fine = texture.encode(plan.levels, coded, quality)
        if not key:
            return fine, []
        return fine, self.key.packets(self.key.latents(plan.image, coded), plan.key_map, plan.fineness)


def _fits(budget: Budget, beside: Sequence[PacketSize], limit: float) -> Callable[[int], bool]:
    """Whether an HCI of so many bytes keeps to a limit in the budget's unit, beside other packets."""
    return lambda size: budget.cost([*beside, (Protection.BASE.value, HEADER_BYTES + size)]) <= limit
