"""How a budget is best split between HCI and key stream, and whether the key stream earns its bytes.

    python benchmarks/split.py ../shared/data/photos/val --images 40 --table semcom/profiles/tiny
    python benchmarks/split.py ../shared/data/kodak --images 24 --shares 0 0.12 0.25

Every picture is sent without loss at each rate and each share of the key stream, the total rate equal.
Metrics: LPIPS and DISTS of the whole picture; both inside the key regions, where DISTS, which has no local
form, is that of the box around them with the original put outside of them; and DISTS of that box as it is.
The key regions are the automatic ones (at most 12 % of the picture), the same at every share. The largest
pictures that have any are taken: at these rates small ones hold little but the critical streams.

Writes benchmarks/results/split_FOLDER.json. `--table` writes the profile's part `key_shares` too: per rate
the share with the least sum of the four metrics, of those whose sum is less than without a key stream by more
than its 95 % interval, while neither metric of the whole picture is more by more than its own: nobody has
named a region yet. The transmitter follows it unless told otherwise.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semcom.contracts import Budget
from semcom.intervals import half_width
from semcom.link import PerfectLink
from semcom.metrics.dists import dists
from semcom.metrics.lpips import lpips
from semcom.metrics.regions import region_lpips
from semcom.options import KEY_AREA, SemanticOptions
from semcom.packets import bits_on_wire, bpp
from semcom.picture import images
from semcom.picture.grid import CELL
from semcom.profile import write_part
from semcom.provenance import provenance
from semcom.rates import RATES
from semcom.semantic import SemanticSystem
from semcom.train.data.crops import list_photos
from semcom.transmitter import hci

RESULTS = Path(__file__).parent / "results"
METRICS = ("lpips", "dists", "lpips_key", "dists_key")
REPORTED = (*METRICS, "sum", "dists_box")
RULE = (
    "least sum of "
    + ", ".join(METRICS)
    + "; surely less than without a key stream, and the whole picture not surely worse, or none"
)


def measure(
    system: SemanticSystem, photo: Tensor, rates: list[str], shares: list[float]
) -> list[dict[str, Any]]:
    """One row per rate and share; none for a picture without key regions."""
    key_map = system.transmitter.selector.select(photo, KEY_AREA)
    if not bool(key_map.any()):
        return []
    height, width = photo.shape[-2:]
    mask = key_map.repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)[:height, :width]
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    box = (..., slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    sent = SemanticOptions(mask=mask, caption="none")
    results, pictures = [], []
    for rate, share in itertools.product(rates, shares):
        budget, options = Budget.of_bpp(RATES[rate], width, height), sent.updated(key_share=share)
        message = system.transmitter.encode(photo, budget, options)
        (received,) = PerfectLink().send([message], 0.0, [0])
        pictures.append(system.decode(received).image[None])
        key_bpp = bits_on_wire(message).get("key", 0) / message.num_pixels
        results.append({"rate": rate, "key_share": share, "bpp": bpp(message), "key_bpp": key_bpp})
    target = photo[None]
    metrics: dict[str, Callable[[Tensor], Tensor]] = {  # one at a time: each keeps the original's features
        "lpips": lambda picture: lpips(picture, target),
        "dists": lambda picture: dists(picture, target),
        "lpips_key": lambda picture: region_lpips(picture, target, key_map[None]),
        "dists_key": lambda picture: dists(torch.where(mask, picture, target)[box], target[box]),
        "dists_box": lambda picture: dists(picture[box], target[box]),
    }
    for name, metric in metrics.items():
        for row, picture in zip(results, pictures, strict=True):
            row[name] = metric(picture).item()
    for row in results:
        row["sum"] = sum(row[name] for name in METRICS)
    return results


def remembering(encode: Callable[..., bytes]) -> Callable[..., bytes]:
    """The AV1 encoder, each coding made once: the shares of one picture ask for the same ones."""
    made: dict[tuple[Any, ...], bytes] = {}

    def remembered(thumb: NDArray[np.uint8], *settings: int) -> bytes:
        key = (thumb.tobytes(), *settings)
        if key not in made:
            made[key] = encode(thumb, *settings)
        return made[key]

    return remembered


def summarise(rows: list[dict[str, Any]], rates: list[str], shares: list[float]) -> list[dict[str, Any]]:
    """Means over pictures, and of the differences from the first share with their 95 % intervals."""
    out = []
    for rate in rates:
        first = [row for row in rows if (row["rate"], row["key_share"]) == (rate, shares[0])]
        for share in shares:
            cell = [row for row in rows if (row["rate"], row["key_share"]) == (rate, share)]
            entry: dict[str, Any] = {"rate": rate, "key_share": share, "num_images": len(cell)}
            entry |= {name: mean(row[name] for row in cell) for name in ("bpp", "key_bpp", *REPORTED)}
            for name in REPORTED:
                gains = [row[name] - other[name] for row, other in zip(cell, first, strict=True)]
                entry[f"{name}_difference"] = mean(gains)
                if len(gains) > 1:
                    entry[f"{name}_difference_half_width_95"] = half_width(gains)
            out.append(entry)
    return out


def pays(row: dict[str, Any]) -> bool:
    """Whether a share is none, or surely better than none and not at the whole picture's cost."""

    def bounds(name: str) -> tuple[float, float]:
        change, half = row[f"{name}_difference"], row.get(f"{name}_difference_half_width_95", 0.0)
        return change - half, change + half

    better, harmless = bounds("sum")[1] < 0, all(bounds(name)[0] <= 0 for name in ("lpips", "dists"))
    return row["key_share"] == 0 or (better and harmless)


