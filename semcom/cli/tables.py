"""What `semcom send` prints: what was on the wire, how it crossed the air, what came of it. 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_LEGEND = (
    "hci: the small picture, spw: pseudo-words, card: colours, key: detail in key regions (mask), "
    "texture: how fine; critical, base, detail: protection classes, most protected first"
)
_FIGURES = (("dists", "DISTS", 3), ("lpips", "LPIPS", 3), ("psnr", "PSNR in dB", 2), ("ssim", "SSIM", 4))


def print_report(report: dict[str, Any], texts: Sequence[str]) -> None:
    """Prints a report of `semcom.report`, and lines after it."""
    from rich.console import Console

    console = Console(soft_wrap=False)
    console.print(_streams(report), _classes(report), sep="\n")
    semantic = report["command"]["system"] == "semantic"
    if semantic:
        console.print(_LEGEND, style="dim", highlight=False)
    console.print(f"MCS: {report['mcs_reason']}", highlight=False)
    console.print(
        f"channel uses {report['channel_uses']} (pilots included)  CBR {report['cbr']:.5f}  "
        f"{report['bpp']:.5f} bpp"
    )
    console.print(f"SNR {report['snr_db']:g} dB  PSNR {report['psnr']:.2f} dB  SSIM {report['ssim']:.4f}")
    if report["expected_quality"]:
        console.print(_expected(report), highlight=False)
    if report["trials"] is not None:
        console.print(_trials(report["trials"]))
    if report["caption"] is not None:
        console.print(f"caption: {report['caption']}", markup=False)
    for note in report["sender_notes"]:
        console.print(note, markup=False, highlight=False)
    for note in report["notes"]:
        console.print(f"note: {note}", style="yellow", markup=False)
    for text in texts:
        console.print(text, markup=False, highlight=False)


def _streams(report: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table("stream", "class", "packets", "lost", "bits", "bpp", title="On the wire")
    table.title_justify = "left"
    for row in report["streams"]:
        numbers = (str(row[name]) for name in ("packets", "lost", "bits"))
        table.add_row(row["name"], row["class"], *numbers, f"{row['bpp']:.5f}")
    totals = (str(report[name]) for name in ("packets", "lost", "bits"))
    table.add_row("total", "", *totals, f"{report['bpp']:.5f}", style="bold")
    return table


def _classes(report: dict[str, Any]) -> Any:
    """One realisation is no error rate: what is expected of the channel stands beside what was lost."""
    from rich.table import Table

    columns = ("class", "MCS", "lost", "expected loss", "channel uses", "SINR")
    table = Table(*columns, title="Over the air", title_justify="left")
    for name, row in report["classes"].items():
        scheme = f"{row['mcs']}: {row['modulation']} {row['code_rate']:.2f}" if "mcs" in row else "uncoded"
        expected, sinr_db = report["expected_loss"].get(name), row["effective_sinr_db"]
        table.add_row(
            name,
            scheme,
            f"{row['lost']} of {row['packets']}" if row["packets"] else "",
            "" if expected is None else f"{100 * expected:.2g} %",
            str(row["channel_uses"]),
            "" if sinr_db is None else f"{sinr_db:.1f} dB",
        )
    return table


def _trials(trials: dict[str, Any]) -> Any:
    from rich.table import Table

    title = f"{trials['trials']} realisations, {100 * trials['complete']:.0f} % lost nothing"
    columns = list(trials["psnr"])
    table = Table("", *columns, title=title, title_justify="left")
    for name, label, digits in _FIGURES:
        if name in trials:
            table.add_row(label, *(f"{trials[name][column]:.{digits}f}" for column in columns))
    return table


def _expected(report: dict[str, Any]) -> str:
    """What the sender expected of the mean over the fades, and what came of this one."""
    expected = report["expected_quality"]
    figures = [
        f"{label} {expected[name]:.{digits}f} expected, {report[name]:.{digits}f} came"
        for name, label, digits in _FIGURES
        if name in expected and name in report
    ]
    return "; ".join(figures)
