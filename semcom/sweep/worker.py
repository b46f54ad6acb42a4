"""The two tasks of a sweep, as they run in a worker: transmit a batch, reconstruct one received message.

Both are pure functions of their arguments; a worker only keeps what is slow to make (systems, links,
photos). No exception leaves a task, not even `SystemExit`: what goes wrong is returned, because not every
exception survives a process border. Systems, links and metrics are not trusted, see `semcom.sweep.checks`.
"""

from __future__ import annotations

import io
import json
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from semcom.contracts import Budget
from semcom.files import read_limited
from semcom.message import LinkReport, Message, PacketSize, ReceivedMessage, Reconstruction
from semcom.sweep import checks, mcs, parts
from semcom.sweep.canonical import canonical
from semcom.sweep.executors.base import NOT_A_TASKS_FAULT
from semcom.sweep.plan import Photo, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from semcom.chooser import Choice, Situation
    from semcom.contracts import Link, System

_NO_REPORT = LinkReport(None, 0, {})
_PHOTOS_KEPT, _PARTS_KEPT = 8, 16


@dataclass(frozen=True)
class Job:
    """One trial of one point."""

    point: str
    snr_db: float
    trial: int
    seed: int


@dataclass(frozen=True)
class Encoding:
    """A message, and every price the encoder asked for on the way with the answer it got.

    An encoder sees of a link only `Budget.cost`. A link that gives the same answers gets the same message, so
    the message is used again without asking what the links have in common. `variant` is what the system
    chose to send, where it chooses.
    """

    limit: int
    message: Message
    prices: tuple[tuple[tuple[PacketSize, ...], int], ...]
    bits: Mapping[str, int]
    variant: str = ""

    def holds_for(self, budget: Budget) -> bool:
        """Whether encoding for this budget would give the same message."""
        return budget.limit == self.limit and all(budget.cost(sizes) == cost for sizes, cost in self.prices)


@dataclass(frozen=True)
class Arrival:
    """What arrived of one job. `key` names the content, the system and the original."""

    key: str
    received: ReceivedMessage
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Failure:
    """Why something could not be done."""

    stage: str
    reason: str
    trace: str


@dataclass(frozen=True)
class Transmitted:
    """Result of `transmit`: one arrival or failure per job, in order; `new` for an encoding made now."""

    encoding: Encoding | None
    new: bool
    arrivals: tuple[Arrival | Failure, ...]
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Reconstructed:
    """Result of `reconstruct`."""

    metrics: Mapping[str, float]
    picture: bytes | None
    seconds: Mapping[str, float]


def prepare(scene: Scene) -> None:
    """Builds a system and a link, so that a bad option is an error before any work. Raises ValueError."""
    try:
        _system(scene)
        _link(scene.link, scene)
    except (ValueError, *NOT_A_TASKS_FAULT):
        raise
    except BaseException as error:
        raise ValueError(f"{scene.label} cannot be built: {_reason(error)}") from error


def transmit(scene: Scene, photo: Photo, jobs: Sequence[Job], known: Sequence[Encoding]) -> Transmitted:
    """Encodes a photo, unless a known encoding holds, and sends it once per job in one call of the link.

    Where the link adapts its MCSs all jobs are at one SNR.
    """
    start = time.perf_counter()
    try:
        image = _photo(photo.path, photo.sha256)
        encoder = _Encoder(scene, image, known)
        if parts.adapts(scene.link):
            link, (encoding, new) = _adapted(encoder, jobs[0].snr_db)
        else:
            link = _link(scene.link, scene)
            encoding, new = encoder.encoding(encoder.budget_on(link))
    except NOT_A_TASKS_FAULT:
        raise
    except BaseException as error:
        return Transmitted(None, False, (_failure("encode", error),) * len(jobs), {})
    encoded = time.perf_counter()
    arrivals = tuple(_send(scene, photo, encoding, link, jobs))
    seconds = {"encode": encoded - start, "link": time.perf_counter() - encoded}
    return Transmitted(encoding if new else None, new, arrivals, seconds)


