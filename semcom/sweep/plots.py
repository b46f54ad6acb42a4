"""Curves and bars with matplotlib, from tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Described = Mapping[str, Mapping[str, Any]]

LABELS = {
    "snr_db": "SNR per resource element, Es/N0 (dB)",
    "bler": "packet error rate",
    "bpp": "bits per pixel",
    "cbr": "channel uses / (3·H·W)",
}
_RANGES = {"bler": (0.0, 1.0), "bpp": (0.0, None), "cbr": (0.0, None)}


def label_of(name: str, metrics: Described) -> str:
    """Of an axis: of a metric its label and which way it points.

    Args:
        name: of a column.
        metrics: `label`, `higher_is_better` and `range` by name, see `semcom.metrics.registry.Metric`.
    """
    if name not in metrics:
        return LABELS.get(name, name)
    better = "higher" if metrics[name]["higher_is_better"] else "lower"
    return f"{metrics[name]['label']}, {better} is better"


def plot_curves(
    table: pd.DataFrame, metric: str, x: str, hues: Sequence[str], ax: Axes | None, metrics: Described
) -> Axes:
    """A curve with its 95 % band for each combination of `hues`. Arguments as `SweepResult.plot`.

    Bands are cut where a metric has no values.

    Raises:
        ValueError: no such column.
    """
    if metric not in table:
        known = [column for column in table if not column.endswith(("_half_width", "_low", "_high"))]
        raise ValueError(f"no column {metric!r}; there are {', '.join(known)}")
    if ax is None:
        _, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    limits = metrics[metric]["range"] if metric in metrics else _RANGES.get(metric, (None, None))
    for key, curve in table.groupby(list(hues), sort=False, dropna=False):
        label = ", ".join(str(value) for value in key if pd.notna(value))
        _curve(ax, curve.sort_values(x), x, metric, plain(label), limits)
    ax.set(xlabel=label_of(x, metrics), ylabel=label_of(metric, metrics))
    _fit(ax, table[metric].to_numpy(dtype=float), limits)
    ax.grid(alpha=0.3)
    ax.legend(title=None if hues[0] == "system" else plain(hues[0]))
    return ax


def plain(text: str) -> str:
    """A text that matplotlib writes as it is: no formulas, and not left out of a legend."""
    escaped = text.replace("$", r"\$")
    return f"\u200b{escaped}" if escaped.startswith("_") else escaped


def plot_bits(table: pd.DataFrame, axes: Sequence[str]) -> Figure:
    """Bits per pixel by stream, one bar per system (and budget); a stream that is not sent has none."""
    streams = [column for column in table if column.startswith("bpp_")]
    bars = [axis for axis in axes if axis == "system" or axis.startswith("budget.")]
    present = table[streams].fillna(0).assign(**{axis: table[axis] for axis in bars})
    means = present.groupby(bars, sort=False, dropna=False)[streams].mean()
    figure, ax = plt.subplots(figsize=(6, 0.8 + 0.5 * len(means)), layout="constrained")
    names = [plain(", ".join(map(str, k)) if isinstance(k, tuple) else str(k)) for k in means.index]
    left = np.zeros(len(means))
    for stream in streams:
        values = means[stream].to_numpy()
        ax.barh(names, values, left=left, label=stream.removeprefix("bpp_"))
        left += values
    ax.set(xlabel="bits per pixel on the wire, packet headers included")
    ax.legend(ncols=4, fontsize=8)
    return figure


def _curve(
    ax: Axes, curve: pd.DataFrame, x: str, metric: str, label: str, limits: Sequence[float | None]
) -> None:
    positions, values = curve[x].to_numpy(), curve[metric].to_numpy(dtype=float)
    low, high = _band(curve, metric)
    (line,) = ax.plot(positions, values, marker="o", markersize=3, label=label)
    least, most = limits
    low = low if least is None else np.maximum(low, least)
    high = high if most is None else np.minimum(high, most)
    ax.fill_between(positions, low, high, color=line.get_color(), alpha=0.2, linewidth=0)


def _fit(ax: Axes, values: Any, limits: Sequence[float | None]) -> None:
    """The axis follows the curves, not their bands, which few pictures make as wide as one likes."""
    known = values[np.isfinite(values)]
    if not len(known) or known.min() == known.max():
        return
    margin = 0.25 * (known.max() - known.min())
    least, most = limits
    low, high = known.min() - margin, known.max() + margin
    # Room for the markers where the curve touches the end of what a metric can be
    edge = 0.1 * margin
    ax.set_ylim(
        low if least is None else max(low, least - edge), high if most is None else min(high, most + edge)
    )


def _band(curve: pd.DataFrame, metric: str) -> tuple[Any, Any]:
    if f"{metric}_low" in curve:
        return curve[f"{metric}_low"].to_numpy(dtype=float), curve[f"{metric}_high"].to_numpy(dtype=float)
    values = curve[metric].to_numpy(dtype=float)
    half = curve[f"{metric}_half_width"].to_numpy(dtype=float) if f"{metric}_half_width" in curve else 0.0
    return values - half, values + half
