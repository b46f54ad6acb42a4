"""Precision of the receiver: size, memory, time and quality on Kodak at fp32, bf16, int8 and NF4.

    python benchmarks/quantization.py ../shared/data/kodak --images 24

Every picture is encoded once; each precision decodes the same messages, in a process of its own, so that
peak memory is its own. Writes benchmarks/results/quantization.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

from semcom import images
from semcom.link import PerfectLink
from semcom.message import Budget, Message
from semcom.metrics.dists import dists
from semcom.metrics.lpips import lpips
from semcom.metrics.psnr import psnr
from semcom.profile import Profile
from semcom.provenance import provenance
from semcom.systems import build

RESULTS = Path(__file__).parent / "results"
BITS = {"fp32": 32.0, "bf16": 16.0, "int8": 8.0, "nf4": 4.5}  # NF4: 4 bits and an 8-byte-per-64 scale
LEVELS = tuple(BITS)


def encode(paths: list[Path], limit: float) -> list[Message]:
    system = build("semantic")
    photos = [images.load(path) for path in paths]
    return [system.encode(p, Budget.of_bpp(limit, p.shape[-1], p.shape[-2])) for p in photos]


def measure(level: str, paths: list[Path], messages: list[Message]) -> dict[str, Any]:
    system = build("semantic", quantization=level)
    received = PerfectLink().send(messages, 0.0, [0] * len(messages))
    system.decode(received[0])  # the first call plans convolutions
    rows = []
    for path, message in zip(paths, received, strict=True):
        start = time.perf_counter()
        picture = system.decode(message).image
        seconds = time.perf_counter() - start
        pair = picture[None], images.load(path)[None]
        values = {"psnr": psnr(*pair), "lpips": lpips(*pair), "dists": dists(*pair)}
        rows.append({"image": path.name, "seconds": seconds} | {n: v.item() for n, v in values.items()})
    return {
        "quantization": level,
        "weights_megabytes": weights_megabytes(level),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **{name: mean(row[name] for row in rows) for name in ("seconds", "psnr", "lpips", "dists")},
        "images": rows,
    }


def weights_megabytes(level: str) -> float:
    """Of enhancer and decoder stored at a precision (layers that stay in float32 counted as such)."""
    profile = Profile.open("tiny")
    total = 0.0
    for part in ("enhancer", "decoder"):
        for name, tensor in profile.tensors(part).items():
            total += tensor.numel() * _bits(part, name, tensor.dim(), level) / 8e6
    return total


def _bits(part: str, name: str, dimensions: int, level: str) -> float:
    if level in ("fp32", "bf16"):
        return BITS[level]
    convolution, linear = dimensions == 4, dimensions == 2 and "embed" not in name
    quantised = (convolution and (level == "nf4" or part == "enhancer")) or (part == "decoder" and linear)
    return BITS[level] if quantised else 32.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bpp", type=float, default=0.035)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=list(LEVELS))
    parser.add_argument("--out", type=Path, default=RESULTS / "quantization.json")
    arguments = parser.parse_args()
    paths = sorted(arguments.folder.glob("*.png"))[: arguments.images]
    messages = encode(paths, arguments.bpp)
    results = []
    for level in arguments.levels:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            results.append(pool.submit(measure, level, paths, messages).result())
        row = results[-1]
        sys.stdout.write(
            f"{level}: {row['weights_megabytes']:.1f} MB, {row['peak_memory_mib']:.0f} MiB peak, "
            f"{row['seconds']:.2f} s, LPIPS {row['lpips']:.4f}, DISTS {row['dists']:.4f}\n"
        )
    document = {"command": "python " + " ".join(sys.argv), "bpp": arguments.bpp, "results": results}
    arguments.out.write_text(json.dumps(document | provenance(), indent=1) + "\n")


if __name__ == "__main__":
    main()
