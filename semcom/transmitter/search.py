"""Search at the sender: settings, or the thumbnail itself, by what the receiver makes of the real bytes.

| effort | what is tried | about (768×512, two cores with AVX-512) |
|---|---|---|
| 0 | nothing: tables decide | 0.5 s |
| 1 | thumbnail's sharpness, texture finer or smoother, without key stream | 10 s |
| 2 | the thumbnail and the texture levels are shaped by gradient (`semcom.transmitter.shaping`) | minutes |

From 1 on what the receiver will show is checked first (`semcom.transmitter.check`).
Every candidate fits the budget of the message that tables made, and what is returned was decoded by the
receiver and is never worse by the objective than that message. The result is cached by content.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from semcom.contracts import Budget
from semcom.message import LinkReport, Message, Protection, ReceivedMessage, ReceivedStream, Stream
from semcom.networks.enhancer import Enhancer
from semcom.networks.key_transform import KeyTransform
from semcom.packets import pack
from semcom.picture import texture
from semcom.picture.grid import key_grid
from semcom.pretrained import cache_directory
from semcom.streams import hci as hci_picture
from semcom.streams import key as key_bitstream
from semcom.streams import mask as keymap
from semcom.streams import texture as texture_code
from semcom.streams.header import Header
from semcom.streams.key import LatentTables
from semcom.streams.tables import StreamTables
from semcom.transmitter import hci, shaping
from semcom.transmitter.objective import Objective, Reference
from semcom.transmitter.shaping import Candidate, View

STEPS = 20
_VERSION = 2  # of the search, in the cache's names: another one is another result
_JUDGED = 3  # candidates of the gradient's search that the receiver decodes
_SHARPER = (60, -40)  # per cent of an unsharp mask of one HCI pixel; below 0 a blur, mixed in
_FINER = (0.5, -0.5)  # octaves
_SIZES = (8, 60, 400, 1200, 4000)


@dataclass(frozen=True)
class Draft:
    """What the sender may vary.

    Attributes:
        thumb: [h,w,3] uint8.
        levels: [1,rows,columns] texture; None sends none.
        key: whether the key stream is sent, if there is one.
    """

    thumb: NDArray[np.uint8]
    levels: Tensor | None
    key: bool = True


Make = Callable[[Draft, int], Message]
"""Message of a draft with its HCI at an AV1 quality."""


class SenderSearch:
    """Improves messages with the receiver that the sender knows.

    Args:
        enhancer: makes the receiver's, in float32 and differentiable; called once, when first needed.
        transform, tables: of the key stream.
        stream_tables: of mask and texture.
        decode: the receiver: picture [3,H,W] of a message whose packets all arrive.
        identity: of the receiver: what else its pictures depend on.
        announce: told what is being done, for progress displays.
    """

    def __init__(
        self,
        enhancer: Callable[[], Enhancer],
        transform: KeyTransform,
        tables: LatentTables,
        stream_tables: StreamTables,
        decode: Callable[[ReceivedMessage], Tensor],
        identity: str,
        announce: Callable[[str], object],
    ) -> None:
        self._build, self._transform, self._tables, self._decode = enhancer, transform, tables, decode
        self._stream_tables = stream_tables
        self._identity, self.announce = identity, announce
        self._enhancer: Enhancer | None = None
        self._objective: tuple[str, Objective] | None = None

    @torch.no_grad()
    def picture(self, message: Message) -> Tensor:
        """[3,H,W] that the receiver makes of a message that arrives."""
        return self._decode(_all_arrive(message)).clone()

    @torch.inference_mode(False)
    def improve(
        self,
        image: Tensor,
        start: Draft,
        plain: Message,
        make: Make,
        budget: Budget,
        effort: int,
        objective: str,
        keeps_key: bool,
    ) -> Message:
        """The best message found for the budget; `plain` where nothing is better.

        Args:
            image: [3,H,W] in [0,1], whole key cells.
            start: what `plain` was made of.
            plain: fits the budget.
            make: codes a draft.
            budget: of the message.
            effort: 1 or 2.
            objective: a key of `semcom.transmitter.objective.OBJECTIVES`.
            keeps_key: the key stream is the user's wish and stays; otherwise effort 1 may leave it out.

        Raises:
            ValueError: the metrics' networks cannot be had.
        """
        file = self._file(image, plain, budget, effort, objective)
        cached = _read(file, plain)
        if cached is not None:
            return cached
        if self._objective is None or self._objective[0] != objective:
            self._objective = objective, Objective(objective, _device())
        image = image.clone()  # callers may be in inference mode, whose tensors know no gradient
        task = _Task(image, start, plain, make, budget, self._objective[1], self._score)
        best = task.settings(self.announce, keeps_key) if effort == 1 else self._shaped(task)
        _write(file, best)
        return best

    def _shaped(self, task: _Task) -> Message:
        """The best of the gradient's candidates and of `plain`, as the receiver sees them."""
        if self._enhancer is None:
            self._enhancer = self._build().to(_device())
        found = shaping.shape(
            task.start.thumb,
            task.start.levels,
            task.image,
            lambda thumb, levels: task.finest(Draft(thumb, levels)),
            self.view,
            self._enhancer,
            task.objective,
            STEPS,
            self.announce,
        )
        self.announce("comparing what the receiver makes of it")
        return task.best_of([task.plain, *(candidate.message for candidate in found[:_JUDGED])]).message

    @torch.no_grad()
    def _score(self, message: Message, original: Reference, objective: Objective) -> float:
        picture = self.picture(message)
        height, width = original.image.shape[-2:]
        padded = F.pad(
            picture[None], (0, width - picture.shape[2], 0, height - picture.shape[1]), "replicate"
        )
        return objective.score(padded, original)

    def view(self, message: Message) -> View:
        """What a receiver reads of a message that arrives."""
        streams = {stream.name: stream.chunks for stream in message.streams}
        header = Header.from_bytes(streams["header"][0])
        coded = hci_picture.decode(streams["hci"][0], header.width, header.height, header.reduction)
        grid = key_grid(header.width, header.height)
        key_map = torch.zeros(grid)
        if "mask" in streams:
            key_map = keymap.decode(streams["mask"][0], *grid, self._stream_tables)
        latents, arrived = key_bitstream.decode(streams.get("key", ()), key_map.bool().numpy(), self._tables)
        values = self._transform.values(torch.from_numpy(latents).float(), header.fineness)
        with torch.no_grad():
            known = torch.from_numpy(arrived)[None, None].float()
            source, detail = self._transform.refine(coded[None], values[None], known)
            expectation = texture.expected(coded[None], torch.tensor([float(header.quality)]))
        surprises = None
        if "texture" in streams:
            rows, columns = expectation.shape[1:]
            sent = texture_code.decode(streams["texture"][0], rows, columns, self._stream_tables)
            surprises = torch.from_numpy(sent).float()

        def planes(octaves: Tensor) -> Tensor:
            return texture.planes(texture.known(expectation, octaves[None], grid))[0]

        return View(source[0].clone(), header.quality, detail[0].clone(), planes, surprises)

    def _file(self, image: Tensor, plain: Message, budget: Budget, effort: int, objective: str) -> Path:
        """Named by everything that the result depends on; the plain message stands for all options."""
        classes = [protection.value for protection in Protection if protection is not Protection.ANALOG]
        costs = [budget.cost([(name, size)]) for name in classes for size in _SIZES]
        fast = torch.cuda.is_available(), torch.ops.mkldnn._is_mkldnn_bf16_supported()
        told = (
            _VERSION,
            self._identity,
            STEPS,
            effort,
            objective,
            budget.limit,
            budget.unit,
            costs,
            fast,
        )
        digest = sha256(repr(told).encode())
        digest.update(image.contiguous().numpy().tobytes())
        for packet in pack(plain):
            digest.update(packet.data)
        return cache_directory() / "search" / f"{digest.hexdigest()[:32]}.json"


