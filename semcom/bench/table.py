"""The README's table: where the semantic system wins, and where it loses, from a benchmark document.

<!-- bench:NAME -->     everything between the two marks is written by the command
<!-- /bench:NAME -->
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semcom.bench.document import best_rows
from semcom.bench.plots import fraction

_DIGITS = {"psnr": 2}
_TITLES = {"psnr": "PSNR (dB)", "ssim": "SSIM", "ms_ssim": "MS-SSIM", "lpips": "LPIPS", "dists": "DISTS"}


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
    lines = [
        _line(
            [
                *head,
                *(f"{_TITLES.get(m, m)} {'↑' if data['metrics'][m] == 'higher' else '↓'}" for m in metrics),
            ]
        ),
        _line(["---"] * (len(metrics) + 2)),
    ]
    for budget, snr_db in places:
        cells = [duels[metric].get((budget, snr_db), "–") for metric in metrics]
        lines.append(_line([fraction(budget), "–" if snr_db is None else f"{snr_db:g}", *cells]))
    return "\n".join([_verdict(data, system, metrics), "", *lines])


def _verdict(data: Mapping[str, Any], system: str, metrics: Sequence[str]) -> str:
    """How often it wins, per metric, and that the others choose their MCS."""
    counts = []
    for metric in metrics:
        results = [_compare(data, metric, rows, system) for rows in _places(data, metric).values()]
        decided = [result for result in results if result is not None]
        wins = sum(result[0] for result in decided)
        counts.append(f"{_TITLES.get(metric, metric)} at {wins} of {len(decided)}")
    count, trials = len(data["images"]), data["trials"]
    return (
        f"{count} images, {trials} channel realisation(s) each. Every cell: {system} / best other system, "
        "each at the best for that metric of the MCSs that it was sent with; the better one is bold; – is "
        f"not possible or not simulated. `{system}` wins " + ", ".join(counts) + " points."
    )


def _duels(data: Mapping[str, Any], metric: str, system: str) -> dict[tuple[float, float | None], str]:
    return {
        place: _cell(metric, rows, system, _compare(data, metric, rows, system))
        for place, rows in _places(data, metric).items()
    }


def _places(
    data: Mapping[str, Any], metric: str
) -> dict[tuple[float, float | None], dict[str, Mapping[str, Any]]]:
    """(budget, SNR) to system to row."""
    places: dict[tuple[float, float | None], dict[str, Mapping[str, Any]]] = {}
    for row in best_rows(data, metric):
        places.setdefault((row["budget"], row["snr_db"]), {})[row["system"]] = row
    return places


def _compare(
    data: Mapping[str, Any], metric: str, rows: Mapping[str, Mapping[str, Any]], system: str
) -> tuple[bool, str] | None:
    """Whether the system is better than the best other one, and that one's name; None without both."""
    others = {name: row[metric] for name, row in rows.items() if name != system}
    if system not in rows or not others:
        return None
    higher = data["metrics"][metric] == "higher"
    best = (max if higher else min)(others, key=lambda name: others[name])
    ours, theirs = rows[system][metric], others[best]
    return (ours > theirs if higher else ours < theirs), best


def _cell(
    metric: str, rows: Mapping[str, Mapping[str, Any]], system: str, result: tuple[bool, str] | None
) -> str:
    digits = _DIGITS.get(metric, 3)
    if result is None:
        return (
            " / ".join(f"{row[metric]:.{digits}f} {name}" for name, row in rows.items() if name == system)
            or "–"
        )
    wins, best = result
    ours, theirs = f"{rows[system][metric]:.{digits}f}", f"{rows[best][metric]:.{digits}f}"
    return f"**{ours}** / {theirs} {best}" if wins else f"{ours} / **{theirs}** {best}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