def write_table(folder: Path, results: list[dict[str, Any]], command: str) -> None:
    """Part `key_shares`: the best share per rate."""
    rates = sorted({row["rate"] for row in results}, key=RATES.__getitem__)
    best = [
        min((row for row in results if row["rate"] == rate and pays(row)), key=lambda row: row["sum"])
        for rate in rates
    ]
    tensors = {
        "bpp": torch.tensor([RATES[rate] for rate in rates]),
        "share": torch.tensor([row["key_share"] for row in best]),
    }
    card = {"command": command, "chosen_by": RULE, "results": results}
    write_part(folder, "key_shares", {}, tensors, card | provenance())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--rates", nargs="+", choices=list(RATES), default=list(RATES))
    parser.add_argument("--shares", nargs="+", type=float, default=[0.0, 0.12, 0.25])
    parser.add_argument("--profile", default="tiny")
    parser.add_argument("--table", type=Path, help="profile folder that receives the table")
    arguments = parser.parse_args()
    system = SemanticSystem(arguments.profile, SemanticOptions(caption="none"))
    largest = sorted(list_photos([str(arguments.folder)]), key=lambda p: (-images.load(p).numel(), p))
    hci.encode = remembering(hci.encode)
    command, file = "python " + " ".join(sys.argv), RESULTS / f"split_{arguments.folder.name}.json"
    rows: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for path in largest:
        if len({row["image"] for row in rows}) == arguments.images:
            break
        found = measure(system, images.load(path), arguments.rates, arguments.shares)
        rows += [{"image": path.name} | row for row in found]
        sys.stdout.write(f"{path.name}: {len(found)} points\n")
        sys.stdout.flush()
        if found:  # an interrupted run leaves what it has
            results = summarise(rows, arguments.rates, arguments.shares)
            document = {"command": command, "results": results, "images": rows} | provenance()
            file.write_text(json.dumps(document, indent=1) + "\n")
            if arguments.table is not None:
                write_table(arguments.table, results, command)
    for row in results:
        sys.stdout.write(
            f"{row['rate']} {row['key_share']:.2f}: bpp {row['bpp']:.4f} ({row['key_bpp']:.4f} key)  "
            + "  ".join(f"{n} {row[n]:.4f} ({row[n + '_difference']:+.4f})" for n in METRICS)
            + "\n"
        )


if __name__ == "__main__":
    main()
