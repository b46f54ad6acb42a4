"""Plots of a benchmark document, with 95 % error bars.

snr_METRIC.png      quality over SNR, one panel per budget          (with a channel)
rate_METRIC.png     quality over rate, one panel per SNR; without a channel next to published anchors
bits.png            bits per pixel of every stream, stacked
sheet_IMAGE.png     reconstructions: systems down, SNRs across
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from semcom.bench.document import best_rows, columns
from semcom.metrics.registry import find, metric_names
from semcom.sweep.plots import LABELS, label_of, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL, _LEGEND, _NARROWEST = (4.2, 3.4), 0.8, 7.0  # inches
_ANCHOR_IMAGES = "kodim"  # anchors are of Kodak, and belong next to nothing else
_MARKERS = "osD^vP*Xh<>"


def write_plots(data: Mapping[str, Any], folder: Path) -> list[Path]:
    """All plots of a document as PNG files; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in _figures(data):
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=130)
        plt.close(figure)
        paths.append(path)
    return paths


def _figures(data: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    if not data["results"]:
        return
    for metric in data["metrics"]:
        if data["link"] is not None:
            yield f"snr_{metric}", snr_figure(data, metric)
        yield f"rate_{metric}", rate_figure(data, metric)
    yield "bits", bits_figure(data)


def snr_figure(data: Mapping[str, Any], metric: str) -> Figure:
    """Quality over SNR: every system's envelope in this metric, one panel per budget."""
    budgets = sorted({row["budget"] for row in data["results"]})
    figure, panels = _panels(len(budgets))
    for panel, budget in zip(panels, budgets, strict=True):
        for system in _systems(data):
            _curve(panel, columns(data, system, metric, budget=budget), "snr_db", metric, system)
        panel.set(title=f"{data['budget_unit']} {fraction(budget)}", xlabel=LABELS["snr_db"])
    return _finish(figure, panels, metric)


def rate_figure(data: Mapping[str, Any], metric: str) -> Figure:
    """Quality over what was spent, one panel per SNR; without a channel over bpp, next to anchors."""
    snrs = sorted({row["snr_db"] for row in data["results"]}, key=lambda snr: snr or 0.0)
    rate = "bpp" if data["link"] is None else "cbr"
    figure, panels = _panels(len(snrs))
    for panel, snr_db in zip(panels, snrs, strict=True):
        for system in _systems(data):
            where = {} if snr_db is None else {"snr_db": snr_db}
            _curve(panel, columns(data, system, metric, **where), rate, metric, system)
        if snr_db is None and all(name.startswith(_ANCHOR_IMAGES) for name in data["images"]):
            _draw_anchors(panel, metric)
        panel.set(title="no channel" if snr_db is None else f"{snr_db:g} dB", xlabel=LABELS[rate])
    return _finish(figure, panels, metric)


def bits_figure(data: Mapping[str, Any]) -> Figure:
    """Bits per pixel on the wire by stream, at the envelope of the first metric, over SNR and budget."""
    rows = best_rows(data, next(iter(data["metrics"])))
    streams = sorted({key for row in rows for key in row if key.startswith("bpp_")})
    names = [f"{row['system']}, {fraction(row['budget'])}{_at(row['snr_db'])}" for row in rows]
    figure, ax = plt.subplots(figsize=(7, 1 + 0.16 * len(rows)), layout="constrained")
    left = np.zeros(len(rows))
    for stream in streams:
        values = np.array([row.get(stream, 0.0) for row in rows])
        ax.barh(names, values, left=left, label=stream.removeprefix("bpp_"))
        left += values
    ax.invert_yaxis()
    ax.tick_params(axis="y", labelsize=6)
    ax.set(xlabel="bits per pixel on the wire, packet headers included")
    ax.legend(fontsize=7)
    return figure


def anchors() -> dict[str, Any]:
    """Published results of other people's codecs on Kodak, each with its source."""
    data: dict[str, Any] = _anchors()
    return data


@cache
def _anchors() -> Any:
    return json.loads((Path(__file__).parent / "anchors.json").read_text(encoding="utf-8"))


def _draw_anchors(panel: Axes, metric: str) -> None:
    """Hollow grey markers without lines: nobody may take them for measurements of ours."""
    points = [point for point in anchors()["points"] if metric in point]
    for marker, method in zip(_MARKERS, dict.fromkeys(point["method"] for point in points), strict=False):
        chosen = [point for point in points if point["method"] == method]
        repository = chosen[0]["source"].split()[0]
        panel.plot(
            [point["bpp"] for point in chosen],
            [point[metric] for point in chosen],
            linestyle="",
            marker=marker,
            markersize=5,
            markerfacecolor="none",
            color="0.45",
            label=f"{method}, published ({repository})",
        )


def _curve(panel: Axes, values: Mapping[str, Sequence[Any]], x: str, metric: str, label: str) -> None:
    if not values:
        return
    positions = np.array(values[x], dtype=float)
    order = np.argsort(positions, kind="stable")
    heights = np.array(values[metric], dtype=float)
    half = np.array(values.get(f"{metric}_half_width") or [None] * len(heights), dtype=float)
    panel.errorbar(
        positions[order],
        heights[order],
        yerr=np.nan_to_num(half[order]),
        marker="o",
        markersize=3,
        capsize=2,
        linewidth=2.2 if label.startswith("semantic") else 1.2,
        label=plain(label),
    )


def _label(metric: str) -> str:
    """Of a registered metric its label and which way it points; a document's own ones have their name."""
    return label_of(metric, {metric: find(metric).describe()} if metric in metric_names() else {})


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    across = min(count, 3)
    down = -(-count // across)
    size = (max(_PANEL[0] * across, _NARROWEST), _PANEL[1] * down + _LEGEND)
    figure, axes = plt.subplots(down, across, figsize=size, squeeze=False, layout="constrained")
    for unused in axes.flat[count:]:
        unused.set_axis_off()
    return figure, list(axes.flat[:count])


def _finish(figure: Figure, panels: Sequence[Axes], metric: str) -> Figure:
    for panel in panels:
        _look_at_curves(panel)
        panel.grid(alpha=0.3)
        panel.set_ylabel(_label(metric))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=6, loc="outside lower center", ncols=2 if len(panels) == 1 else 4)
    return figure


def _look_at_curves(panel: Axes) -> None:
    """Limits by the values: intervals of very few images would flatten everything else."""
    heights = [line.get_ydata() for line in panel.get_lines() if len(np.atleast_1d(line.get_ydata())) > 0]
    values = np.concatenate([np.asarray(height, dtype=float) for height in heights])
    margin = 0.15 * (values.max() - values.min()) or 1.0
    panel.set_ylim(values.min() - margin, values.max() + margin)


def _systems(data: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(row["system"] for row in data["results"]))


def fraction(budget: float) -> str:
    """1/96 rather than 0.0104167, where it is one."""
    inverse = round(1 / budget)
    return f"1/{inverse}" if inverse > 1 and abs(1 / inverse - budget) < 1e-6 * budget else f"{budget:g}"


def _at(snr_db: float | None) -> str:
    return "" if snr_db is None else f", {snr_db:g} dB"
