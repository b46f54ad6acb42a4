"""Over the air by the sender's own choice: `semantic` beside DeepJSCC at equal channel uses, paired fades.

    python benchmarks/air.py                                  8 Kodak pictures, 3 CBRs, 6 SNRs, 3 fades; hours
    python benchmarks/air.py --images 2 --trials 1            a part of it
    python benchmarks/air.py --sheet benchmarks/results/air.jpg

OFDM over TDL-A, 100 ns, 3 km/h, channel estimated from pilots (`ls-cp`), MCS table 3, no feedback: the sender
knows the SNR and the statistics. Every picture meets the same fades with every system. Rows are kept as they
are made (--rows), so the command continues where it was interrupted; the summary is of what is there, with
95 % intervals of the mean difference over pictures and fades (bootstrap over pictures).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from channels.links.digital import DigitalLink
from channels.spec import LinkSpec
from semcom.adaptation import McsWish, adapt_message
from semcom.contracts import Budget, System
from semcom.link import ChannelLink
from semcom.metrics.dists import dists
from semcom.metrics.lpips import lpips
from semcom.metrics.psnr import psnr
from semcom.picture import images
from semcom.picture.pixels import to_pixels
from semcom.provenance import provenance
from semcom.seeds import derive
from semcom.systems import build

HERE = Path(__file__).parent
DATA = HERE.resolve().parents[1] / "shared" / "data" / "kodak"
SYSTEMS: dict[str, dict[str, Any]] = {"semantic": {}, "deepjscc": {}}
METRICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"dists": dists, "lpips": lpips, "psnr": psnr}
LINK = {"channel": {"model": "tdl-a", "delay_spread_ns": 100, "speed_kmh": 3}, "mcs_table": 3}
_RESAMPLES = 2000


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--images", nargs="+", default=["09", "21", "03", "15", "08", "23", "05", "13"])
    parser.add_argument("--inverse-cbr", nargs="+", type=int, default=[384, 192, 96])
    parser.add_argument("--snr-db", nargs="+", type=float, default=[-5, 0, 5, 10, 15, 20])
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--profile", default="tiny")
    parser.add_argument("--rows", type=Path, default=Path("runs/air.jsonl"))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "air.json")
    parser.add_argument(
        "--sheet", type=Path, help="JPEG of the first fade's pictures, SNRs from left to right"
    )
    return parser


def points(arguments: argparse.Namespace) -> Iterator[tuple[int, float, int, str, str]]:
    """The lowest CBR first, and every picture once before the next fade."""
    for inverse_cbr in arguments.inverse_cbr:
        for trial in range(arguments.trials):
            for name in arguments.images:
                for snr_db in arguments.snr_db:
                    for system in arguments.systems:
                        yield inverse_cbr, snr_db, trial, name, system


@torch.no_grad()
def main() -> None:
    arguments = parser().parse_args()
    torch.set_num_threads(1)
    arguments.rows.parent.mkdir(parents=True, exist_ok=True)
    done = _read(arguments.rows)
    SYSTEMS["semantic"]["profile"] = arguments.profile
    systems = {name: build(name, **SYSTEMS[name]) for name in arguments.systems}
    for key in points(arguments):
        if key not in done:
            row, picture = _measured(systems[key[-1]], key, arguments.data)
            done[key] = row
            with arguments.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
            if key[2] == 0:
                _kept(arguments.rows, key).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(to_pixels(picture)).save(_kept(arguments.rows, key), quality=92)
    document = {"command": "python " + " ".join(sys.argv), "link": LINK, "summary": _summary(done)}
    document |= {"rows": list(done.values())} | provenance()
    arguments.out.write_text(json.dumps(document, indent=1) + "\n")
    if arguments.sheet:
        _sheet(arguments, done)


def _measured(
    system: System, key: tuple[int, float, int, str, str], data: Path
) -> tuple[dict[str, Any], Tensor]:
    inverse_cbr, snr_db, trial, name, _ = key
    photo, spec = images.load(data / f"kodim{name}.png"), LinkSpec.model_validate(LINK)
    height, width = photo.shape[-2:]
    adapted = adapt_message(
        system,
        photo,
        spec,
        lambda link: Budget.of_cbr(1 / inverse_cbr, width, height, link),
        snr_db,
        McsWish.parse("auto"),
    )
    link = ChannelLink(DigitalLink(adapted.spec))
    (received,) = link.send([adapted.message], snr_db, [derive(0, name, trial)])
    result = system.decode(received)
    pair = result.image[None], photo[None]
    row = dict(zip(("inverse_cbr", "snr_db", "trial", "image", "system"), key, strict=True))
    row |= {metric: round(function(*pair).item(), 4) for metric, function in METRICS.items()}
    row |= {
        "sent": adapted.reason,
        "expected": dict(adapted.expected_quality),
        "channel_uses": received.report.channel_uses,
        "notes": list(result.notes),
    }
    return row, result.image


def _read(path: Path) -> dict[tuple[int, float, int, str, str], dict[str, Any]]:
    lines = path.read_text().splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    return {(r["inverse_cbr"], r["snr_db"], r["trial"], r["image"], r["system"]): r for r in rows}


def _kept(rows: Path, key: tuple[int, float, int, str, str]) -> Path:
    return rows.with_suffix("") / ("_".join(map(str, key)) + ".jpg")


def _summary(done: dict[tuple[int, float, int, str, str], dict[str, Any]]) -> list[dict[str, Any]]:
    """Per point the means, and the difference from DeepJSCC with its interval where both are there."""
    table: dict[tuple[int, float], dict[str, dict[tuple[str, int], dict[str, Any]]]]
    table = defaultdict(lambda: defaultdict(dict))
    for (inverse_cbr, snr_db, trial, name, system), row in done.items():
        table[inverse_cbr, snr_db][system][name, trial] = row
    summary = []
    for (inverse_cbr, snr_db), by_system in sorted(table.items(), reverse=True):
        line: dict[str, Any] = {"inverse_cbr": inverse_cbr, "snr_db": snr_db}
        for system, rows in by_system.items():
            line[system] = {m: round(float(np.mean([r[m] for r in rows.values()])), 4) for m in METRICS}
            line[system]["n"] = len(rows)
        both = by_system["semantic"].keys() & by_system["deepjscc"].keys()
        line["difference"] = {m: _difference(by_system, sorted(both), m) for m in METRICS if both}
        summary.append(line)
    return summary


def _difference(
    rows: dict[str, dict[tuple[str, int], dict[str, Any]]], both: list[tuple[str, int]], metric: str
) -> dict[str, float | int | None]:
    by_picture: dict[str, list[float]] = defaultdict(list)
    for key in both:
        by_picture[key[0]].append(rows["semantic"][key][metric] - rows["deepjscc"][key][metric])
    means = np.array([np.mean(values) for values in by_picture.values()])
    drawn = np.random.default_rng(0).integers(0, len(means), (_RESAMPLES, len(means)))
    low, high = np.quantile(means[drawn].mean(1), (0.025, 0.975)) if len(means) > 1 else (None, None)
    bounds = {"low": low, "high": high}
    return {"mean": round(float(means.mean()), 4), "pictures": len(means)} | {
        name: None if value is None else round(float(value), 4) for name, value in bounds.items()
    }


def _sheet(
    arguments: argparse.Namespace, done: dict[tuple[int, float, int, str, str], dict[str, Any]]
) -> None:
    """Pictures of the lowest CBR at a third of their size: rows are pictures, columns SNRs."""
    keys = [
        [(arguments.inverse_cbr[0], snr_db, 0, name, "semantic") for snr_db in arguments.snr_db]
        for name in arguments.images
    ]
    keys = [[key for key in row if key in done] for row in keys]
    size = (384, 256)
    width = max(map(len, keys))
    sheet = Image.new("RGB", (size[0] * width, size[1] * len(keys)))
    for y, row in enumerate(keys):
        for x, key in enumerate(row):
            picture = images.read(_kept(arguments.rows, key))
            sheet.paste(picture.resize(size), (x * size[0], y * size[1]))
    sheet.save(arguments.sheet, quality=85)


if __name__ == "__main__":
    main()
