"""The README's table: where the semantic system wins, and where it loses, from a benchmark document.

<!-- bench:NAME -->     everything between the two marks is written by the command
<!-- /bench:NAME -->
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semcom.bench.document import best_rows
from semcom.bench.plots import fraction
from semcom.intervals import Difference
from semcom.metrics.registry import find, metric_names


def write_table(data: Mapping[str, Any], file: Path, system: str = "semantic") -> str:
    """Puts the table between the marks of a Markdown file, and returns it.

    Raises:
        ValueError: the marks are missing, or the document has no such system or nothing to compare it with.
    """
    begin, end = f"<!-- bench:{data['name']} -->", f"<!-- /bench:{data['name']} -->"
    text = file.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"{file} must have the marks {begin} and {end}, once and in this order")
    rendered = table(data, system)
    before, after = text[: text.index(begin) + len(begin)], text[text.index(end) :]
    file.write_text(f"{before}\n{rendered}\n{after}", encoding="utf-8")
    return rendered


def table(data: Mapping[str, Any], system: str = "semantic") -> str:
    """Markdown: one line per budget and SNR, in each cell the system against the best of the others."""
    systems = dict.fromkeys(row["system"] for row in data["results"])
    if system not in systems or len(systems) < 2:
        raise ValueError(f"nothing to compare: the document has the systems {', '.join(systems) or 'none'}")
    metrics = list(data["metrics"])
    duels = {metric: _duels(data, metric, system) for metric in metrics}
    places = sorted({place for found in duels.values() for place in found}, key=lambda p: (p[0], p[1] or 0.0))
    head = [data["budget_unit"].upper() if data["budget_unit"] == "cbr" else "bpp", "SNR (dB)"]
    arrows = {"higher": "↑", "lower": "↓"}
    lines = [
        _line([*head, *(f"{_label(m)} {arrows[data['metrics'][m]]}" for m in metrics)]),
        _line(["---"] * (len(metrics) + 2)),
    ]
    for budget, snr_db in places:
        cells = [_cell(metric, duels[metric].get((budget, snr_db))) for metric in metrics]
        lines.append(_line([fraction(budget), "–" if snr_db is None else f"{snr_db:g}", *cells]))
    return "\n".join([_verdict(data, system, duels), "", *lines])


@dataclass(frozen=True)
class _Duel:
    """The system's row and the best of the others, either may be missing.

    Attributes:
        difference: of a metric, ours minus theirs, turned so that above zero is better; None without both.
        paired: whether its interval is of differences picture by picture.
    """

    ours: Mapping[str, Any] | None
    theirs: Mapping[str, Any] | None
    difference: Difference | None
    paired: bool

    @property
    def verdict(self) -> str:
        """`wins`, `losses`, or `undecided` where the interval holds zero."""
        if self.difference is None or not self.difference.excludes_zero:
            return "undecided"
        return "wins" if self.difference.mean > 0 else "losses"


def _duels(data: Mapping[str, Any], metric: str, system: str) -> dict[tuple[float, float | None], _Duel]:
    places: dict[tuple[float, float | None], dict[str, Mapping[str, Any]]] = {}
    for row in best_rows(data, metric):
        places.setdefault((row["budget"], row["snr_db"]), {})[row["system"]] = row
    return {place: _duel(data, metric, rows, system) for place, rows in places.items()}


def _duel(data: Mapping[str, Any], metric: str, rows: Mapping[str, Mapping[str, Any]], system: str) -> _Duel:
    sign = 1 if data["metrics"][metric] == "higher" else -1
    others = [row for name, row in rows.items() if name != system]
    ours, theirs = rows.get(system), max(others, key=lambda row: sign * row[metric], default=None)
    if ours is None or theirs is None:
        return _Duel(ours, theirs, None, False)
    found = ours.get("differences", {}).get(metric, {}).get(theirs["system"])
    if found is not None:
        return _Duel(ours, theirs, Difference(sign * found["mean"], found["half_width"]), True)
    halves = [row[f"{metric}_half_width"] for row in (ours, theirs) if row.get(f"{metric}_half_width")]
    half = math.hypot(*halves) if len(halves) == 2 else None
    return _Duel(ours, theirs, Difference(sign * (ours[metric] - theirs[metric]), half), False)


def _verdict(
    data: Mapping[str, Any], system: str, duels: Mapping[str, Mapping[tuple[float, float | None], _Duel]]
) -> str:
    """How often it wins and loses, per metric, and that all choose their MCS."""
    counts, unpaired = [], False
    for metric, found in duels.items():
        decided = [duel for duel in found.values() if duel.difference is not None]
        unpaired |= any(not duel.paired for duel in decided)
        wins, losses = (sum(duel.verdict == verdict for duel in decided) for verdict in ("wins", "losses"))
        counts.append(f"{_label(metric)} {wins} : {losses} of {len(decided)}")
    count, trials = len(data["images"]), data["trials"]
    interval = (
        "of the two systems' own intervals, taken as independent (a run with paired fades decides more)"
        if unpaired
        else "of the differences picture by picture over the same fades"
    )
    return (
        f"{count} images, {trials} channel realisation(s) each. Every cell: {system} / best other system "
        "± half the 95 % interval of their difference, each at the best for that metric of the MCSs that it "
        f"was sent with; the better one is bold only where that interval, {interval}, excludes zero; – is "
        f"not possible or not simulated. `{system}` wins : loses "
        + ", ".join(counts)
        + " points, the others "
        "are undecided."
    )


def _cell(metric: str, duel: _Duel | None) -> str:
    digits = find(metric).digits if metric in metric_names() else 3
    if duel is None or duel.ours is None:
        return "–"
    ours = f"{duel.ours[metric]:.{digits}f}"
    if duel.theirs is None or duel.difference is None:
        return f"{ours} {duel.ours['system']}"
    theirs, name = f"{duel.theirs[metric]:.{digits}f}", duel.theirs["system"]
    half = duel.difference.half_width
    spread = "" if half is None else f" ± {half:.{digits}f}"
    if duel.verdict == "wins":
        return f"**{ours}** / {theirs} {name}{spread}"
    return (
        f"{ours} / **{theirs}** {name}{spread}"
        if duel.verdict == "losses"
        else f"{ours} / {theirs} {name}{spread}"
    )


def _label(metric: str) -> str:
    return find(metric).label if metric in metric_names() else metric


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
