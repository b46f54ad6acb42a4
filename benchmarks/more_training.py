"""What further training of a profile is worth: the same pictures through two profiles, paired.

    cp -r semcom/profiles/tiny runs/more
    semcom train enhancer --data ../shared/data/photos/train '../shared/data/masks/*/train/*.webp' \\
        --validation ../shared/data/photos/val --profile runs/more --minutes 48
    python benchmarks/more_training.py ../shared/data/photos/val ../shared/data/kodak --after runs/more

The transmitter is that of the first profile, so the bytes are the same; the receivers run in bfloat16. Writes
benchmarks/results/more_training.json: means, and mean differences with their 95 % intervals over pictures.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import mean
from typing import Any

from rich.progress import track

from semcom.contracts import Budget
from semcom.intervals import half_width
from semcom.link import PerfectLink
from semcom.metrics.dists import dists
from semcom.metrics.lpips import lpips
from semcom.packets import bpp
from semcom.picture import images
from semcom.profile import Profile
from semcom.provenance import provenance
from semcom.semantic import SemanticSystem
from semcom.train.data.crops import list_photos

RESULTS = Path(__file__).parent / "results"
METRICS = {"lpips": lpips, "dists": dists}


def measure(before: SemanticSystem, after: SemanticSystem, path: Path, limit: float) -> dict[str, Any]:
    """Both profiles' metrics of a picture."""
    photo = images.load(path)
    message = before.encode(photo, Budget.of_bpp(limit, photo.shape[2], photo.shape[1]))
    (received,) = PerfectLink().send([message], 0.0, [0])
    row: dict[str, Any] = {"image": path.name, "bpp": bpp(message)}
    for name, system in (("before", before), ("after", after)):
        picture = system.decode(received).image[None]
        row |= {f"{metric}_{name}": of(picture, photo[None]).item() for metric, of in METRICS.items()}
    return row


def summarise(folder: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means of the first profile, and of the differences."""
    result: dict[str, Any] = {"folder": folder, "num_images": len(rows), "bpp": mean(r["bpp"] for r in rows)}
    for metric in METRICS:
        changes = [row[f"{metric}_after"] - row[f"{metric}_before"] for row in rows]
        result[metric] = mean(row[f"{metric}_before"] for row in rows)
        result[f"{metric}_change"] = mean(changes)
        result[f"{metric}_change_half_width_95"] = half_width(changes)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--before", default="tiny")
    parser.add_argument("--after", required=True)
    parser.add_argument("--bpp", type=float, default=0.0363)
    parser.add_argument("--images", type=int, default=48, help="at most so many of each folder, the largest")
    arguments = parser.parse_args()
    before, after = (
        SemanticSystem(profile, quantization="bf16") for profile in (arguments.before, arguments.after)
    )
    results, rows = [], []
    for folder in arguments.folders:
        paths = sorted(list_photos([folder]), key=lambda path: (-images.load(path).numel(), path))
        found = [
            measure(before, after, path, arguments.bpp)
            for path in track(paths[: arguments.images], description=Path(folder).name)
        ]
        rows += found
        results.append(summarise(folder, found))
    trained = Profile.open(arguments.after).card("enhancer")
    document = {
        "command": "python " + " ".join(sys.argv),
        "results": results,
        "trained": {name: trained[name] for name in ("minutes", "steps", "batch_size", "learning_rate")},
        "images": rows,
    }
    (RESULTS / "more_training.json").write_text(json.dumps(document | provenance(), indent=1) + "\n")
    for result in results:
        sys.stdout.write(
            f"{result['folder']}: "
            + "  ".join(
                f"{metric} {result[metric]:.4f} {result[metric + '_change']:+.4f}"
                f" ± {result[metric + '_change_half_width_95']:.4f}"
                for metric in METRICS
            )
            + "\n"
        )


if __name__ == "__main__":
    main()