class _Task:
    """One picture's search."""

    def __init__(
        self,
        image: Tensor,
        start: Draft,
        plain: Message,
        make: Make,
        budget: Budget,
        objective: Objective,
        score: Callable[[Message, Reference, Objective], float],
    ) -> None:
        self.image, self.start, self.plain, self.objective = image, start, plain, objective
        self._make, self._budget, self._score = make, budget, score
        self._quality = _quality(plain)
        self._reference: Reference | None = None

    def settings(self, announce: Callable[[str], object], keeps_key: bool) -> Message:
        """One setting after the other: what helped stays."""
        best, kept = self.best_of([self.plain]), self.start
        dimensions: list[tuple[str, list[Callable[[Draft], Draft]]]] = [
            ("sharpness", [partial(_with_sharpness, per_cent=per_cent) for per_cent in _SHARPER])
        ]
        if self.start.levels is not None:
            dimensions.append(("texture", [partial(_with_texture, octaves=octaves) for octaves in _FINER]))
        if _has_key(self.plain) and not keeps_key:
            dimensions.append(("key stream", [partial(replace, key=False)]))
        for name, changes in dimensions:
            for change in changes:
                announce(f"trying {name}")
                draft = change(kept)
                tried = self.best_of([self.finest(draft)])
                if tried.loss < best.loss:
                    best, kept = tried, draft
                    break
        return best.message

    def finest(self, draft: Draft) -> Message:
        """The message of a draft at the finest HCI that fits, looked for near the last one."""
        refused, message = None, self._make(draft, self._quality)
        while not self._budget.fits(message):
            refused, lower = self._quality, hci.coarser(self._quality)
            if lower is None:
                return self.plain
            self._quality, message = lower, self._make(draft, lower)
        while (finer := _finer(self._quality)) is not None and finer != refused:
            tried = self._make(draft, finer)
            if not self._budget.fits(tried):
                break
            self._quality, message = finer, tried
        return message

    def best_of(self, messages: list[Message]) -> Candidate:
        """By the objective, of what the receiver makes of each."""
        if self._reference is None:
            self._reference = self.objective.reference(self.image[None].to(_device()))
        scored = [Candidate(self._score(m, self._reference, self.objective), m) for m in messages]
        return min(scored, key=lambda candidate: candidate.loss)


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _quality(message: Message) -> int:
    return Header.from_bytes(message["header"].chunks[0]).quality


