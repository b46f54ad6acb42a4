"""Precision of the receiver: size, memory, time and quality on Kodak at fp32, bf16, int8 and NF4.

NF4 is measured with and without the adapters that make up for it.

    python benchmarks/quantization.py ../shared/data/kodak --images 24

Every picture is encoded once; each precision decodes the same messages, in a process of its own, so that
peak memory is its own. Writes benchmarks/results/quantization.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any, cast

import bitsandbytes as bnb
import torch
from safetensors.torch import save
from torch import Tensor, nn

from semcom.contracts import Budget
from semcom.link import PerfectLink
from semcom.message import Message
from semcom.metrics.dists import dists
from semcom.metrics.lpips import lpips
from semcom.metrics.psnr import psnr
from semcom.networks.enhancer import Enhancer
from semcom.networks.mgdd import MultimodalDecoder
from semcom.networks.rrdb import NearestUpConv
from semcom.picture import images
from semcom.profile import Profile
from semcom.provenance import provenance
from semcom.receiver.quantization import is_rounded
from semcom.systems import build

RESULTS = Path(__file__).parent / "results"
LEVELS = {  # precision, and whether adapters are in use
    "fp32": ("fp32", True),
    "bf16": ("bf16", True),
    "int8": ("int8", True),
    "nf4": ("nf4", True),
    "nf4-without-adapters": ("nf4", False),
}


def encode(profile: str, paths: list[Path], limit: float) -> list[Message]:
    system = build("semantic", profile=profile)
    photos = [images.load(path) for path in paths]
    return [system.encode(p, Budget.of_bpp(limit, p.shape[-1], p.shape[-2])) for p in photos]


def measure(profile: str, level: str, paths: list[Path], messages: list[Message]) -> dict[str, Any]:
    precision, adapters = LEVELS[level]
    system = build("semantic", profile=profile, quantization=precision, adapters=adapters)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    received = PerfectLink().send(messages, 0.0, [0] * len(messages))
    system.decode(received[0])  # the first call plans convolutions
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # before any metric's networks
    rows: list[dict[str, Any]] = []
    for path, message in zip(paths, received, strict=True):
        start = time.perf_counter()
        picture = system.decode(message).image
        seconds = time.perf_counter() - start
        pair = picture[None], images.load(path)[None]
        values = {"psnr": psnr(*pair), "lpips": lpips(*pair), "dists": dists(*pair)}
        rows.append({"image": path.name, "seconds": seconds} | {n: v.item() for n, v in values.items()})
    return {
        "quantization": level,
        "weights_bytes": stored_bytes(profile, level),
        "peak_memory_mib": peak_mib,
        **{name: mean(row[name] for row in rows) for name in ("seconds", "psnr", "lpips", "dists")},
        "images": rows,
    }


def stored_bytes(source: str, level: str) -> int:
    """Size of the receiver's networks and their adapters in a safetensors file at a precision."""
    precision, adapters = LEVELS[level]
    profile = Profile.open(source)
    kept: dict[str, Tensor] = {}
    for part, model in (("enhancer", Enhancer), ("decoder", MultimodalDecoder)):
        network = profile.build(part, model)
        weights = {f"{name}.weight": layer for name, layer in network.named_modules()}
        for name, value in network.state_dict().items():
            kept |= _stored(f"{part}.{name}", value, weights.get(name), precision)
        extra = f"{part}_adapters_nf4"
        if adapters and precision == "nf4" and extra in profile:
            kept |= {f"{extra}.{name}": value.half() for name, value in profile.tensors(extra).items()}
    return len(save(kept))


def _stored(name: str, value: Tensor, layer: nn.Module | None, precision: str) -> dict[str, Tensor]:
    """One weight as the receiver holds it at a precision; see `semcom.receiver.quantization`."""
    value = value.float().contiguous()
    linear = isinstance(layer, nn.Linear) and name.startswith("decoder")
    rounded = (linear or isinstance(layer, nn.Conv2d)) and is_rounded(cast(nn.Linear | nn.Conv2d, layer))
    if precision == "bf16":
        return {name: value.bfloat16()}
    convolution = isinstance(layer, nn.Conv2d | NearestUpConv) and name.startswith("enhancer")
    if precision == "int8" and (linear or convolution or rounded):
        scale = value.flatten(1).abs().amax(1) / 127
        codes = (value / scale.view(-1, *(1 for _ in value.shape[1:]))).round()
        return {name: codes.to(torch.int8), f"{name}.scale": scale}
    if precision == "nf4" and rounded:
        codes, state = bnb.functional.quantize_4bit(value, quant_type="nf4", compress_statistics=linear)
        parts = {name: codes, f"{name}.scale": state.absmax}
        return parts if state.state2 is None else parts | {f"{name}.scale2": state.state2.absmax}
    return {name: value}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bpp", type=float, default=0.035)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--profile", default="tiny")
    parser.add_argument("--levels", nargs="+", choices=list(LEVELS), default=list(LEVELS))
    parser.add_argument("--out", type=Path, default=RESULTS / "quantization.json")
    arguments = parser.parse_args()
    paths = sorted(arguments.folder.glob("*.png"))[: arguments.images]
    messages = encode(arguments.profile, paths, arguments.bpp)
    results = []
    for level in arguments.levels:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            results.append(pool.submit(measure, arguments.profile, level, paths, messages).result())
        row = results[-1]
        sys.stdout.write(
            f"{level}: {row['weights_bytes'] / 1e6:.1f} MB, {row['peak_memory_mib']:.0f} MiB peak, "
            f"{row['seconds']:.2f} s, LPIPS {row['lpips']:.4f}, DISTS {row['dists']:.4f}\n"
        )
    document = {"command": "python " + " ".join(sys.argv), "bpp": arguments.bpp, "results": results}
    arguments.out.write_text(json.dumps(document | provenance(), indent=1) + "\n")


if __name__ == "__main__":
    main()
