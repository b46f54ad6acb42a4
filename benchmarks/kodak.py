"""Kodak, full size, no channel: what the codec alone reaches, every stream counted.

    python benchmarks/kodak.py ../shared/data/kodak

No stage trains on LPIPS-VGG. Writes benchmarks/results/kodak.json and benchmarks/results/kodak.jpg, a contact
sheet of all pictures.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any

from rich.progress import track

from semcom.contracts import Budget
from semcom.intervals import half_width
from semcom.link import PerfectLink
from semcom.metrics.dists import dists
from semcom.metrics.lpips import lpips
from semcom.metrics.ms_ssim import ms_ssim
from semcom.metrics.psnr import psnr
from semcom.packets import bits_on_wire, bpp
from semcom.picture import images
from semcom.provenance import provenance
from semcom.sheet import contact_sheet
from semcom.systems import build

RESULTS = Path(__file__).parent / "results"
METRICS = ("bpp", "psnr", "ms_ssim", "lpips", "lpips_vgg", "dists")


def measure(system: Any, path: Path, limit: float) -> tuple[dict[str, Any], Any]:
    """One picture through encoder and decoder."""
    photo = images.load(path)
    height, width = photo.shape[-2:]
    start = time.perf_counter()
    message = system.encode(photo, Budget.of_bpp(limit, width, height))
    encoded = time.perf_counter()
    (received,) = PerfectLink().send([message], 0.0, [0])
    result = system.decode(received)
    decoded = time.perf_counter()
    pair = result.image[None], photo[None]
    row = {
        "image": path.name,
        "bpp": bpp(message),
        "bpp_per_stream": {n: b / message.num_pixels for n, b in bits_on_wire(message).items()},
        "psnr": psnr(*pair).item(),
        "ms_ssim": ms_ssim(*pair).item(),
        "lpips": lpips(*pair).item(),
        "lpips_vgg": lpips(*pair, "vgg").item(),
        "dists": dists(*pair).item(),
        "encode_seconds": encoded - start,
        "decode_seconds": decoded - encoded,
    }
    return row, result.image


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over pictures with the half-width of their 95 % interval."""
    out: dict[str, Any] = {name: mean(row[name] for row in rows) for name in METRICS}
    if len(rows) > 1:
        out["half_width_95"] = {n: half_width([r[n] for r in rows]) for n in METRICS}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bpp", type=float, default=0.03)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--systems", nargs="+", default=["semantic", "semantic-no-key", "avif"])
    parser.add_argument("--out", type=Path, default=RESULTS / "kodak.json")
    arguments = parser.parse_args()
    paths = sorted(arguments.folder.glob("*.png"))[: arguments.images]
    results = []
    for name in arguments.systems:
        system = build("semantic", key_area=0.0) if name == "semantic-no-key" else build(name)
        rows, pictures = [], []
        for path in track(paths, description=name):
            row, picture = measure(system, path, arguments.bpp)
            rows.append(row)
            pictures.append(picture)
        results.append({"system": name, "num_images": len(rows)} | summarise(rows) | {"images": rows})
        sys.stdout.write(f"{name}: " + "  ".join(f"{m} {results[-1][m]:.4f}" for m in METRICS) + "\n")
        if name == "semantic":
            cells = [(path.stem, picture) for path, picture in zip(paths, pictures, strict=True)]
            rows_of_six = [cells[start : start + 6] for start in range(0, len(cells), 6)]
            contact_sheet(rows_of_six, (384, 256)).save(arguments.out.with_suffix(".jpg"), quality=88)
    document = {"command": "python " + " ".join(sys.argv), "results": results} | provenance()
    arguments.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
