"""Receiver: whatever arrived becomes a picture.

hci ──► AV1 decoder ──► enhancer ──► x0 ─┐
card (only when the HCI is lost) ──► x0 ─┴─► decoder ──► picture
mask, key packets ──► latents, holes ────────┘
caption ──► text
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from semcom.header import Header
from semcom.message import ReceivedMessage, Reconstruction
from semcom.models import av1, key_bitstream, keymap
from semcom.models.caption_code import CaptionCoder
from semcom.models.grid import hci_size, key_grid
from semcom.models.key_bitstream import LatentTables
from semcom.models.key_transform import KeyTransform
from semcom.models.pixels import to_tensor
from semcom.receiver.concealment import from_card, grey_picture
from semcom.receiver.decoder import ResidualDecoder
from semcom.receiver.enhancer import Enhancer


class Receiver:
    """Decodes messages with the models of a profile.

    Args:
        enhancer: restores the HCI to full size.
        decoder: corrects the restored picture, knowing where detail arrived.
        transform: of what the HCI misses in a key cell.
        tables: integer tables of the latents.
        captions: reads captions; None where the profile has no vocabulary.
    """

    def __init__(
        self,
        enhancer: Enhancer,
        decoder: ResidualDecoder,
        transform: KeyTransform,
        tables: LatentTables,
        captions: CaptionCoder | None,
    ) -> None:
        self.enhancer, self.decoder, self.transform, self.tables = enhancer, decoder, transform, tables
        self.captions = captions

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
            caption = self._caption(received)
        with clock("enhance"):
            x0, notes = self._restored(received, header, thumb, latents)
        with clock("decode"):
            image = self.decoder.correct(x0, latents, key_map[None].float(), arrived[None].float())
        if header.has_caption and caption is None:
            notes.append("caption lost")
        lost = sum(chunk is None for chunk in received.chunks("key"))
        if lost:
            notes.append(f"{lost} of {header.key_packets} key packets lost")
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
        (payload,) = received.chunks("hci")
        return (
            None
            if payload is None
            else to_tensor(av1.decode(payload, *hci_size(header.width, header.height)))
        )

    def _caption(self, received: ReceivedMessage) -> str | None:
        data = next(iter(received.chunks("caption")), None)
        return None if data is None or self.captions is None else self.captions.decode(data)

    def _restored(
        self, received: ReceivedMessage, header: Header, thumb: Tensor | None, latents: Tensor
    ) -> tuple[Tensor, list[str]]:
        if thumb is not None:
            refined = (thumb + self.transform.residual(latents[None])[0]).clamp(0, 1)
            return self.enhancer.restore(refined, header.quality), []
        card = next(iter(received.chunks("card")), None)
        note = "HCI lost: colour card only" if card is not None else "HCI and colour card lost: grey picture"
        return from_card(card, header.width, header.height), [note]

    def _key(self, received: ReceivedMessage, header: Header) -> tuple[Tensor, Tensor, Tensor]:
        """Key map, latents and arrived cells; without the mask the key packets cannot be read."""
        grid = key_grid(header.width, header.height)
        mask = next(iter(received.chunks("mask")), None)
        key_map = torch.zeros(grid, dtype=torch.bool) if mask is None else keymap.decode(mask, *grid)
        packets = received.chunks("key") if mask is not None else ()
        latents, arrived = key_bitstream.decode(packets, key_map.numpy(), self.tables)
        return key_map, torch.from_numpy(latents).float(), torch.from_numpy(arrived)


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start
