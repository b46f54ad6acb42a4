"""Kodak quality against hours of training, from the history of the committed weights and results.

    python benchmarks/training_curve.py

Every commit that wrote benchmarks/results/kodak.json measured the weights it carries; their cards say how
long they were trained: minutes on a GPU count as those that two cores would need for as many crops, and
what one run trained together counts once. Codec changes between two commits (grain, HCI search, …) are part
of the curve: their subject lines stand beside the numbers. Writes training_curve.json and .png in
benchmarks/results.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from semcom.provenance import provenance

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
KODAK = "benchmarks/results/kodak.json"
CARDS = "semcom/profiles/tiny"
STAGES = ("enhancer", "decoder")
METRICS = ("bpp", "lpips", "dists")


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def minutes(card: dict[str, Any] | None) -> float:
    """Of training, as on two cores, earlier runs that the card tells of included."""
    if not card:
        return 0.0
    return card.get("equivalent_minutes", card["minutes"]) + minutes(card.get("earlier_run"))


def points() -> list[dict[str, Any]]:
    """One a commit and system, oldest first."""
    rows = []
    for commit in reversed(git("log", "--format=%h", "--", KODAK).split()):
        cards = {stage: json.loads(git("show", f"{commit}:{CARDS}/{stage}.card.json")) for stage in STAGES}
        if cards["decoder"]["stage"] == "joint":
            del cards["decoder"]
        hours = {stage: round(minutes(card) / 60, 2) for stage, card in cards.items()}
        for result in json.loads(git("show", f"{commit}:{KODAK}"))["results"]:
            if result["system"].startswith("semantic"):
                row: dict[str, Any] = {
                    "commit": commit,
                    "change": git("log", "-1", "--format=%s", commit).strip(),
                }
                row |= {"system": result["system"], "training_hours": hours}
                rows.append(row | {name: result[name] for name in METRICS})
    return rows


def draw(rows: list[dict[str, Any]], file: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for axis, metric in zip(axes, ("lpips", "dists"), strict=True):
        for system in sorted({row["system"] for row in rows}):
            own = [row for row in rows if row["system"] == system]
            axis.plot(
                [sum(row["training_hours"].values()) for row in own],
                [row[metric] for row in own],
                "o-",
                label=system,
            )
        axis.set(xlabel="hours of training (as on two cores)", ylabel=metric.upper())
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(file, dpi=120)


def main() -> None:
    rows = points()
    document = {"command": "python " + " ".join(sys.argv), "results": rows} | provenance()
    (RESULTS / "training_curve.json").write_text(json.dumps(document, indent=1) + "\n")
    draw(rows, RESULTS / "training_curve.png")
    for row in rows:
        hours, metrics = row["training_hours"], "  ".join(f"{name} {row[name]:.4f}" for name in METRICS)
        sys.stdout.write(f"{row['commit']} {row['system']}: {hours}  {metrics}\n")


if __name__ == "__main__":
    main()
