"""A metric that no stage trains on: Fréchet distance of ImageNet-backbone features, photo validation split.

    python benchmarks/fid.py ../shared/data/photos/val --bpp 0.0363

Each system sends every photo without loss at the same budget; photos smaller than some system's smallest
message are left out for all. The Inception FID wants tens of thousands of pictures and weights that cannot be
fetched here, so this is `fid_backbone` (`semcom.metrics.fid`): to be compared with itself alone. With fewer
pictures than features it is biased, for all systems alike. Writes benchmarks/results/fid.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.progress import track
from torch import Tensor

from semcom.contracts import Budget, BudgetError
from semcom.link import PerfectLink
from semcom.metrics import FIDBackbone
from semcom.packets import bpp
from semcom.picture import images
from semcom.provenance import provenance
from semcom.systems import build
from semcom.train.data.crops import list_photos

RESULTS = Path(__file__).parent / "results"


def reconstruct(system: Any, photo: Tensor, limit: float) -> tuple[Tensor, float] | None:
    """Picture and bpp, or None where the budget is too small."""
    try:
        message = system.encode(photo, Budget.of_bpp(limit, photo.shape[2], photo.shape[1]))
    except BudgetError:
        return None
    (received,) = PerfectLink().send([message], 0.0, [0])
    return system.decode(received).image, bpp(message)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bpp", type=float, default=0.0363)
    parser.add_argument("--systems", nargs="+", default=["semantic", "avif"])
    parser.add_argument("--images", type=int, help="the first so many")
    arguments = parser.parse_args()
    start = time.perf_counter()
    systems = {name: build(name) for name in arguments.systems}
    metrics = {name: FIDBackbone() for name in systems}
    rates: dict[str, list[float]] = {name: [] for name in systems}
    num_images = 0
    paths = list_photos([str(arguments.folder)])[: arguments.images]
    for path in track(paths, description="photos"):
        photo = images.load(path)
        results = {name: reconstruct(system, photo, arguments.bpp) for name, system in systems.items()}
        sent = {name: result for name, result in results.items() if result is not None}
        if len(sent) < len(systems):
            continue
        num_images += 1
        for name, (picture, rate) in sent.items():
            metrics[name].update(photo[None], real=True)
            metrics[name].update(picture[None], real=False)
            rates[name].append(rate)
    rows = [
        {
            "system": name,
            "num_images": num_images,
            "bpp": sum(rates[name]) / num_images,
            "fid_backbone": metric.compute().item(),
        }
        for name, metric in metrics.items()
    ]
    document = {
        "command": "python " + " ".join(sys.argv),
        "left_out": len(paths) - num_images,
        "wall_seconds": time.perf_counter() - start,
        "results": rows,
    }
    (RESULTS / "fid.json").write_text(json.dumps(document | provenance(), indent=1) + "\n")
    for row in rows:
        sys.stdout.write(f"{row['system']}: bpp {row['bpp']:.4f}  fid_backbone {row['fid_backbone']:.2f}\n")


if __name__ == "__main__":
    main()
