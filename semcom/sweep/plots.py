"""Curves and contact sheets with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from semcom.picture import images

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from semcom.sweep.result import SweepResult

LABELS = {
    "snr_db": "SNR per resource element, Es/N0 (dB)",
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "lpips": "LPIPS (Alex), lower is better",
    "dists": "DISTS, lower is better",
    "bler": "packet error rate",
    "bpp": "bits per pixel",
    "cbr": "channel uses / (3·H·W)",
}


def plot_curves(
    result: SweepResult,
    metric: str,
    x: str,
    hue: str,
    ax: Axes | None,
    where: Mapping[str, Any],
    envelope: str | None = None,
) -> Axes:
    """See `SweepResult.plot`."""
    x, hue = result.axis(x), result.axis(hue)
    table = result.summary() if envelope is None else result.envelope(metric, envelope)
    if metric not in table:
        known = [column for column in table if not column.endswith(("_half_width", "_low", "_high"))]
        raise ValueError(f"no column {metric!r}; there are {', '.join(known)}")
    best_of = set() if envelope is None else {result.axis(envelope)}
    own = [axis for axis in result.own_axes if axis not in {x, hue} | best_of]
    table = select(result, table, {x, hue, "image", *own} | best_of, where)
    if ax is None:
        _, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    for key, curve in table.groupby([hue, *own], sort=False, dropna=False):
        label = ", ".join(str(value) for value in key if pd.notna(value))
        _curve(ax, curve.sort_values(x), x, metric, label)
    ax.set(xlabel=LABELS.get(x, x), ylabel=LABELS.get(metric, metric))
    ax.grid(alpha=0.3)
    ax.legend(title=None if hue == "system" else hue)
    return ax


def select(
    result: SweepResult, table: pd.DataFrame, free: set[str], where: Mapping[str, Any]
) -> pd.DataFrame:
    """Rows at given values of axes. Raises ValueError if an axis that is not free is left with several."""
    for name, value in where.items():
        column = table[result.axis(name)]
        table = table[(column == value) | column.isna()]
    for axis in result.axes:
        if axis in table and axis not in free and table[axis].nunique(dropna=True) > 1:
            values = ", ".join(map(str, table[axis].unique()))
            raise ValueError(f"choose one {axis.rsplit('.', 1)[-1]} of {values}, or use it as hue")
    return table


def show_pictures(result: SweepResult, image: str | None, snr_db: float | Sequence[float] | None) -> Figure:
    """See `SweepResult.show`."""
    table = result.pictures()
    if image is None and len(table):
        image = table["image"].iloc[0]
    table = table[table["image"] == image]
    if snr_db is not None:
        table = table[table["snr_db"].isin(np.atleast_1d(snr_db))]
    if table.empty:
        raise ValueError(f"no pictures of {image!r} at {snr_db} dB were kept; see `pictures` of the scenario")
    rows = [axis for axis in result.axes if axis not in ("image", "snr_db")]
    groups = list(table.groupby(rows, sort=False, dropna=False))
    snrs = sorted(table["snr_db"].unique())
    original = result.original(table["_photo"].iloc[0])
    columns = len(snrs) + (original is not None)
    figure, axes = plt.subplots(
        len(groups), columns, figsize=(3 * columns, 2.4 * len(groups)), squeeze=False, layout="constrained"
    )
    for line, (key, part) in zip(axes, groups, strict=True):
        cells = [(f"{snr:g} dB", part.loc[part["snr_db"] == snr, "path"].squeeze()) for snr in snrs]
        for cell, (title, path) in zip(
            line, [("original", original)] * (original is not None) + cells, strict=True
        ):
            cell.set_axis_off()
            cell.set_title(
                title if title == "original" else f"{', '.join(map(str, key))}, {title}", fontsize=8
            )
            if isinstance(path, str | Path):
                cell.imshow(images.read(path))
    return figure


def plot_bits(result: SweepResult) -> Figure:
    """Bits per pixel by stream, one bar per system (and budget), over everything stored."""
    table = result.to_pandas()
    streams = [column for column in table if column.startswith("bpp_")]
    bars = [axis for axis in result.axes if axis == "system" or axis.startswith("budget.")]
    means = table.groupby(bars, sort=False, dropna=False)[streams].mean()
    figure, ax = plt.subplots(figsize=(6, 0.8 + 0.5 * len(means)), layout="constrained")
    names = [", ".join(map(str, key)) if isinstance(key, tuple) else str(key) for key in means.index]
    left = np.zeros(len(means))
    for stream in streams:
        values = means[stream].fillna(0).to_numpy()
        ax.barh(names, values, left=left, label=stream.removeprefix("bpp_"))
        left += values
    ax.set(xlabel="bits per pixel on the wire, packet headers included")
    ax.legend(ncols=4, fontsize=8)
    return figure


def _curve(ax: Axes, curve: pd.DataFrame, x: str, metric: str, label: str) -> None:
    positions, values = curve[x].to_numpy(), curve[metric].to_numpy(dtype=float)
    low, high = _band(curve, metric)
    (line,) = ax.plot(positions, values, marker="o", markersize=3, label=label)
    ax.fill_between(positions, low, high, color=line.get_color(), alpha=0.2, linewidth=0)


def _band(curve: pd.DataFrame, metric: str) -> tuple[Any, Any]:
    if f"{metric}_low" in curve:
        return curve[f"{metric}_low"].to_numpy(dtype=float), curve[f"{metric}_high"].to_numpy(dtype=float)
    values = curve[metric].to_numpy(dtype=float)
    half = curve[f"{metric}_half_width"].to_numpy(dtype=float) if f"{metric}_half_width" in curve else 0.0
    return values - half, values + half
