"""Graceful decay: quality against lost packets, and what each stream of guidance is worth.

    python benchmarks/decay.py ../shared/data/kodak --images 24 --key-share 0.25

1. `loss`: packets of one stream, or of all, erased at a rate (the header always arrives).
2. `ablation`: messages without one stream or with one stream alone, beside the header; and with caption and
   pseudo-words of another picture, which a decoder that listens to them cannot like.

The differences from the message that lost nothing come with 95 % intervals over images. `top5_agreement`: the
ImageNet classifier's first class of the original is among its first five of the result. Erasures are drawn
from (image, stream, rate) alone; what arrives alike is decoded once, what looks alike is measured once.
Writes benchmarks/results/decay.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from torch import Tensor

from semcom.contracts import Budget
from semcom.intervals import half_width
from semcom.link import PerfectLink
from semcom.message import ReceivedMessage
from semcom.metrics.dists import dists
from semcom.metrics.lpips import lpips
from semcom.metrics.psnr import psnr
from semcom.metrics.topk_agreement import topk_agreement
from semcom.picture import images
from semcom.provenance import provenance
from semcom.semantic import SemanticSystem
from semcom.streams import STREAMS, header, mask, words
from semcom.streams import caption as caption_stream

RESULTS = Path(__file__).parent / "results"
METRICS = ("psnr", "lpips", "dists", "top1_agreement", "top5_agreement", "received_share")
RATES = (0.0, 0.2, 0.5, 1.0)
Case = tuple[str, str, float]  # table, streams, rate
LOSABLE = [stream.name for stream in reversed(STREAMS) if stream not in (header.STREAM, mask.STREAM)] + [
    "all"
]
WORDS = {caption_stream.STREAM.name, words.STREAM.name}


def sent(system: SemanticSystem, photo: Tensor, bpp: float) -> ReceivedMessage:
    """What arrives when nothing is lost."""
    message = system.encode(photo, Budget.of_bpp(bpp, photo.shape[-1], photo.shape[-2]))
    (received,) = PerfectLink().send([message], 0.0, [0])
    return received


def erased(received: ReceivedMessage, names: set[str], rate: float, seed: int) -> ReceivedMessage:
    """The message with chunks of the named streams erased at a rate."""
    rng = np.random.default_rng(seed)
    streams = []
    for stream in received.streams:
        lost = rng.random(len(stream.chunks)) < rate
        chunks = tuple(
            None if gone and stream.name in names else chunk
            for chunk, gone in zip(stream.chunks, lost, strict=True)
        )
        streams.append(replace(stream, chunks=chunks))
    return replace(received, streams=tuple(streams))


def with_words_of(received: ReceivedMessage, other: ReceivedMessage) -> ReceivedMessage:
    """The message with the caption and the pseudo-words of another."""
    words = {stream.name: stream for stream in other.streams if stream.name in WORDS}
    return replace(received, streams=tuple(words.get(s.name, s) for s in received.streams))


def cases(
    received: ReceivedMessage, other: ReceivedMessage, image: int
) -> dict[tuple[str, str, float], ReceivedMessage]:
    """Every message to decode, by (table, streams, rate)."""
    guidance = {stream.name for stream in received.streams} - {header.STREAM.name}
    out = {}
    for stream in LOSABLE:
        names = guidance if stream == "all" else {stream}
        for rate in RATES:
            out["loss", stream, rate] = erased(received, names, rate, seed=image)
    for stream in sorted(guidance):
        out["ablation", f"without {stream}", 1.0] = erased(received, {stream}, 1.0, image)
        out["ablation", f"{stream} alone", 1.0] = erased(received, guidance - {stream}, 1.0, image)
    out["ablation", "without caption and spw", 1.0] = erased(received, WORDS, 1.0, image)
    out["ablation", "words of another picture", 0.0] = with_words_of(received, other)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bpp", type=float, default=0.035)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument(
        "--key-share", type=float, help="of what it and the HCI have, not what the profile's table says"
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "decay.json")
    arguments = parser.parse_args()
    system = SemanticSystem(key_share=arguments.key_share)
    rows: dict[Case, dict[str, dict[str, float]]] = {}  # then by picture
    paths = sorted(arguments.folder.glob("*.png"))[: arguments.images]
    messages = [sent(system, images.load(path), arguments.bpp) for path in paths]
    for index, (path, received) in enumerate(zip(paths, messages, strict=True)):
        start, photo = time.perf_counter(), images.load(path)
        known: dict[tuple[Any, ...], dict[str, float]] = {}
        seen: dict[bytes, dict[str, float]] = {}
        for case, lossy in cases(received, messages[index - 1], index).items():
            arrived = tuple(stream.chunks for stream in lossy.streams)
            if arrived not in known:
                result = system.decode(lossy)
                picture = result.image.numpy().tobytes()
                if picture not in seen:
                    seen[picture] = measure(result.image, photo)
                share = 0.0 if result.received is None else result.received.mean().item()
                known[arrived] = seen[picture] | {"received_share": share}
            rows.setdefault(case, {})[path.name] = known[arrived]
        seconds = time.perf_counter() - start
        sys.stdout.write(f"{path.name}: {len(known)} receptions, {len(seen)} pictures, {seconds:.0f} s\n")
        sys.stdout.flush()
        document = {
            "command": "python " + " ".join(sys.argv),
            "bpp": arguments.bpp,
            "results": summarise(rows),
        }
        arguments.out.write_text(json.dumps(document | provenance(), indent=1) + "\n")  # as far as it is
    for row in summarise(rows):
        sys.stdout.write(
            f"{row['table']} {row['streams']} {row['loss_rate']}: "
            + "  ".join(f"{name} {row[name]:.4f}" for name in METRICS)
            + "\n"
        )


def summarise(rows: dict[Case, dict[str, dict[str, float]]]) -> list[dict[str, Any]]:
    """Means over the pictures that have a case: one without key regions cannot lose their stream."""
    lossless = rows["loss", "all", 0.0]
    return [
        {"table": table, "streams": streams, "loss_rate": rate, "num_images": len(values)}
        | {name: mean(value[name] for value in values.values()) for name in METRICS}
        | {"difference": _differences(values, lossless)}
        for (table, streams, rate), values in rows.items()
    ]


def measure(picture: Tensor, photo: Tensor) -> dict[str, float]:
    """Every metric of one picture."""
    pair = picture[None], photo[None]
    values = (psnr(*pair), lpips(*pair), dists(*pair), topk_agreement(*pair, 1), topk_agreement(*pair, 5))
    return dict(zip(METRICS, (value.item() for value in values), strict=False))


def _differences(
    values: dict[str, dict[str, float]], lossless: dict[str, dict[str, float]]
) -> dict[str, Any]:
    """Mean difference from the lossless message per metric, and the half-width of its 95 % interval."""
    out = {}
    for name in METRICS:
        gains = [value[name] - lossless[picture][name] for picture, value in values.items()]
        out[name] = {"mean": mean(gains), "half_width_95": half_width(gains)}
    return out


if __name__ == "__main__":
    main()
