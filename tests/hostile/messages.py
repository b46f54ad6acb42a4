"""Damaged and forged messages by seed, and a receiver without the cost of its networks that reads them.

    python tests/hostile/messages.py --count 100000 --workers 2

writes benchmarks/results/hostile_messages.json: how many messages of which kind were read, and how. It goes
on from what is there; `commits` says how many messages were read at which commit.
"""

from __future__ import annotations

import argparse
import collections
import json
import math
import multiprocessing
import os
import resource
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from semcom.contracts import Budget
from semcom.link import PerfectLink
from semcom.message import Message, ReceivedMessage, ReceivedStream, Reconstruction
from semcom.options import SemanticOptions
from semcom.picture import images
from semcom.receiver.chain import Receiver
from semcom.receiver.fixed_point import in_fixed_point
from semcom.semantic import SemanticSystem
from semcom.streams import presence
from semcom.streams.header import Header

ROOT = Path(__file__).resolve().parents[2]
SIZE = (128, 96)
"""Width and height of the picture sent."""
SECONDS = 30
"""That a message may take; beyond them SIGALRM ends the process."""
_SPAN = 500
KINDS = ("flip", "cut", "lengthen", "replace", "swap", "erase", "resize", "recount")


class StubEnhancer:
    """Shows everything that the enhancer is told, nothing else."""

    def restore(self, hci, quality, detail, texture):
        """[3,4h,4w]."""
        told = hci + quality / 630 + 0.05 * detail.mean(0) + 0.01 * texture.mean(0)
        return F.interpolate(told[None], scale_factor=4, mode="nearest")[0].clamp(0.05, 0.95)


def stub_decoder(noisy, level, x0, guidance):
    """Residual that shows caption, words and where key latents arrived."""
    said = guidance.text_condition
    words = 0.001 * (1 + said.words.sum()) * said.has_words.sum()
    text = 1e-6 * said.text.float().sum()
    cells = F.interpolate(guidance.arrived.float(), x0.shape[-2:], mode="nearest")
    return (words + text + 0.02 * cells).expand_as(x0)


def stub_receiver(system: SemanticSystem) -> Receiver:
    """The receiver of a system with stubs for its networks; coders and key transform are the real ones."""
    parts = system._parts
    real = in_fixed_point(parts.transform), parts.tables, parts.stream_tables, parts.coder
    return Receiver(StubEnhancer(), stub_decoder, *real, SemanticOptions())