def reconstruct(
    scene: Scene,
    photo: Photo,
    received: ReceivedMessage,
    metrics: Mapping[str, str],
    keep_picture: bool,
) -> Reconstructed | Failure:
    """Decodes a received message and compares the picture with the original.

    Args:
        scene: whose system decodes.
        photo: the original.
        received: what arrived of it.
        metrics: column by name.
        keep_picture: whether the picture is given back too, as PNG.
    """
    import torch

    stage = "decode"
    try:
        start = time.perf_counter()
        original = _photo(photo.path, photo.sha256)
        with torch.no_grad():
            picture = _system(scene).decode(received).image
            checks.picture(picture, original)
            decoded, stage = time.perf_counter(), "metrics"
            values = {
                column: _measure(name, picture.clone(), original.clone()) for name, column in metrics.items()
            }
        seconds = {"decode": decoded - start, "metrics": time.perf_counter() - decoded}
        return Reconstructed(values, _png(picture) if keep_picture else None, seconds)
    except NOT_A_TASKS_FAULT:
        raise
    except BaseException as error:
        return _failure(stage, error)


def received_key(scene: Scene, photo: Photo, received: ReceivedMessage) -> str:
    """SHA-256 of all that decides a reconstruction and its metrics."""
    hashed = sha256(canonical([scene.parts_key, photo.sha256, received.width, received.height]).encode())
    for stream in received.streams:
        hashed.update(f"\n{stream.name}:{len(stream.chunks)}".encode())
        for chunk in stream.chunks:
            hashed.update(b",-" if chunk is None else b",%d:" % len(chunk) + chunk)
        for index, packet in sorted(stream.doubtful.items()):
            llrs = b"" if packet.llrs is None else packet.llrs.tobytes()
            hashed.update(b",%d?%d:" % (index, len(packet.data)) + packet.data + llrs)
    return hashed.hexdigest()


class _Encoder:
    """A scene's system as the sender of one picture: what is encoded is not encoded again.

    Args:
        scene: with the system and the budget.
        image: [3,H,W].
        known: encodings of it.
    """

    def __init__(self, scene: Scene, image: Tensor, known: Sequence[Encoding]) -> None:
        self.scene, self.image = scene, image
        self._known, self._made = known, list[Encoding]()
        self._system, self._variant = _system(scene), ""

    def budget_on(self, link: Link) -> Budget:
        """The scene's budget."""
        return parts.build_budget(self.scene.budget, self.image.shape[-1], self.image.shape[-2], link)

    def encoding(self, budget: Budget) -> tuple[Encoding, bool]:
        """An encoding for a budget, and whether it is not one that was known."""
        used = self._among(self._known, budget)
        if used is not None:
            return used, False
        made = self._among(self._made, budget)
        if made is None:
            made = replace(_encode(self._system, self.scene, self.image, budget), variant=self._variant)
            self._made.append(made)
        return made, True

    def encoding_of(self, message: Message) -> tuple[Encoding, bool]:
        """The encoding that a message of this encoder is from, and whether it is not one that was known."""
        encodings = [(e, False) for e in self._known] + [(e, True) for e in self._made]
        return next((e, new) for e, new in encodings if e.message is message)

    def over_the_air(self, known: Situation, fixed: Mapping[str, int]) -> Iterator[tuple[Choice, _Encoder]]:
        """See `semcom.semantic.SemanticSystem`; nothing of a system that does not choose."""
        chooses = getattr(self._system, "over_the_air", None)
        for choice, variant in () if chooses is None else chooses(known, fixed):
            other = copy(self)  # what it makes is kept here
            other._system, other._variant = variant, choice.variant
            yield choice, other

    def _among(self, encodings: Sequence[Encoding], budget: Budget) -> Encoding | None:
        return next((e for e in encodings if e.variant == self._variant and e.holds_for(budget)), None)

    def encode(self, image: Tensor, budget: Budget) -> Message:
        """See `semcom.contracts.System`."""
        return self.encoding(budget)[0].message

    def decode(self, received: ReceivedMessage) -> Reconstruction:
        """See `semcom.contracts.System`."""
        return self._system.decode(received)


def _adapted(encoder: _Encoder, snr_db: float) -> tuple[Link, tuple[Encoding, bool]]:
    scene = encoder.scene
    parts.import_channel(scene.link)
    link, message = mcs.adapted(scene.link, encoder, encoder.image, encoder.budget_on, snr_db)
    return _link(link, scene), encoder.encoding_of(message)


