"""Over the air by the sender's own choice: what each part of it is worth, and what a wrong SNR costs.

    python benchmarks/air.py --inverse-cbr 192 --systems semantic no-base no-analog no-adapters equal
    python benchmarks/air.py --inverse-cbr 192 --systems semantic believes-6 believes-3 believes+3 believes+6
    python benchmarks/air.py --images 09 21 15 23 --sheet benchmarks/results/air.jpg

`no-base` has no base picture, `no-analog` only packets, `no-adapters` the enhancer as it was before it saw a
noisy picture, `equal` one MCS for everything; `believes+3` chooses for an SNR that is 3 dB too high.
OFDM over TDL-A, 100 ns, 3 km/h, channel estimated from pilots (`ls-cp`), MCS table 3, no feedback: the sender
knows the SNR and the statistics. Every picture meets the same fades with every system; what arrives as one
before it did is decoded and measured once. Rows are kept as they are made (--rows), so the command continues
where it was interrupted; the summary is of what is there: means, and `less`, the difference of `semantic`
from each other system, with 95 % intervals over the pictures (bootstrap).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from channels.links.digital import DigitalLink
from channels.spec import LinkSpec
from semcom.adaptation import Adapted, McsWish, adapt_message
from semcom.chooser import Situation
from semcom.contracts import Budget, System
from semcom.link import ChannelLink
from semcom.mcs import mcs_by_rate
from semcom.metrics.dists import dists
from semcom.metrics.lpips import lpips
from semcom.metrics.psnr import psnr
from semcom.picture import images
from semcom.picture.pixels import to_pixels
from semcom.provenance import provenance
from semcom.seeds import derive
from semcom.semantic import SemanticSystem
from semcom.systems import build

HERE = Path(__file__).parent
DATA = HERE.resolve().parents[1] / "shared" / "data" / "kodak"
OPTIONS: dict[str, dict[str, Any]] = {
    "semantic": {},
    "no-base": {"base": "off"},
    "no-analog": {"mode": "digital"},
    "no-adapters": {"adapters": False},
    "equal": {},
    "believes-6": {},
    "believes-3": {},
    "believes+3": {},
    "believes+6": {},
}
SYSTEMS = [*OPTIONS, "deepjscc"]
METRICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"dists": dists, "lpips": lpips, "psnr": psnr}
LINK = {"channel": {"model": "tdl-a", "delay_spread_ns": 100, "speed_kmh": 3}, "mcs_table": 3}
FADES = 200
"""That the sender's expectation is over."""
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
    parser.add_argument("--systems", nargs="+", default=["semantic", "deepjscc"], choices=SYSTEMS)
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
    semantic = SemanticSystem(arguments.profile)
    systems = {
        name: semantic.with_options(**OPTIONS[name]) if name in OPTIONS else build(name)
        for name in arguments.systems
    }
    known: dict[object, tuple[dict[str, float], Tensor]] = {}
    for key in points(arguments):
        if key not in done:
            row, picture = _measured(systems[key[-1]], key, arguments.data, known)
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
    system: System, key: tuple[int, float, int, str, str], data: Path, known: dict[object, Any]
) -> tuple[dict[str, Any], Tensor]:
    inverse_cbr, snr_db, trial, name, label = key
    photo, spec = images.load(data / f"kodim{name}.png"), LinkSpec.model_validate(LINK)
    height, width = photo.shape[-2:]
    adapted = _adapted(system, photo, spec, round(3 * height * width / inverse_cbr), snr_db, label)
    link = ChannelLink(DigitalLink(adapted.spec))
    (received,) = link.send([adapted.message], snr_db, [derive(0, name, trial)])
    streams = name, label == "no-adapters", [(s.name, s.chunks) for s in received.streams]
    content = sha256(repr(streams).encode()).digest()
    if content not in known:
        result = system.decode(received)
        pair = result.image[None], photo[None]
        values = {metric: round(function(*pair).item(), 4) for metric, function in METRICS.items()}
        known[content] = values | {"notes": list(result.notes)}, result.image
    values, picture = known[content]
    row = dict(zip(("inverse_cbr", "snr_db", "trial", "image", "system"), key, strict=True))
    row |= {
        **values,
        "sent": adapted.reason,
        "expected": dict(adapted.expected_quality),
        "channel_uses": received.report.channel_uses,
    }
    return row, picture


def _adapted(system: System, photo: Tensor, spec: LinkSpec, limit: int, snr_db: float, label: str) -> Adapted:
    """What is sent: `equal` takes, of all MCSs that may carry everything, the best expected."""

    def adapted(mcs: str | int) -> Adapted:
        believed = snr_db + float(label.removeprefix("believes") if label.startswith("believes") else 0)
        budget = partial(Budget.of_channel_uses, limit)
        return adapt_message(system, photo, spec, budget, believed, McsWish.parse(mcs), FADES)

    if label != "equal":
        return adapted("auto")
    assert isinstance(system, SemanticSystem)
    seeds = [derive(0, "adaptation", i) for i in range(FADES)]
    known = Situation(spec, limit, photo.shape[-1], photo.shape[-2], snr_db, seeds)
    found = {}
    for mcs in mcs_by_rate(spec):
        fixed = dict.fromkeys(("critical", "base", "detail"), mcs)
        digital = [choice for choice, _ in system.over_the_air(known, fixed)]
        found |= {mcs: digital[0].rank} if digital else {}
    automatic = next(choice for choice, _ in system.over_the_air(known, {}))
    best = min(found, key=found.__getitem__, default=None)
    return adapted("auto" if best is None or automatic.mode == "analog" else best)


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
            line[system] |= {"n": len(rows), "grey": sum("grey" in str(r["notes"]) for r in rows.values())}
            if system != "semantic" and (both := sorted(by_system["semantic"].keys() & rows.keys())):
                ours = by_system["semantic"]
                line[system]["less"] = {m: _difference(ours, rows, both, m) for m in METRICS}
        summary.append(line)
    return summary


def _difference(
    ours: dict[tuple[str, int], dict[str, Any]],
    theirs: dict[tuple[str, int], dict[str, Any]],
    both: list[tuple[str, int]],
    metric: str,
) -> dict[str, float | int | None]:
    by_picture: dict[str, list[float]] = defaultdict(list)
    for key in both:
        by_picture[key[0]].append(ours[key][metric] - theirs[key][metric])
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