def full_message(system: SemanticSystem) -> Message:
    """A message with every stream and key regions in the upper half."""
    width, height = SIZE
    photo = images.load(ROOT / "semcom" / "samples" / "coffee.png")[:, 150 : 150 + height, 200 : 200 + width]
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[: height // 2] = True
    keyed, budget = system.with_options(mask=mask, key_share=0.3), Budget.of_bpp(0.7, width, height)
    message = keyed.with_options(base=120).encode(photo.contiguous(), budget)
    header, *others = message.streams
    streams = (header, keyed.encode(photo.contiguous(), budget)["card"], *others)  # no sender sends both
    told = Header.from_bytes(header.chunks[0])
    told = replace(told, presence=presence(stream.name for stream in streams))
    return replace(message, streams=(replace(header, chunks=(told.to_bytes(),)), *streams[1:]))


def mutated(received: ReceivedMessage, seed: int) -> tuple[ReceivedMessage, str]:
    """A message with one to three of its streams changed, and the kinds of what was done."""
    rng = np.random.default_rng(seed)
    kinds = [KINDS[i] for i in rng.integers(0, len(KINDS), rng.integers(1, 4))]
    for kind in kinds:
        streams = list(received.streams)
        place = int(rng.integers(len(streams)))
        streams[place] = replace(streams[place], chunks=_changed(streams[place], kind, rng))
        if kind == "swap":
            other = int(rng.integers(len(streams)))
            a, b = streams[place].chunks, streams[other].chunks
            streams[place], streams[other] = (
                replace(streams[place], chunks=b),
                replace(streams[other], chunks=a),
            )
        received = replace(received, streams=tuple(streams))
    return received, "+".join(sorted(set(kinds)))


def _changed(stream: ReceivedStream, kind: str, rng: np.random.Generator) -> tuple[bytes | None, ...]:
    chunks = list(stream.chunks)
    if not chunks:
        return ()
    place = int(rng.integers(len(chunks)))
    data = bytearray(chunks[place] or b"")
    if kind == "erase":
        chunks[place] = None
    elif kind == "flip" and data:
        for bit in rng.integers(0, 8 * len(data), rng.integers(1, 9)):
            data[bit // 8] ^= 1 << (bit % 8)
        chunks[place] = bytes(data)
    elif kind == "cut":
        chunks[place] = bytes(data[: rng.integers(0, len(data) + 1)])
    elif kind == "lengthen":
        chunks[place] = bytes(data) + rng.bytes(int(rng.integers(1, 5000)))
    elif kind == "replace":
        chunks[place] = rng.bytes(int(rng.integers(0, 600)))
    elif kind == "resize" and stream.name == "header" and len(data) == 8:
        word = int.from_bytes(data, "big") ^ (int(rng.integers(1, 1 << 28)) << 31)  # width and height
        chunks[place] = word.to_bytes(8, "big")
    elif kind == "recount":
        chunks = (chunks * 9)[: int(rng.integers(0, 9 * len(chunks)))]
    return tuple(chunks)


def fault(result: Reconstruction) -> str | None:
    """What is wrong with a reconstruction of any message of `SIZE`, or None."""
    width, height = SIZE
    if result.image.shape != (3, height, width):
        return f"a picture of {tuple(result.image.shape)}"
    if not bool(((result.image >= 0) & (result.image <= 1)).all()):
        return "values outside 0 to 1"
    if result.caption is not None and (len(result.caption) > 500 or not _printable(result.caption)):
        return "a caption that cannot be printed"
    return None


def _printable(text: str) -> bool:
    return all(ord(letter) >= 32 and not 127 <= ord(letter) < 160 for letter in text)


@cache
def _ends() -> tuple[Receiver, ReceivedMessage]:
    """A receiver and what it is sent, once a process."""
    torch.set_num_threads(1)
    system = SemanticSystem()
    return stub_receiver(system), PerfectLink().send([full_message(system)], 0.0, [0])[0]


def read(seeds: range) -> dict[str, Any]:
    """What came of the damaged messages of these seeds."""
    receiver, received = _ends()
    faults: list[dict[str, object]] = []
    notes: collections.Counter[str] = collections.Counter()
    kinds: collections.Counter[str] = collections.Counter()
    slowest, before = 0.0, _peak_mb()
    for seed in seeds:
        message, kind = mutated(received, seed)
        kinds.update(kind.split("+"))
        began = time.process_time()
        signal.alarm(SECONDS)
        try:
            result = receiver.decode(message)
            wrong = fault(result)
            notes.update(result.notes)
        except Exception as error:
            wrong = repr(error)
        finally:
            signal.alarm(0)
        slowest = max(slowest, time.process_time() - began)
        if wrong:
            faults.append({"seed": seed, "kinds": kind, "fault": wrong})
    return {
        "messages": len(seeds),
        "faults": faults,
        "notes": notes,
        "kinds": kinds,
        "slowest": slowest,
        "process": os.getpid(),
        "grown_mb": _peak_mb() - before,
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Reads damaged messages and writes what came of them."""
    from semcom.provenance import provenance

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=math.inf, help="after which no more are read")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "hostile_messages.json")
    arguments = parser.parse_args()
    start, known = time.perf_counter(), _known(arguments.out)
    first, last = arguments.seed + known["messages"], arguments.seed + arguments.count
    spans = iter([range(at, min(at + _SPAN, last)) for at in range(first, last, _SPAN)])
    parts: list[dict[str, Any]] = []
    with ProcessPoolExecutor(arguments.workers, multiprocessing.get_context("spawn")) as pool:
        while batch := list(islice(spans, arguments.workers)):
            parts += pool.map(read, batch)
            if time.perf_counter() - start > 60 * arguments.minutes:
                break
    grown: collections.Counter[int] = collections.Counter()
    for part in parts:
        grown[part["process"]] += part["grown_mb"]
    made_by = provenance()
    count = sum(part["messages"] for part in parts)
    commits = known["commits"] | {str(made_by["commit"]): count}
    faults = known["faults"] + [entry for part in parts for entry in part["faults"]]
    kinds, notes = (
        sum((part[what] for part in parts), collections.Counter(known[what])) for what in ("kinds", "notes")
    )
    slowest = max([known["slowest_seconds_cpu"], *(part["slowest"] for part in parts)])
    document = {
        "command": "python " + " ".join(sys.argv),
        "messages": known["messages"] + count,
        "commits": commits,
        "seconds_allowed": SECONDS,
        "exceptions_hangs_or_wrong_pictures": len(faults),
        "faults": faults,
        "slowest_seconds_cpu": round(slowest, 3),
        "peak_memory_grown_mb": round(max([known["peak_memory_grown_mb"], *grown.values()]), 1),
        "seconds": round(known["seconds"] + time.perf_counter() - start, 1),
        "kinds": dict(sorted(kinds.items())),
        "notes": dict(notes.most_common()),
    }
    arguments.out.write_text(json.dumps(document | made_by, indent=1) + "\n")
    sys.stdout.write(f"{document['messages']} messages, {len(faults)} faults, slowest {slowest:.2f} s\n")


def _known(path: Path) -> dict[str, Any]:
    """The summary of what was read before, or one of nothing."""
    nothing: dict[str, Any] = dict.fromkeys(("messages", "slowest_seconds_cpu", "peak_memory_grown_mb"), 0)
    nothing |= {"seconds": 0, "faults": [], "commits": {}, "kinds": {}, "notes": {}}
    return json.loads(path.read_text()) if path.exists() else nothing


if __name__ == "__main__":
    main()
