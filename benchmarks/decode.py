"""Time of the receiver against an older version's: pairs, one after the other, in processes of their own.

    git worktree add ../before COMMIT
    python benchmarks/decode.py ../before ../shared/data/kodak/kodim08.png             this processor's best
    python benchmarks/decode.py ../before ../shared/data/kodak/kodim08.png --isa AVX2  as on a lesser one

Every process encodes the picture, decodes it once unmeasured and then `--repeats` times, and says the median.
Pairs alternate in order, so that a machine that slows down slows both. Adds the median
of the pairs' ratios and its range to benchmarks/results/decode.json. Give it an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from semcom.provenance import provenance

RESULTS = Path(__file__).parent / "results"
_TIMED = """
import sys, time
from statistics import median
try:
    from semcom.picture import images
except ImportError:  # before version 0.2
    from semcom import images
from semcom.link import PerfectLink
from semcom.semantic import SemanticSystem
try:
    from semcom.contracts import Budget
except ImportError:
    from semcom.message import Budget
system = SemanticSystem()
image = images.load(sys.argv[1])
height, width = image.shape[-2:]
message = system.encode(image, Budget.of_bpp(0.0361, width, height))
received = PerfectLink().send([message], 0.0, [0])[0]
system.decode(received)
times = []
for _ in range(int(sys.argv[2])):
    begin = time.perf_counter()
    system.decode(received)
    times.append(time.perf_counter() - begin)
print(median(times))
"""


def seconds(checkout: Path, photo: Path, repeats: int, isa: str | None, threads: int) -> float:
    """Median time of a decoding by the version in a checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": str(threads)}
    if isa is not None:
        environment |= {"ONEDNN_MAX_CPU_ISA": isa, "ATEN_CPU_CAPABILITY": isa.lower()}
    command = [sys.executable, "-W", "ignore", "-c", _TIMED, str(photo.resolve()), str(repeats)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=checkout, check=False)
    if ran.returncode:
        raise SystemExit(f"{checkout}: {ran.stderr[-2000:]}")
    return float(ran.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("before", type=Path, help="checkout of the older version")
    parser.add_argument("photo", type=Path)
    parser.add_argument("--isa", help="as in ONEDNN_MAX_CPU_ISA: AVX2, AVX512_CORE, …")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS / "decode.json")
    options = parser.parse_args()
    here, pairs = Path(__file__).parents[1], []
    for number in range(options.pairs):
        order = [("before", options.before), ("now", here)][:: 1 if number % 2 else -1]
        pair = {
            name: seconds(checkout, options.photo, options.repeats, options.isa, options.threads)
            for name, checkout in order
        }
        pairs.append(pair)
        print(f"before {pair['before']:.3f} s, now {pair['now']:.3f} s: {pair['now'] / pair['before']:.3f}")
    ratios = sorted(pair["now"] / pair["before"] for pair in pairs)
    commit = subprocess.run(
        ["git", "-C", str(options.before), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    row = {
        "isa": options.isa or "all",
        "before": commit,
        "photo": options.photo.name,
        "before_seconds": median(pair["before"] for pair in pairs),
        "now_seconds": median(pair["now"] for pair in pairs),
        "ratio": median(ratios),
        "ratio_range": [ratios[0], ratios[-1]],
        "pairs": pairs,
        "command": " ".join(["python", *sys.argv]),
        **provenance(),
    }
    known = json.loads(options.out.read_text()) if options.out.exists() else []
    known = [one for one in known if (one["isa"], one["before"]) != (row["isa"], row["before"])] + [row]
    options.out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
