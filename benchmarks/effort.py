"""What search at the sender is worth: Kodak at one rate, efforts 0, 1 and 2, no channel, paired.

    python benchmarks/effort.py ../shared/data/kodak --bpp 0.035
    python benchmarks/effort.py ../shared/data/kodak --images kodim13 kodim04 --lock /tmp/heavy.lock
    python benchmarks/effort.py ../shared/data/kodak --centre 384 256 --out …/effort_centres.json

Writes benchmarks/results/effort.json after every picture and goes on from there when it is started again;
what an earlier commit's search made stays, each row names its commit. `--lock` takes a file lock for one
picture at a time, so that other long jobs get in between. `--sheet` puts original, effort 0 and effort 2 of
named pictures, cropped at full size, into benchmarks/results/effort.jpg. No objective holds LPIPS-VGG.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torchvision.transforms.functional import center_crop

from semcom.contracts import Budget
from semcom.intervals import half_width
from semcom.link import PerfectLink
from semcom.metrics.dists import dists
from semcom.metrics.lpips import lpips
from semcom.metrics.ms_ssim import ms_ssim
from semcom.metrics.psnr import psnr
from semcom.packets import bpp
from semcom.picture import images
from semcom.picture.grid import CELL
from semcom.provenance import git_commit, provenance
from semcom.semantic import SemanticSystem
from semcom.sheet import contact_sheet
from semcom.transmitter.objective import excess
from semcom.transmitter.search import STEPS

RESULTS = Path(__file__).parent / "results"
METRICS = ("bpp", "psnr", "ms_ssim", "lpips", "lpips_vgg", "dists", "excess", "seconds", "cpu_seconds")
_CROP = (384, 320)  # width, height in the sheet


def send(
    system: SemanticSystem, photo: torch.Tensor, limit: float, effort: int
) -> tuple[Any, dict[str, Any]]:
    """The picture at the receiver, and what it cost and scores."""
    height, width = photo.shape[-2:]
    system = system.with_options(effort=effort)
    start, cpu = time.perf_counter(), time.process_time()
    message = system.encode(photo, Budget.of_bpp(limit, width, height))
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    (received,) = PerfectLink().send([message], 0.0, [0])
    picture = system.decode(received).image
    pair = picture[None], photo[None]
    row = {
        "effort": effort,
        "bpp": bpp(message),
        "psnr": psnr(*pair).item(),
        "ms_ssim": ms_ssim(*pair).item(),
        "lpips": lpips(*pair).item(),
        "lpips_vgg": lpips(*pair, "vgg").item(),
        "dists": dists(*pair).item(),
        "excess": excess(*pair).item(),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "commit": git_commit(),
    }
    return picture, row


def load(path: Path, centre: list[int] | None) -> torch.Tensor:
    """A picture [3,H,W], or its middle, on the grid of the key cells."""
    photo = images.load(path)
    if centre is None:
        return photo
    width, height = centre
    top, left = (photo.shape[1] - height) // 2 // CELL * CELL, (photo.shape[2] - width) // 2 // CELL * CELL
    return photo[:, top : top + height, left : left + width].contiguous()


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means per effort over its pictures, and paired differences from effort 0 with 95 % half-widths."""
    plain = {row["image"]: row for row in rows if row["effort"] == 0}
    out = []
    for effort in sorted({row["effort"] for row in rows}):
        of = [row for row in rows if row["effort"] == effort and row["image"] in plain]
        entry: dict[str, Any] = {"effort": effort, "num_images": len(of)}
        entry |= {name: mean(row[name] for row in of) for name in METRICS}
        if effort and len(of) > 1:
            for name in METRICS:
                change = [row[name] - plain[row["image"]][name] for row in of]
                entry[f"{name}_delta"] = mean(change)
                entry[f"{name}_delta_half_width"] = half_width(change)
        out.append(entry)
    return out


def sheet(pictures: list[tuple[torch.Tensor, ...]], file: Path) -> None:
    """One row a picture: original, effort 0, effort 2; the middle at full size."""
    width, height = _CROP
    titles = ("original", "effort 0", "effort 2")
    rows = [
        [(title, center_crop(picture, [height, width])) for title, picture in zip(titles, row, strict=True)]
        for row in pictures
    ]
    contact_sheet(rows, _CROP).save(file, quality=90)


@contextmanager
def held(lock: Path | None) -> Iterator[None]:
    """Nothing else that takes the lock runs meanwhile."""
    if lock is None:
        yield
        return
    with lock.open("w") as file:
        flock(file, LOCK_EX)
        yield


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bpp", type=float, default=0.035)
    parser.add_argument("--images", nargs="+", help="names of pictures; all by default")
    parser.add_argument("--efforts", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--objective", default="balanced")
    parser.add_argument(
        "--centre", type=int, nargs=2, help="width and height of the middle, for a quick look"
    )
    parser.add_argument("--lock", type=Path)
    parser.add_argument("--sheet", nargs="+", default=[], help="names of pictures for the sheet")
    parser.add_argument("--out", type=Path, default=RESULTS / "effort.json")
    arguments = parser.parse_args()
    paths = sorted(arguments.folder.glob("*.png"))
    if arguments.images:
        paths = [path for path in paths if path.stem in arguments.images]
    settings = {"bpp": arguments.bpp, "objective": arguments.objective, "centre": arguments.centre}
    rows: list[dict[str, Any]] = []
    if arguments.out.exists():
        document = json.loads(arguments.out.read_text())
        if document["settings"] != settings:
            parser.error(f"{arguments.out} is of {document['settings']}: name another file with --out")
        rows = document["images"]
    system = SemanticSystem("tiny", objective=arguments.objective)
    for path in paths:
        done = {row["effort"] for row in rows if row["image"] == path.name}
        for effort in [effort for effort in arguments.efforts if effort not in done]:
            with held(arguments.lock):
                _, row = send(system, load(path, arguments.centre), arguments.bpp, effort)
            rows.append({"image": path.name} | row)
            sys.stdout.write(json.dumps(rows[-1]) + "\n")
            sys.stdout.flush()
            rows.sort(key=lambda row: (row["image"], row["effort"]))
            document = {
                "command": "python " + " ".join(sys.argv),
                "settings": settings,
                "steps": STEPS,
                "results": summarise(rows),
                "images": rows,
            }
            partial = arguments.out.with_suffix(".part")
            partial.write_text(json.dumps(document | provenance(), indent=1) + "\n")
            partial.replace(arguments.out)
    shown = []
    for path in [path for path in paths if path.stem in arguments.sheet]:
        photo = load(path, arguments.centre)
        shown.append((photo, *(send(system, photo, arguments.bpp, effort)[0] for effort in (0, 2))))
    if shown:
        sheet(shown, arguments.out.with_suffix(".jpg"))


if __name__ == "__main__":
    main()
