"""Receiver: whatever arrived becomes a picture.

hci ──► AV1 decoder ──(+ key latents)──► enhancer ──► x0 ──► MGDD ──► grain ──► picture
texture, key packets ─► fine detail ─────────┤                ▲
mask, key packets ──► latents, holes ────────┴────────────────┘
caption, spw ──────────────────────────────────► tokens ────────┘

When the HCI is lost, the colour card is the picture.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from semcom.message import ReceivedMessage, Reconstruction
from semcom.networks.enhancer import Enhancer
from semcom.networks.key_transform import KeyTransform
from semcom.networks.mgdd import MultimodalDecoder, Said, caption_tokens, denoise
from semcom.options import SemanticOptions
from semcom.picture import grain, texture
from semcom.picture.grid import key_grid, padded_size
from semcom.receiver.concealment import from_card, grey_picture
from semcom.streams import hci as hci_picture
from semcom.streams import key as key_bitstream
from semcom.streams import mask as keymap
from semcom.streams import texture as texture_code
from semcom.streams.caption import CaptionCoder
from semcom.streams.coding import fsq
from semcom.streams.coding.fsq import FSQ
from semcom.streams.header import Header
from semcom.streams.key import LatentTables


class Receiver:
    """Decodes messages with the models of a profile.

    Args:
        enhancer: restores the HCI to full size.
        decoder: refines the restored picture.
        transform: of what the HCI misses in a key cell.
        tables: integer tables of the latents.
        captions: reads captions.
        options: steps and seed of the decoder.
    """

    def __init__(
        self,
        enhancer: Enhancer,
        decoder: MultimodalDecoder,
        transform: KeyTransform,
        tables: LatentTables,
        captions: CaptionCoder,
        options: SemanticOptions,
    ) -> None:
        self.enhancer, self.decoder, self.transform, self.tables = enhancer, decoder, transform, tables
        self.captions, self.options = captions, options
        self._fsq = FSQ()

    def decode(self, received: ReceivedMessage) -> Reconstruction:
        """Picture [3,H,W] of the size sent, whatever is missing; `notes` say what was."""
        first = next(iter(received.chunks("header")), None)
        if first is None:
            grey = grey_picture(received.width, received.height)
            return Reconstruction(grey, notes=("header lost: grey picture",))
        header = Header.from_bytes(first)
        clock = _Clock()
        with clock("parse"):
            thumb = self._hci(received, header)
            key_map, latents, arrived = self._key(received, header)
            caption, words = self._caption(received), self._words(received)
        notes = _losses(received, header)
        said = self._said(caption, words)
        if thumb is None:
            image = self._sketch(received, header)
        else:
            fine = self._texture(received, thumb, header)
            with clock("enhance"):
                source, detail = self.transform.refine(
                    thumb[None], latents[None], arrived[None, None].float()
                )
                x0 = self.enhancer.restore(source[0], header.quality, detail[0], fine)
            with clock("decode"):
                guidance = said.about(source, latents[None], key_map[None, None], arrived[None, None])
                image = denoise(
                    self.decoder, x0[None], guidance, self.options.steps, self.options.decoder_seed
                )[0]
                image = grain.add(image, header.grain, self.options.decoder_seed)
        return Reconstruction(
            image=image[:, : header.height, : header.width].contiguous(),
            key_mask=key_map,
            received=arrived.float(),
            caption=caption,
            notes=tuple(notes),
            seconds=clock.seconds,
            parts={} if thumb is None else {"hci": thumb},
        )

    def _hci(self, received: ReceivedMessage, header: Header) -> Tensor | None:
        payload = next(iter(received.chunks("hci")), None)
        if payload is None:
            return None
        return hci_picture.decode(payload, header.width, header.height, header.reduction)

    def _texture(self, received: ReceivedMessage, thumb: Tensor, header: Header) -> Tensor:
        """Planes [3,h,w] for the enhancer; zero where no texture arrived."""
        data = next(iter(received.chunks("texture")), None)
        if data is None:
            return torch.zeros(texture.PLANES, *thumb.shape[-2:])
        expectation = texture.expected(thumb[None], torch.tensor([float(header.quality)]))
        surprises = torch.from_numpy(texture_code.decode(data, *expectation.shape[1:]))[None].float()
        grid = key_grid(header.width, header.height)
        return texture.planes(texture.known(expectation, surprises, grid))[0]

    def _caption(self, received: ReceivedMessage) -> str | None:
        data = next(iter(received.chunks("caption")), None)
        return None if data is None else self.captions.decode(data)

    def _words(self, received: ReceivedMessage) -> Tensor | None:
        """[1,N,5] quantised pseudo-words."""
        data = next(iter(received.chunks("spw")), None)
        return None if data is None else self._fsq.values(fsq.unpack(data))[None]

    def _said(self, caption: str | None, words: Tensor | None) -> Said:
        return Said(
            text=caption_tokens(self.captions.vocabulary, caption or "")[None],
            words=torch.zeros(1, 0, len(fsq.LEVELS)) if words is None else words,
            has_words=torch.full((1,), float(words is not None)),
        )

    def _sketch(self, received: ReceivedMessage, header: Header) -> Tensor:
        card = next(iter(received.chunks("card")), None)
        width, height = padded_size(header.width, header.height)
        return from_card(card, header.width, header.height, (height, width))

    def _key(self, received: ReceivedMessage, header: Header) -> tuple[Tensor, Tensor, Tensor]:
        """Key map, latents and arrived cells; without the mask the key packets cannot be read."""
        grid = key_grid(header.width, header.height)
        mask = next(iter(received.chunks("mask")), None)
        key_map = torch.zeros(grid, dtype=torch.bool) if mask is None else keymap.decode(mask, *grid)
        packets = received.chunks("key") if mask is not None else ()
        latents, arrived = key_bitstream.decode(packets, key_map.numpy(), self.tables)
        values = self.transform.values(torch.from_numpy(latents).float(), header.fineness)
        return key_map, values, torch.from_numpy(arrived)


def _losses(received: ReceivedMessage, header: Header) -> list[str]:
    """What was sent and did not arrive, in words."""
    notes = []
    if next(iter(received.chunks("hci")), None) is None:
        has_card = next(iter(received.chunks("card")), None) is not None
        notes.append("HCI lost: colour card only" if has_card else "HCI and colour card lost: grey picture")
    for name, stream, sent in (
        ("caption", "caption", header.has_caption),
        ("pseudo-words", "spw", header.has_words),
        ("texture", "texture", header.has_texture),
    ):
        if sent and next(iter(received.chunks(stream)), None) is None:
            notes.append(f"{name} lost")
    lost = sum(chunk is None for chunk in received.chunks("key"))
    if lost:
        notes.append(f"{lost} of {header.key_packets} key packets lost")
    return notes


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start
