"""Transmitter: a picture becomes a message that fits its budget.

image ─┬─ noise level, sizes ───────────────────────► header
       ├─ colour card ──────────────────────────────► card
       ├─ thumbnail, reduced ─ AV1 in a few bytes ──► base
       ├─ region selector ─ key map ────────────────► mask
       ├─ captioner ─ vocabulary, tables ───────────► caption
       ├─ backbone ─ TASCM ─ FSQ ───────────────────► spw
       ├─ thumbnail ─ AV1 at the finest quality ────► hci
       ├─ texture (image, decoded HCI) ─ tables ────► texture
       ├─ key encoder (image, decoded HCI) ─ tables ─► key
       └─ boxes of detectors ─ AV1 ─────────────────► patches
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semcom.contracts import Budget, BudgetError
from semcom.message import Message, PacketSize
from semcom.networks.key_transform import USUAL_FINENESS, KeyTransform
from semcom.networks.pseudo_words import PseudoWordEncoder
from semcom.options import SemanticOptions
from semcom.packets import HEADER_BYTES
from semcom.picture import grain
from semcom.picture.grid import CELL, REDUCTIONS, key_grid, pad_to_grid
from semcom.streams import base as base_stream
from semcom.streams import card, extra_streams
from semcom.streams import hci as hci_stream
from semcom.streams import key as key_stream
from semcom.streams import patches as patch_stream
from semcom.streams.format import ExtraStream, StreamFormat
from semcom.streams.key import LatentTables
from semcom.streams.tables import StreamTables
from semcom.transmitter import hci, patches, texture
from semcom.transmitter.captions import CaptionEncoder
from semcom.transmitter.check import Check, cells_of
from semcom.transmitter.features import FeatureExtractor
from semcom.transmitter.key_codec import KeyEncoder
from semcom.transmitter.plan import Coding, Plan, Source
from semcom.transmitter.pseudo_words import pseudo_words
from semcom.transmitter.regions import RegionSelector, detections
from semcom.transmitter.search import Draft, SenderSearch
from semcom.transmitter.split import KeyShares, finest_within_share
from semcom.vision import Box

_NAMED_SHARE = 0.25
"""Of the key stream at least, in regions that the user named: who points at something wants it kept."""

_RESCUE_SHARES = (0.25, 0.5)
"""Of the key stream where a face or a word would be lost, one after the other."""


class Transmitter:
    """Encodes pictures with the models of a profile.

    Args:
        selector: chooses key regions.
        transform: of what the HCI misses in a key cell.
        tables: integer tables of the latents.
        stream_tables: integer tables of card, mask and texture.
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
        stream_tables: StreamTables,
        captions: CaptionEncoder,
        extractor: FeatureExtractor,
        words: PseudoWordEncoder,
        shares: KeyShares,
        search: SenderSearch,
        extras: Sequence[ExtraStream] | None = None,
    ) -> None:
        self.selector, self.key = selector, KeyEncoder(transform, tables)
        self.captions, self.extractor, self.words, self.shares = captions, extractor, words, shares
        self.stream_tables = stream_tables
        self.extras = extra_streams() if extras is None else tuple(extras)
        self.search = search

    def encode(self, image: Tensor, budget: Budget, options: SemanticOptions) -> Message:
        """Message of a picture [3,H,W] in [0,1].

        When the budget does not hold everything, the key stream is left out first, then caption,
        pseudo-words and extra streams, then the texture; then the HCI is sent smaller, with the base picture
        or the colour card, or without.

        Raises:
            BudgetError: not even the smallest and coarsest HCI fits.
            ValueError: the profile lacks what the wished caption or the prompts need, or a prompt or mask
                does not fit the picture.
        """
        height, width = image.shape[-2:]
        whole, features = pad_to_grid(image), self.extractor(image)
        self.selector.check(image, options.area, options.key_mask, options.prompts)

        named = detections(image, options.prompts) if options.area else {}

        @cache
        def key_map() -> Tensor:  # the dearest step: for those who need it
            wish = options.area, options.key_mask, options.prompts
            return self.selector.select(image, *wish, features, named)

        thumb, share = hci.thumbnail(whole), self._key_share(budget, height * width, options)
        search = hci.Search(thumb)
        likely = Coding(*search.typical(_fits(budget, (), (1 - share) * budget.limit)))
        noise = grain.measure(image)
        source = Source(whole, width, height, noise, self.key, self.stream_tables)
        sketch = _base(thumb, options.base_bytes)
        colours = card.encode(image, self.stream_tables) if options.card and sketch is None else None
        plain = Plan(source, card=colours, base=sketch, bundled=options.base_bytes is not None)
        textured = plain
        if options.texture:
            textured = replace(plain, levels=texture.measure(whole, grain.grey_levels(noise)))
        unrefined = replace(
            textured,
            caption=self.captions.encode(image, features, key_map, options.caption),
            words=pseudo_words(self.words, features, options.num_words) if options.num_words else None,
            extras={stream: chunks for stream in self.extras if (chunks := stream.encode(image))},
        )
        choices = [unrefined, textured, plain]
        if share > 0:
            boxes = [box for found in named.values() for box in found]
            patched = self._patched(unrefined, boxes, likely, share, budget)
            # Boxes of detectors need no key latents beside their patches.
            if patched is None or len(named) < len(options.prompts.words) or options.prompts.points:
                choices.insert(0, self._refined(unrefined, key_map(), likely, share, budget))
            else:
                choices.insert(0, patched)
        for choice in choices:
            message = self._fit(choice, search, likely, budget)
            if message is not None:
                if not options.effort:
                    return message
                refit = partial(self._with_key, unrefined, likely, search, budget)
                return self._searched(choice, message, image, refit, search.thumb, budget, options)
        return self._reduced(plain, thumb, budget)

    def _searched(
        self,
        plan: Plan,
        message: Message,
        image: Tensor,
        refit: Callable[[Tensor, Sequence[Box], float], tuple[Plan, Message] | None],
        thumb: NDArray[np.uint8],
        budget: Budget,
        options: SemanticOptions,
    ) -> Message:
        """What check and search at the sender make of a plan whose plain message fits, and what they found.

        A message in which fewer faces and words are lost is better whatever the objective says.
        """
        check = Check(image, self.extractor.label)
        self.search.announce("checking what the receiver will show")
        lost = check.lost(self.search.picture(message))
        regions = torch.zeros(key_grid(image.shape[2], image.shape[1]), dtype=torch.bool)
        if plan.key_map is not None:
            regions = plan.key_map
        tried = regions | cells_of(lost, image.shape[1], image.shape[2], CELL)
        rescued = False
        wished = options.key_area == 0 or options.key_share is not None  # the user's word stands
        for share in _RESCUE_SHARES if lost and not wished else ():
            other = refit(tried, [thing.box for thing in lost], share)
            if other is None:
                continue
            still = check.lost(self.search.picture(other[1]))
            if len(still) < len(lost):
                (plan, message), lost, rescued = other, still, True
        better = self._improved(plan, thumb, message, budget, options, rescued)
        if better is not message and len(check.lost(self.search.picture(better))) > len(lost):
            better = message
        return replace(better, notes=check.notes(self.search.picture(better)))

    def _patched(
        self, plain: Plan, boxes: Sequence[Box], likely: Coding, share: float, budget: Budget
    ) -> Plan | None:
        """The plan with patches of boxes, as fine as `share` of what it leaves; None where they don't pay."""
        if not boxes:
            return None
        left = budget.limit - budget.cost(plain.sizes(_beside(plain, likely)))
        protection = patch_stream.STREAM.protection.value

        def cost(chunks: Sequence[bytes]) -> float:
            return budget.cost([(protection, HEADER_BYTES + len(chunk)) for chunk in chunks])

        rough = plain.source.decoded(likely)
        chunks = patches.encode(plain.source.image, boxes, rough, cost, share * max(left, 0))
        return replace(plain, extras={**plain.extras, patch_stream.STREAM: chunks}) if chunks else None

    def _with_key(
        self,
        plain: Plan,
        likely: Coding,
        search: hci.Search,
        budget: Budget,
        key_map: Tensor,
        boxes: Sequence[Box],
        share: float,
    ) -> tuple[Plan, Message] | None:
        """The plan with patches, or with other key regions, and its message; None where it does not fit."""
        plan = self._patched(plain, boxes, likely, share, budget)
        plan = plan or self._refined(plain, key_map, likely, share, budget)
        message = self._fit(plan, search, likely, budget)
        return None if message is None else (plan, message)

    def _improved(
        self,
        plan: Plan,
        thumb: NDArray[np.uint8],
        message: Message,
        budget: Budget,
        options: SemanticOptions,
        keeps_key: bool,
    ) -> Message:
        """What a search at the sender makes of a plan whose plain message fits."""

        def make(draft: Draft, quality: int) -> Message:
            drafted = replace(plan, levels=draft.levels, key_map=plan.key_map if draft.key else None)
            coding = Coding(hci.encode(draft.thumb, quality), quality)
            return drafted.message(drafted.chunks(coding), coding)

        wish = options.effort, options.objective, options.names_regions or keeps_key
        start = Draft(thumb, plan.levels)
        return self.search.improve(plan.source.image, start, message, make, budget, *wish)

    def _key_share(self, budget: Budget, num_pixels: int, options: SemanticOptions) -> float:
        if options.key_share is not None:
            return options.key_share
        named = _NAMED_SHARE if options.names_regions else 0.0
        return max(self.shares.of(budget, num_pixels), named)

    def _reduced(self, plain: Plan, thumb: NDArray[np.uint8], budget: Budget) -> Message:
        """A message without caption, pseudo-words and texture, its HCI reduced until it fits.

        Even the coarsest HCI of full size is better than a finer reduced one (four of Kodak).
        """
        for reduction in REDUCTIONS[1:]:
            search = hci.Search(hci.reduced(thumb, reduction))
            coarsest = Coding(*search.typical(lambda size: False), reduction)
            for choice in (plain, replace(plain, card=None, base=None)):
                message = self._fit(choice, search, coarsest, budget)
                if message is not None:
                    return message
        smallest = choice.sizes(choice.chunks(coarsest))
        raise BudgetError(budget.limit, budget.cost(smallest), budget.unit)

    def _refined(self, plan: Plan, key_map: Tensor, typical: Coding, share: float, budget: Budget) -> Plan:
        """The plan with what of the key map `share` of what it leaves refines, as finely as may be."""
        if not key_map.any():
            return plan
        left = budget.limit - budget.cost(plan.sizes(_beside(plan, typical)))
        protection = key_stream.STREAM.protection.value

        def cost(cells: Tensor, fineness: int) -> float:
            packets = plan.source.key_packets(typical, cells, fineness)
            return budget.cost([(protection, HEADER_BYTES + len(packet)) for packet in packets])

        cells, fineness = finest_within_share(key_map, cost, share * max(left, 0))
        return replace(plan, key_map=cells, fineness=fineness if cells.any() else USUAL_FINENESS)

    def _fit(self, plan: Plan, search: hci.Search, typical: Coding, budget: Budget) -> Message | None:
        """The finest HCI beside the other streams; None when no HCI fits beside them.

        Args:
            plan: the other streams.
            search: of the HCI.
            typical: an HCI of about the quality that the final one will have.
            budget: of all together.
        """
        found = search.finest(_fits(budget, plan.sizes(_beside(plan, typical)), budget.limit))
        while found is not None:
            coding = Coding(*found, typical.reduction)
            chunks = plan.chunks(coding)
            if budget.cost(plan.sizes(chunks)) <= budget.limit:
                return plan.message(chunks, coding)
            # The key stream of the final HCI came out larger than that of the typical one.
            lower = hci.coarser(coding.quality)
            found = None if lower is None else (hci.encode(search.thumb, lower), lower)
        return None


def _base(thumb: NDArray[np.uint8], num_bytes: int | None) -> bytes | None:
    """The base picture in at most so many bytes, the larger of its two sizes that fits, or None."""
    if not num_bytes:
        return None
    for reduction in REDUCTIONS[1:]:
        search = hci.Search(hci.reduced(thumb, reduction))
        found = search.finest(lambda size: base_stream.PREFIX_BYTES + size <= num_bytes)
        if found is not None:
            return base_stream.encode(*found, reduction)
    return None


def _beside(plan: Plan, coding: Coding) -> dict[StreamFormat, Sequence[bytes]]:
    """Chunks of the plan without the HCI itself."""
    return {stream: each for stream, each in plan.chunks(coding).items() if stream != hci_stream.STREAM}


def _fits(budget: Budget, beside: Sequence[PacketSize], limit: float) -> Callable[[int], bool]:
    """Whether an HCI of so many bytes keeps to a limit in the budget's unit, beside other packets."""
    protection = hci_stream.STREAM.protection.value
    return lambda size: budget.cost([*beside, (protection, HEADER_BYTES + size)]) <= limit