def _finer(quality: int) -> int | None:
    above = [q for q in hci.distinct_qualities() if q > quality]
    return above[0] if above else None


def _has_key(message: Message) -> bool:
    return any(stream.name == "key" for stream in message.streams)


def _with_sharpness(draft: Draft, per_cent: int) -> Draft:
    return replace(draft, thumb=_sharper(draft.thumb, per_cent))


def _with_texture(draft: Draft, octaves: float) -> Draft:
    assert draft.levels is not None
    return replace(draft, levels=draft.levels + octaves)


def _sharper(thumb: NDArray[np.uint8], per_cent: int) -> NDArray[np.uint8]:
    picture = Image.fromarray(thumb)
    if per_cent >= 0:
        return np.asarray(picture.filter(ImageFilter.UnsharpMask(1, per_cent, 0)))
    return np.asarray(Image.blend(picture, picture.filter(ImageFilter.GaussianBlur(1)), -per_cent / 100))


def _all_arrive(message: Message) -> ReceivedMessage:
    streams = tuple(ReceivedStream(stream.name, stream.chunks) for stream in message.streams)
    return ReceivedMessage(streams, message.width, message.height, LinkReport(None, 0, {}))


def _write(file: Path, message: Message) -> None:
    streams = [(s.name, s.protection.value, [chunk.hex() for chunk in s.chunks]) for s in message.streams]
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}.part")
    partial.write_text(json.dumps(streams))
    partial.replace(file)


def _read(file: Path, plain: Message) -> Message | None:
    """None where there is none or it is damaged: then it is searched again."""
    try:
        streams = tuple(
            Stream(name, Protection(protection), tuple(bytes.fromhex(chunk) for chunk in chunks))
            for name, protection, chunks in json.loads(file.read_text())
        )
    except (OSError, ValueError, TypeError):
        return None
    return Message(streams, plain.width, plain.height)
