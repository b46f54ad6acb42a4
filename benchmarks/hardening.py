"""What hardening costs: send and sweep of this checkout against those of an earlier commit, in pairs.

    python benchmarks/hardening.py --before 06b1010

On an idle machine. 06b1010 is the commit that was reviewed, before checks of messages, pictures, profiles,
scenarios and run folders came in. Other things have changed speed since (encoding is quicker, receivers and
metrics are others), so the ratios are those of whole commands, not of the checks alone; `engine`, a sweep
of toys that compute nothing, comes nearest to these. The channel is AWGN, known to the receiver, and the
MCSs are fixed, which both commits do.

Both sides of a pair run one after the other, now one first, now the other. Each number is the median of the
ratios after/before of the pairs, with the interval between order statistics that holds the median with 95
%. Every pair is kept in benchmarks/results/hardening.json; the command goes on from what is there for the
same two commits.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from math import comb
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "hardening.json"
SIDES = ("before", "after")
LINK = """\
channel: {model: awgn}
ofdm: {csi: perfect}
classes: {critical: {mcs: 1}, base: {mcs: 4}, detail: {mcs: 9}}
"""
SWEEP = """\
name: paired
images: [sample:*]
systems: {semantic: {}, avif: {}}
link:
  channel: {model: awgn}
  ofdm: {csi: perfect}
  classes: {critical: {mcs: 1}, base: {mcs: 4}, detail: {mcs: 9}}
budget: {cbr: 0.02}
grid: {snr_db: [5, 15]}
stop: {trials: 3}
"""
COMMAND = "from semcom.cli.main import app; app()"
ENGINE = """
import inspect, sys
sys.path.insert(0, "tests/sweep")
from semcom.sweep import api
scenario = {
    "name": "toys",
    "images": ["sample:*"],
    "systems": {"toy": {"system": "sweep_toys:ToySystem"}},
    "link": {"kind": "sweep_toys:ToyLink"},
    "budget": {"bpp": 1.0},
    "grid": {"snr_db": list(range(-10, 31))},
    "stop": {"trials": 60},
    "metrics": ["sweep_toys:mse"],
    "pictures": 0,
}
new = {"allow_imports": True} if "allow_imports" in inspect.signature(api.run).parameters else {}
api.run(scenario, sys.argv[1], executor="serial", show_progress=False, **new)
"""


def main() -> None:
    arguments = _arguments()
    commits = {"before": _commit(arguments.before), "after": _commit("HEAD")}
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if known.get("commits") != commits:
        known = {"commits": commits, "pairs": {}}
    with tempfile.TemporaryDirectory() as folder:
        places = {side: Path(folder) / side for side in SIDES}
        for side, place in places.items():
            _git("worktree", "add", "--detach", "--force", str(place), commits[side])
        try:
            for number in range(arguments.pairs):
                for name in arguments.only:
                    pairs = known["pairs"].setdefault(name, [])
                    if len(pairs) > number:
                        continue
                    order = SIDES if number % 2 else SIDES[::-1]
                    seconds = {side: _seconds(name, places[side], Path(folder)) for side in order}
                    pairs.append(seconds)
                    _write(known)
        finally:
            for place in places.values():
                _git("worktree", "remove", "--force", str(place))


def median_interval(values: list[float]) -> tuple[float, float]:
    """Order statistics between which the median lies with at least 95 %, of six values or more."""
    ordered, n = sorted(values), len(values)
    outside = 0
    while 2 * sum(comb(n, k) for k in range(outside + 2)) / 2**n <= 0.05:
        outside += 1
    return ordered[outside], ordered[n - 1 - outside]


def _seconds(name: str, checkout: Path, folder: Path) -> dict[str, float]:
    """Wall-clock and processor time of one command in a checkout."""
    out = tempfile.mkdtemp(dir=folder)
    (folder / "link.yaml").write_text(LINK)
    (folder / "sweep.yaml").write_text(SWEEP)
    photo, link = "semcom/samples/coffee.png", str(folder / "link.yaml")
    words = {
        "send": [COMMAND, "send", photo, "--link", link, "--cbr", "0.02", "--snr-db", "15", "--out", out],
        "sweep": [COMMAND, "sweep", "run", str(folder / "sweep.yaml"), "--out", out, "--executor", "serial"],
        "engine": [ENGINE, out],
    }[name]
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": str(os.cpu_count())}
    used, start = os.times(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", *words], cwd=checkout, env=environment, check=True, capture_output=True
    )
    wall, now = time.perf_counter() - start, os.times()
    processor = now.children_user + now.children_system - used.children_user - used.children_system
    return {"seconds": round(wall, 3), "cpu_seconds": round(processor, 3)}


def _write(known: dict) -> None:
    from semcom.provenance import provenance

    for name, pairs in known["pairs"].items():
        for clock in ("seconds", "cpu_seconds"):
            ratios = [pair["after"][clock] / pair["before"][clock] for pair in pairs]
            found = {"pairs": len(ratios), "median_ratio": round(statistics.median(ratios), 4)}
            if len(ratios) > 5:
                found["interval"] = [round(edge, 4) for edge in median_interval(ratios)]
            known.setdefault("ratios", {}).setdefault(name, {})[clock] = found
            print(f"{name} {clock}: {found}", flush=True)
    command = "python " + " ".join(sys.argv)
    RESULTS.write_text(json.dumps(known | {"command": command} | provenance(), indent=1) + "\n")


def _commit(name: str) -> str:
    return _git("rev-parse", "--short=12", name)


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", required=True, metavar="COMMIT")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--only", nargs="+", default=["send", "sweep", "engine"], help="what to measure")
    return parser.parse_args()


if __name__ == "__main__":
    main()
