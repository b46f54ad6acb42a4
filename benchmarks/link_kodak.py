"""Kodak over the air: every system at equal channel uses, each as its sender chooses for the SNR.

    python benchmarks/link_kodak.py                              24 images, 3 CBRs, 6 SNRs; hours
    python benchmarks/link_kodak.py --images 8 --trials 5        a part of it: every third picture
    python benchmarks/link_kodak.py --systems semantic avif      some systems
    python benchmarks/link_kodak.py --systems semantic --keep    one again, beside what the others had

OFDM over TDL-A, 100 ns, 3 km/h, channel estimated from pilots; MCS table 3 (TS 38.214, Table 5.1.3.1-3),
whose lowest schemes reach −5 dB and whose highest are more than any system wants at 20 dB. The other systems
have the best MCS of the whole table as predicted, which the abstraction link settles before anything is
measured; `semantic` chooses for each picture by the table of its profile (`semcom.chooser`), no picture of
Kodak in the loop. All systems meet the same ten fades a picture, so that differences are paired; a message
that arrives as one before it did is decoded and measured once, and most of a burst is lost or arrives as a
whole. Interrupt it with Ctrl-C and give the same command to go on: finished points are not repeated, also
with another number of images or trials.
Writes benchmarks/results/link_kodak.json and plots into benchmarks/results/link_kodak/. With `--keep` the
rows of systems that are not asked for stay, `kept` says which run they are of, and the sheets of pictures,
which need everybody's, stay as they are.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from semcom.bench import run, sheets
from semcom.bench.plots import write_plots
from semcom.bench.spec import BenchSpec

RESULTS = Path(__file__).parent / "results"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "kodak"
OF_THEIR_OWN: dict[str, dict[str, Any]] = {
    "semantic": {"mcs": "auto"},
    "deepjscc": {"mcs": "none"},
    "avif-fixed": {"system": "avif", "mcs": "fixed"},  # at QPSK, rate 0.30 for all SNRs: the cliff
}
SYSTEMS = ("semantic", "jpeg", "jpeg2000", "webp", "avif", "avif-fixed", "jxl", "hevc", "deepjscc")
LINK = {
    "channel": {"model": "tdl-a", "delay_spread_ns": 100, "speed_kmh": 3},
    "mcs_table": 3,
    "classes": {"critical": {"mcs": 7}, "base": {"mcs": 10}, "detail": {"mcs": 15}},  # of `avif-fixed`
}
METRICS = ("dists", "lpips", "ms_ssim", "psnr")


def benchmark(arguments: argparse.Namespace) -> BenchSpec:
    """What is simulated."""
    paths = sorted(arguments.data.glob("*.png"))
    return BenchSpec.model_validate(
        {
            "name": "link_kodak",
            "description": "Kodak at equal channel uses, OFDM TDL-A 100 ns, 3 km/h, estimated CSI",
            "images": [str(path) for path in paths[:: max(1, len(paths) // arguments.images)]],
            "systems": {name: OF_THEIR_OWN.get(name, {}) for name in arguments.systems},
            "link": LINK,
            "budgets": {"cbr": [1 / inverse for inverse in arguments.inverse_cbr]},
            "snr_db": arguments.snr_db,
            "metrics": METRICS,
            "trials": arguments.trials,
            "confirm": arguments.confirm,
            "adapt_to": arguments.adapt_to,
            "pictures": min(4, arguments.images),
        }
    )


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS))
    parser.add_argument("--inverse-cbr", nargs="+", type=int, default=[384, 192, 96])
    parser.add_argument("--snr-db", nargs="+", type=float, default=[-5, 0, 5, 10, 15, 20])
    parser.add_argument("--trials", type=int, default=10, help="channel realisations per image and point")
    parser.add_argument("--confirm", type=int, default=2, help="MCSs per metric that are sent bit by bit")
    parser.add_argument("--adapt-to", nargs="*", default=[], help="metrics that MCSs are chosen for: all")
    parser.add_argument("--keep", action="store_true", help="rows that --out has of other systems")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--folder", type=Path, default=Path("runs/link_kodak"))
    parser.add_argument("--out", type=Path, default=RESULTS / "link_kodak.json")
    return parser


def differences(spec: BenchSpec, earlier: dict[str, Any]) -> list[str]:
    """In what a document's run was not like the one wanted, its systems and SNRs aside."""
    wanted = {
        "images": [Path(image).name for image in spec.images],
        "budget_unit": spec.budgets.unit,
        "metrics": list(spec.metrics),
        "link": spec.link,
        "trials": spec.trials,
    }
    had = earlier | {"metrics": list(earlier["metrics"])}
    return [name for name in wanted if wanted[name] != had[name]]


def with_kept(data: dict[str, Any], earlier: dict[str, Any], new: Collection[str]) -> dict[str, Any]:
    """A document with the rows that an earlier one has of systems that are not `new`."""
    kept, missing = ([r for r in earlier[key] if r["system"] not in new] for key in ("results", "missing"))
    run_of = {name: earlier[name] for name in ("command", "commit", "versions")}
    origins = {row["system"]: run_of for row in kept} | {
        system: origin for system, origin in earlier.get("kept", {}).items() if system not in new
    }
    return data | {
        "results": data["results"] + kept,
        "missing": data["missing"] + missing,
        "kept": origins,
    }


def main() -> None:
    arguments = parser().parse_args()
    spec, earlier = benchmark(arguments), {}
    if arguments.keep:
        if not arguments.out.exists():
            parser().error(f"--keep: there is no {arguments.out} to keep rows of")
        earlier = json.loads(arguments.out.read_text())
        if other := differences(spec, earlier):
            parser().error(f"--keep: {arguments.out} is of another benchmark: {', '.join(other)} differ")
    data = run.run(
        spec,
        arguments.folder,
        command="python " + " ".join(sys.argv),
        workers=arguments.workers,
        shown=sys.stderr.isatty(),
        announce=lambda message: sys.stderr.write(message + "\n"),
    )
    plots, pictures = arguments.out.with_suffix(""), []
    if arguments.keep:
        data = with_kept(data, earlier, spec.systems)
    else:
        pictures = sheets.write_sheets(data, arguments.folder, plots, METRICS[0])
    arguments.out.write_text(json.dumps(data, indent=1) + "\n")
    drawn = write_plots(data, plots) + pictures
    sys.stdout.write(
        f"{arguments.out}: {len(data['results'])} rows, {len(data['missing'])} missing, {len(drawn)} plots, "
        f"{data['wall_seconds']:.0f} s\n"
    )


if __name__ == "__main__":
    main()