def _encode(system: System, scene: Scene, image: Tensor, budget: Budget) -> Encoding:
    import torch

    from semcom.packets import bits_on_wire

    prices: dict[tuple[PacketSize, ...], int] = {}

    def cost(sizes: Sequence[PacketSize]) -> int:
        asked = tuple(sizes)
        if asked not in prices:
            prices[asked] = budget.cost(asked)
        return prices[asked]

    with torch.no_grad():
        # A copy, because the original is what every system's pictures are measured against.
        message = system.encode(image.clone(), replace(budget, cost=cost))
    checks.message(message, budget, image)
    recorded = () if "bpp" in scene.budget else tuple(prices.items())  # bytes cost the same on every link
    return Encoding(budget.limit, message, recorded, bits_on_wire(message))


def _send(
    scene: Scene, photo: Photo, encoding: Encoding, link: Link, jobs: Sequence[Job]
) -> list[Arrival | Failure]:
    """One call for all jobs; if that fails one call each, so that only the job at fault fails."""
    try:
        received = link.send([encoding.message] * len(jobs), [j.snr_db for j in jobs], [j.seed for j in jobs])
        return [_arrival(scene, photo, encoding, r) for r in checks.deliveries(received, len(jobs))]
    except NOT_A_TASKS_FAULT:
        raise
    except BaseException as error:
        if len(jobs) == 1:
            return [_failure("link", error)]
        return [result for job in jobs for result in _send(scene, photo, encoding, link, [job])]


def _arrival(scene: Scene, photo: Photo, encoding: Encoding, received: ReceivedMessage) -> Arrival:
    classes = received.report.classes
    counts = {
        "pixels": encoding.message.num_pixels,
        "channel_uses": received.report.channel_uses,
        "packets": sum(report.packets for report in classes.values()),
        "lost": sum(report.lost for report in classes.values()),
    }
    counts |= {f"bits.{stream}": bits for stream, bits in encoding.bits.items()}
    for name, report in classes.items():
        counts |= {f"packets.{name}": report.packets, f"lost.{name}": report.lost}
        if parts.adapts(scene.link) and hasattr(report, "mcs"):
            counts[f"mcs.{name}"] = report.mcs
    # The report stays here: a decoder must depend on nothing but what arrived, or it could not be shared.
    arrived = replace(received, report=_NO_REPORT)
    return Arrival(received_key(scene, photo, arrived), arrived, counts)


def _measure(name: str, picture: Tensor, original: Tensor) -> float:
    metric = parts.metric(name)
    value = checks.measured(metric(picture[None], original[None]), name, metric.sparse)
    return metric.of_equals if metric.of_equals is not None and value == float("inf") else value


def _png(picture: Tensor) -> bytes:
    from PIL import Image

    from semcom.picture.pixels import to_pixels

    buffer = io.BytesIO()
    Image.fromarray(to_pixels(picture)).save(buffer, "PNG")
    return buffer.getvalue()


def _failure(stage: str, error: BaseException) -> Failure:
    return Failure(stage, _reason(error), "".join(traceback.format_exception(error)))


def _reason(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _system(scene: Scene) -> System:
    return _kept_system(scene.kind, canonical(scene.options), canonical(scene.made_with))


def _link(link: Mapping[str, Any], scene: Scene) -> Link:
    return _kept_link(canonical(link), canonical(scene.made_with))


@lru_cache(maxsize=_PARTS_KEPT)
def _kept_system(kind: str, options: str, made_with: str) -> System:
    return parts.build_system(kind, json.loads(options))


@lru_cache(maxsize=_PARTS_KEPT)
def _kept_link(link: str, made_with: str) -> Link:
    return parts.build_link(json.loads(link))


@lru_cache(maxsize=_PHOTOS_KEPT)
def _photo(path: str, digest: str | None) -> Tensor:
    """A photo. Raises ValueError where the file is no longer the one that was planned."""
    from semcom.picture import images
    from semcom.picture.limits import MAX_FILE_BYTES

    image = images.load(path)
    if digest is not None and sha256(read_limited(path, MAX_FILE_BYTES)).hexdigest() != digest:
        raise ValueError(f"{path} is not the file it was when the run began: give the command again")
    return image
