"""Receiver: whatever arrived becomes a picture, and a true account of it. It never raises.

hci ──► AV1 decoder ──(+ key latents)──► enhancer ──► x0 ──► MGDD ──► grain ──► picture
texture, key packets ─► fine detail ─────────┤                ▲
mask, key packets ──► latents, holes ────────┴────────────────┘
caption, spw ──────────────────────────────────► tokens ────────┘

When the HCI is lost, the base picture stands in for it; without that the colour card is the picture. An
analog picture takes a way of its own: DeepJSCC's decoder, then the enhancer with adapters. A latent profile
has a generator in MGDD's place, which starts from x0, or from the colour card where that is all there is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from semcom.message import ReceivedAnalogStream, ReceivedMessage, Reconstruction
from semcom.networks.deepjscc import DeepJSCC
from semcom.networks.enhancer import Enhancer
from semcom.networks.key_transform import PLANES as KEY_PLANES
from semcom.networks.key_transform import KeyTransform
from semcom.networks.mgdd import Guidance, MultimodalDecoder, TextCondition, caption_tokens, denoise
from semcom.options import SemanticOptions
from semcom.picture import grain, texture
from semcom.picture.grid import HCI_SCALE, key_grid, padded_size
from semcom.receiver import analog
from semcom.receiver.arrivals import Arrivals
from semcom.receiver.concealment import from_card, grey_picture
from semcom.receiver.restraint import restrained
from semcom.streams import base, caption, card, extra_streams, hci, header, key, mask, words
from semcom.streams import texture as texture_stream
from semcom.streams.caption import CaptionCoder
from semcom.streams.coding.fsq import FSQ, LEVELS
from semcom.streams.format import Chunks, ExtraStream
from semcom.streams.header import Header
from semcom.streams.key import LatentTables
from semcom.streams.tables import StreamTables

if TYPE_CHECKING:
    from semcom.networks.latent_diffusion import LatentGenerator

_STEPS_PER_OCTAVE = 1024  # that an expected level of texture is rounded to


class Receiver:
    """Decodes messages with the models of a profile.

    Args:
        enhancer: restores the HCI to full size.
        decoder: refines the restored picture; None where a generator does.
        transform: of what the HCI misses in a key cell.
        tables: integer tables of the latents.
        stream_tables: integer tables of card, mask and texture.
        captions: reads captions.
        options: steps and seed of the decoder, and the device that enhancer and decoder are on.
        generator: of a latent profile, in the decoder's place.
        extras: further streams that may arrive; by default those that are installed.
        analog: codec and enhancer of an analog picture, built when first asked for.
    """

    def __init__(
        self,
        enhancer: Enhancer,
        decoder: MultimodalDecoder | None,
        transform: KeyTransform,
        tables: LatentTables,
        stream_tables: StreamTables,
        captions: CaptionCoder,
        options: SemanticOptions,
        extras: Sequence[ExtraStream] | None = None,
        analog: Callable[[], tuple[DeepJSCC, Enhancer]] | None = None,
        generator: LatentGenerator | None = None,
    ) -> None:
        self._analog = analog or (lambda: (DeepJSCC(), enhancer))
        self.enhancer, self.decoder, self.transform, self.tables = enhancer, decoder, transform, tables
        self.stream_tables, self.captions, self.options = stream_tables, captions, options
        self.generator = generator
        self.extras = extra_streams() if extras is None else tuple(extras)
        self._fsq = FSQ()

    def decode(self, received: ReceivedMessage) -> Reconstruction:
        """Picture [3,H,W] of the session's size, whatever is missing or damaged; `notes` say what was."""
        if any(isinstance(stream, ReceivedAnalogStream) for stream in received.streams):
            return self._from_values(received)
        arrivals = Arrivals(received, self.extras)
        head = arrivals.header()
        if head is None:
            return _without_header(received, arrivals)
        clock = _Clock()
        with clock("parse"):
            thumb = arrivals.read(
                hci.STREAM, lambda data: hci.decode(data, head.width, head.height, head.reduction)
            )
            key_map, latents, arrived = self._key(received, head, arrivals)
            text = arrivals.read(caption.STREAM, self.captions.decode)
            spw = arrivals.read(words.STREAM, lambda data: self._fsq.values(words.decode(data))[None], True)
        stand_in, quality = None, head.quality
        if thumb is None:
            arrived = torch.zeros_like(arrived)  # refines nothing that is there
            latents = torch.zeros_like(latents)
            sketch = arrivals.read(base.STREAM, lambda data: base.decode(data, head.width, head.height))
            if sketch is not None:
                stand_in = "only the base picture is shown"
                thumb, quality = sketch
        if thumb is None:
            image, stand_in = self._sketch(head, arrivals)
            if self.generator is not None:
                with clock("decode"):
                    image = self._generated(self.generator, image, arrived, text, spw, None, 1)
                stand_in += ", and what the generator makes of it"
        else:
            fine = torch.zeros(texture.PLANES, *thumb.shape[-2:])
            if stand_in is None:
                fine = self._texture(arrivals, thumb, head)
            with clock("enhance"):
                source, detail = self.transform.refine(
                    thumb[None], latents[None], arrived[None, None].float()
                )
                x0 = self._first(source[0], quality, detail[0], fine)
            with clock("decode"):
                if self.generator is not None:
                    known = 0 if stand_in else quality  # of a base picture much is left to make
                    told = text, spw, known, head.reduction
                    image = self._generated(self.generator, x0, arrived, *told)
                else:
                    cells = torch.zeros_like(arrived) if key_map is None else key_map
                    guidance = self._text_condition(text, spw).about(
                        source, latents[None], cells[None, None], arrived[None, None]
                    )
                    image = grain.add(self._refined(x0, guidance), head.grain, self.options.decoder_seed)
                image = restrained(image, source[0], self.options.realism)
        result = Reconstruction(
            image=image[:, : head.height, : head.width].contiguous(),
            key_mask=key_map,
            received=arrived.float(),
            caption=text,
            seconds=clock.seconds,
            parts={} if thumb is None else {"hci" if stand_in is None else "base": thumb},
        )
        result = self._with_extras(result, received, arrivals)
        return replace(result, notes=(*arrivals.notes(), *([stand_in] if stand_in else []), *result.notes))

    def _from_values(self, received: ReceivedMessage) -> Reconstruction:
        """An analog picture; a grey one where its values are none of a picture of this size."""
        clock, nothing = _Clock(), torch.zeros(key_grid(received.width, received.height))
        codec, enhancer = self._analog()
        parts: dict[str, Tensor] = {}
        try:
            with clock("parse"):
                parts["hci"], quality = analog.receive(codec, received)
        except (KeyError, ValueError):
            image, notes = grey_picture(received.width, received.height), [analog.DAMAGED]
        else:
            with clock("enhance"):
                size = parts["hci"].shape[-2:]
                planes = (torch.zeros(n, *size) for n in (1 + KEY_PLANES, texture.PLANES))
                whole = enhancer.restore(parts["hci"], quality, *planes)
            image, notes = whole[:, : received.height, : received.width].contiguous(), []
        return Reconstruction(
            image, nothing.bool(), nothing, notes=tuple(notes), seconds=clock.seconds, parts=parts
        )

    def _first(self, source: Tensor, quality: int, detail: Tensor, fine: Tensor) -> Tensor:
        """The first full-size picture [3,H,W], on the CPU."""
        if self.generator is not None and self.generator.sampling.from_hci:
            size = [HCI_SCALE * side for side in source.shape[-2:]]
            return F.interpolate(source[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)
        device = self.options.device
        planes = source.to(device), quality, detail.to(device), fine.to(device)
        return self.enhancer.restore(*planes).cpu()

    def _refined(self, x0: Tensor, guidance: Guidance) -> Tensor:
        """What MGDD makes of the first picture [3,H,W], on the CPU."""
        assert self.decoder is not None
        steps, seed, device = self.options.steps, self.options.decoder_seed, self.options.device
        return denoise(self.decoder, x0[None].to(device), guidance.to(device), steps, seed)[0].cpu()

    def _generated(
        self,
        generator: LatentGenerator,
        start: Tensor,
        arrived: Tensor,
        text: str | None,
        spw: Tensor | None,
        quality: int | None,
        reduction: int,
    ) -> Tensor:
        """What the generator makes of a picture [3,H,W]; `quality` is None where no HCI arrived."""
        from semcom.networks.latent_diffusion import Known

        known = Known(
            start=start[None],
            arrived=arrived[None, None],
            text=text,
            words=torch.zeros(1, 0, len(LEVELS)) if spw is None else spw,
            quality=quality,
            reduction=reduction,
        )
        return generator.generate(known, self.options.steps, self.options.decoder_seed)[0]

    def _texture(self, arrivals: Arrivals, thumb: Tensor, head: Header) -> Tensor:
        """Planes [3,h,w] for the enhancer; zero where no texture arrived."""

        grid = key_grid(head.width, head.height)

        def planes(data: bytes) -> Tensor:
            # In float64 and rounded: the enhancer is to see the same numbers on every processor
            quality = torch.tensor([float(head.quality)], dtype=torch.float64)
            expectation = texture.expected(thumb[None].double(), quality)
            expectation = (expectation * _STEPS_PER_OCTAVE).round() / _STEPS_PER_OCTAVE
            rows, columns = expectation.shape[1:]
            octaves = texture_stream.decode(data, rows, columns, self.stream_tables)
            surprises = torch.from_numpy(octaves)[None].double()
            return texture.planes(texture.known(expectation, surprises, grid))[0].float()

        found = arrivals.read(texture_stream.STREAM, planes)
        return torch.zeros(texture.PLANES, *thumb.shape[-2:]) if found is None else found

    def _text_condition(self, text: str | None, spw: Tensor | None) -> TextCondition:
        return TextCondition(
            text=caption_tokens(self.captions.vocabulary, text or "")[None],
            words=torch.zeros(1, 0, len(LEVELS)) if spw is None else spw,
            has_words=torch.full((1,), float(spw is not None)),
        )

    def _sketch(self, head: Header, arrivals: Arrivals) -> tuple[Tensor, str]:
        """What is shown without an HCI, and what that is."""
        width, height = padded_size(head.width, head.height)
        colours = arrivals.read(
            card.STREAM,
            lambda data: from_card(data, head.width, head.height, (height, width), self.stream_tables),
        )
        if colours is None:
            return grey_picture(width, height), "grey picture: no HCI, base picture or colour card"
        return colours, "only the colour card is shown"

    def _key(
        self, received: ReceivedMessage, head: Header, arrivals: Arrivals
    ) -> tuple[Tensor | None, Tensor, Tensor]:
        """Key map, latents and arrived cells. The map is None where one was sent and cannot be read.

        Without it the key packets have no place: nothing of them counts as arrived.
        """
        grid = key_grid(head.width, head.height)
        nothing = torch.zeros(grid, dtype=torch.bool)
        key_map = arrivals.read(mask.STREAM, lambda data: mask.decode(data, *grid, self.stream_tables))
        if key_map is None and not arrivals.sent(mask.STREAM):
            key_map = nothing
        cells, packets = (nothing, ()) if key_map is None else (key_map, received.chunks(key.STREAM.name))
        found = arrivals.guarded(key.STREAM, lambda: key.decode(packets, cells.numpy(), self.tables))
        latents, arrived = found or key.decode((), nothing.numpy(), self.tables)
        values = self.transform.values(torch.from_numpy(latents).float(), head.fineness)
        return key_map, values, torch.from_numpy(arrived)

    def _with_extras(
        self, result: Reconstruction, received: ReceivedMessage, arrivals: Arrivals
    ) -> Reconstruction:
        for stream in self.extras:
            chunks = received.chunks(stream.name)
            if any(chunk is not None for chunk in chunks):
                added = arrivals.guarded(stream, partial(_added, stream, chunks, result))
                result = added or result
        return result


def _added(stream: ExtraStream, chunks: Chunks, result: Reconstruction) -> Reconstruction:
    added = stream.decode(chunks, result)
    if added.image.shape != result.image.shape:
        raise ValueError(f"stream {stream.name} made a picture of another size")
    return added


def _without_header(received: ReceivedMessage, arrivals: Arrivals) -> Reconstruction:
    nothing = torch.zeros(key_grid(received.width, received.height))
    return Reconstruction(
        image=grey_picture(received.width, received.height),
        key_mask=None if arrivals.sent(mask.STREAM) else nothing.bool(),
        received=nothing,
        notes=arrivals.notes(header.STREAM),
    )


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start
