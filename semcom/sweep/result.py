"""Views of a run: pandas, xarray, plots, pictures. What was not simulated is missing, never zero."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from semcom.intervals import bler_interval, half_width
from semcom.sweep.canonical import canonical
from semcom.sweep.contents import Contents
from semcom.sweep.store import STAGES, Store, added_up
from semcom.sweep.tally import Tally

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from PIL import Image

    from semcom.sweep.engine import RunStatistics

_LABEL = "label:"


class SweepResult:
    """The results of a run, finished or not.

    Args:
        folder: of the run.
        contents: what the run calls its points; read from the folder if left out.

    Attributes:
        statistics: of the run that has just ended; None for one that was loaded.

    Raises:
        ValueError: the folder does not say what it is of.
    """

    def __init__(self, folder: str | Path, contents: Contents | None = None) -> None:
        self.store = Store(folder)
        self.contents = contents or Contents.read(self.store.folder)
        self.statistics: RunStatistics | None = None

    def __repr__(self) -> str:
        return f"SweepResult({str(self.store.folder)!r}: {len(self.to_pandas())} points)"

    def to_pandas(self) -> pd.DataFrame:
        """One row per point, in canonical order, the same digits however the run went.

        Columns: the axes (`system`, `image`, `snr_db` and every field that varies), `trials`, rates and
        metrics as means over the trials, `METRIC_half_width` and `bler…_low`/`_high` (95 %), counts, `id`.
        """
        return self._points.drop(columns=[c for c in self._points if c.startswith("_")])

    def summary(self) -> pd.DataFrame:
        """Over the images: one row per combination of the other axes.

        Rates are of all packets; bits of a stream that an image has none of are zero there. Metrics are means
        over images, missing where one of them was not measured on all that was simulated; their `half_width`
        is that of the mean over images (Student's t), or over trials where there is one image.
        """
        axes = [axis for axis in self.axes if axis != "image"]
        grouped = self._points.groupby(axes, sort=False, dropna=False)
        rows = [dict(zip(axes, key, strict=True)) | self._summarise(part) for key, part in grouped]
        return pd.DataFrame(rows)

    def to_xarray(self) -> xr.Dataset:
        """Every column of `to_pandas` as a variable over the axes; missing points are NaN."""
        frame = self.to_pandas().drop(columns="id")
        return frame.set_index(self.axes).to_xarray()

    def envelope(self, metric: str, over: str) -> pd.DataFrame:
        """Rows of `summary` that are best in a metric among the values of the axis `over`.

        Raises:
            ValueError: no such metric or axis.
        """
        if metric not in self.metrics:
            raise ValueError(f"{metric!r} is not one of the metrics: {', '.join(self.metrics)}")
        table, over = self.summary(), self.axis(over)
        table = table[table[metric].notna()]
        others = [axis for axis in self.axes if axis not in ("image", over)]
        groups = table.groupby(others, sort=False, dropna=False)[metric]
        best = groups.idxmax() if self.higher_is_better(metric) else groups.idxmin()
        return table.loc[best].reset_index(drop=True)

    def plot(
        self,
        metric: str,
        x: str = "snr_db",
        hue: str = "system",
        ax: Axes | None = None,
        envelope: str | None = None,
        **where: Any,
    ) -> Axes:
        """A curve with its 95 % band per value of `hue`, over the images.

        Args:
            metric: a column of `summary`.
            x, hue: axes; the last part of a dotted name is enough.
            ax: to draw on.
            envelope: an axis of which the best value is taken at every point, such as the MCS of a baseline.
            where: value of every other axis that has several.

        Raises:
            ValueError: no such column or axis, or an axis is left open.
        """
        from semcom.sweep.plots import plot_curves

        best_of = set() if envelope is None else {self.axis(envelope)}
        table = self.summary() if envelope is None else self.envelope(metric, envelope)
        x, hue = self.axis(x), self.axis(hue)
        own = [axis for axis in self.own_axes if axis not in {x, hue} | best_of]
        table = self._select(table, {x, hue, "image", *own} | best_of, where)
        return plot_curves(table, metric, x, [hue, *own], ax, self.contents.metrics)

    def _select(self, table: pd.DataFrame, free: set[str], where: Mapping[str, Any]) -> pd.DataFrame:
        """Rows at given values of axes. Raises ValueError if an axis that is not free has several left."""
        for name, value in where.items():
            column = table[self.axis(name)]
            table = table[(column == value) | column.isna()]
        for axis in self.axes:
            if axis in table and axis not in free and table[axis].nunique(dropna=True) > 1:
                values = ", ".join(map(str, table[axis].unique()))
                raise ValueError(f"choose one {axis.rsplit('.', 1)[-1]} of {values}, or use it as hue")
        return table

    def higher_is_better(self, metric: str) -> bool:
        """Which way a metric of the run points."""
        return bool(self.contents.metrics[metric]["higher_is_better"])

    def show(self, image: str | None = None, snr_db: float | Sequence[float] | None = None) -> Image.Image:
        """The pictures of an image: systems down, SNRs across, the original first.

        Raises:
            ValueError: no picture was kept.
        """
        from semcom.sheet import contact_sheet

        table = self.pictures()
        if image is None and len(table):
            image = table["image"].iloc[0]
        table = table[table["image"] == image]
        if snr_db is not None:
            wanted = [snr_db] if isinstance(snr_db, int | float) else list(snr_db)
            table = table[table["snr_db"].isin(wanted)]
        if table.empty:
            raise ValueError(
                f"no pictures of {image!r} at {snr_db} dB were kept; see `pictures` of the scenario"
            )
        return contact_sheet(self.sheet(table))

    def sheet(self, pictures: pd.DataFrame) -> list[list[tuple[str, Path | None]]]:
        """Rows of a contact sheet of one image's pictures: (title, file), the original first."""
        rows = [axis for axis in self.axes if axis not in ("image", "snr_db")]
        snrs = sorted(pictures["snr_db"].unique())
        original = self.original(pictures["_photo"].iloc[0])
        lines = []
        for key, part in pictures.groupby(rows, sort=False, dropna=False):
            by_snr = dict(zip(part["snr_db"], part["path"], strict=True))
            name = ", ".join(str(value) for value in key if pd.notna(value))
            cells = [(f"{name}, {snr:g} dB", by_snr.get(snr)) for snr in snrs]
            lines.append([("original", original), *((t, Path(p) if p else None) for t, p in cells)])
        return lines

    def export(self, path: str | Path) -> Path:
        """Writes `to_pandas` as .csv or .parquet, `to_xarray` as .nc. Raises ValueError on another ending."""
        path = Path(path)
        if path.suffix == ".csv":
            self.to_pandas().to_csv(path, index=False, lineterminator="\n")
        elif path.suffix == ".parquet":
            self.to_pandas().to_parquet(path, index=False)
        elif path.suffix == ".nc":
            self.to_xarray().to_netcdf(path, engine="h5netcdf")
        else:
            raise ValueError(f"cannot export to {path.name}: use .csv, .parquet or .nc")
        return path

    def failures(self) -> dict[str, dict[str, Any]]:
        """Points that failed when last tried, with `reason`."""
        return self.store.failures()

    def seconds(self) -> dict[str, float]:
        """Computing time per stage, over everything stored."""
        totals = dict.fromkeys(STAGES, 0.0)
        for row in self.store.rows():
            for stage, seconds in row.seconds.items():
                totals[stage] += seconds
        return totals

    @property
    def axes(self) -> list[str]:
        """Columns that say which point a row is: system, the fields that vary, image, snr_db."""
        return self._table[1]

    @property
    def own_axes(self) -> list[str]:
        """Axes that only some systems have."""
        return [axis for axis in self.axes if self._points[axis].isna().any()]

    @property
    def metrics(self) -> list[str]:
        """Measured metrics."""
        return self._table[2]

    def axis(self, name: str) -> str:
        """The axis of a name or of the last part of it. Raises ValueError."""
        found = [axis for axis in self.axes if axis == name or axis.endswith(f".{name}")]
        if len(found) != 1:
            raise ValueError(f"{name!r} is not one of the axes: {', '.join(self.axes)}")
        return found[0]

    def pictures(self) -> pd.DataFrame:
        """Axes and `path` of every reconstruction that was kept."""
        table = self._points
        paths = [
            str(self.store.picture(key)) if key and self.store.picture(key).exists() else None
            for key in table["_received"]
        ]
        kept = table[self.axes].assign(path=paths, _photo=table["_photo"])
        return kept[kept["path"].notna()]

    def original(self, photo: str) -> Path | None:
        """The copy of an original whose reconstructions were kept, by SHA-256."""
        return next(iter(sorted(self.store.pictures.glob(f"original-{photo}.*"))), None)

    @property
    def _points(self) -> pd.DataFrame:
        return self._table[0]

    @cached_property
    def _table(self) -> tuple[pd.DataFrame, list[str], list[str]]:
        columns = {name: described["column"] for name, described in self.contents.metrics.items()}
        fields, measured, shown = [], [], set()
        for key, row in added_up(self.store.rows()).items():
            point = json.loads(row.point)
            named = list(self.contents.names(point))
            measures = _measures(row.tally, columns) if named else {}
            shown |= {name for name, column in columns.items() if column in row.tally.sums and named}
            for names in named:
                labels = {f"{_LABEL}{name}": value for name, value in names.labels.items()}
                head = {"system": names.system, "image": names.image}
                fields.append(head | flat_fields(point) | {"id": key} | labels)
                private = {"_received": row.received, "_photo": point["image"], "_tally": row.tally}
                measured.append(measures | private)
        if not fields:
            axes = ["system", "image", "snr_db"]
            empty = pd.DataFrame({name: [] for name in (*axes, "id", "_received", "_photo", "_tally")})
            return empty, axes, []
        described, metrics = pd.DataFrame(fields), [name for name in columns if name in shown]
        axes = _axes(described)
        described.columns = described.columns.str.removeprefix(_LABEL)
        numbers = pd.DataFrame(measured)
        numbers = numbers.reindex(columns=sorted(numbers.columns, key=_column_order(metrics)))
        table = pd.concat([described[axes], numbers, described[["id"]]], axis=1)
        return _sorted(table, axes), axes, sorted(metrics)

    def _summarise(self, part: pd.DataFrame) -> dict[str, Any]:
        row: dict[str, Any] = {"images": part["image"].nunique(), "trials": int(part["trials"].sum())}
        shared = [c for c in part if c == "cbr" or c.split("_")[0] == "bpp" or c == "channel_uses"]
        # A stream that only some images have is zero bits in the others.
        row |= {column: part[column].fillna(0).mean() for column in shared if part[column].notna().any()}
        tallies: list[Tally] = list(part["_tally"])
        for name in sorted(
            {name for tally in tallies for name in tally.sums if name.split(".")[0] == "lost"}
        ):
            row |= _bler([tally for tally in tallies if name in tally.sums], name.removeprefix("lost"))
        for metric in self.metrics:
            values = part.groupby("image")[metric].mean().dropna()
            sparse = self.contents.metrics[metric].get("sparse", False)
            if part[metric].isna().any() and not (sparse and part[metric].notna().any()):
                row |= {metric: math.nan, f"{metric}_half_width": math.nan}
                continue
            row[metric] = values.mean()
            row[f"{metric}_half_width"] = (
                half_width(values.tolist()) if len(values) > 1 else part[f"{metric}_half_width"].iloc[0]
            )
        return row


def flat_fields(point: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that may be an axis, flat: link, budget and options by path."""
    flat = {"snr_db": point["snr_db"], "seed": point["seed"]}
    for part in ("link", "budget", "options"):
        flat |= dict(_flatten(point[part], part))
    return flat


def _flatten(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from _flatten(below, f"{path}.{key}")
    else:
        yield path, value if isinstance(value, bool | int | float | str) else canonical(value)


def _axes(fields: pd.DataFrame) -> list[str]:
    """Columns that vary beyond what the system and the variants already say, labels without their prefix."""
    labels = [column for column in fields if column.startswith(_LABEL)]
    given = ["system", *labels]
    others = [c for c in fields if c not in (*given, "image", "snr_db", "id")]
    groups = fields.groupby(given, dropna=False)
    varying = [c for c in others if (groups[c].nunique(dropna=False) > 1).any()]
    names = (column.removeprefix(_LABEL) for column in labels)
    return ["system", *names, *varying, "image", "snr_db"]


def _sorted(table: pd.DataFrame, axes: list[str]) -> pd.DataFrame:
    def key(column: pd.Series[Any]) -> pd.Series[Any]:
        return column if pd.api.types.is_numeric_dtype(column) else column.map(str)

    return table.sort_values([*axes, "id"], key=key, kind="stable", ignore_index=True)


def _measures(tally: Tally, columns: Mapping[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {"trials": tally.trials}
    pixels = tally.total("pixels")
    bits = {name: tally.total(name) for name in tally.sums if name.startswith("bits.")}
    row["bpp"] = sum(bits.values()) / pixels
    row |= {f"bpp_{name.removeprefix('bits.')}": value / pixels for name, value in bits.items()}
    row["channel_uses"] = tally.mean("channel_uses")
    row["cbr"] = tally.total("channel_uses") / (3 * pixels)
    for name in [name for name in tally.sums if name.split(".")[0] == "lost"]:
        row |= _bler([tally], name.removeprefix("lost"))
    adapted = {name: tally.mean(name) for name in tally.sums if name.startswith("mcs.")}
    row |= {name.replace(".", "_"): round(index) for name, index in adapted.items()}
    for name, column in columns.items():
        known = tally.covers(column)
        row[name] = tally.mean(column) if known else math.nan
        row[f"{name}_half_width"] = tally.half_width(column) if known else math.nan
    return row


def _bler(tallies: list[Tally], suffix: str) -> dict[str, Any]:
    """Counts, rate and interval of all classes or of one."""
    losses = [tally.losses(suffix) for tally in tallies]
    lost, packets = sum(item.lost for item in losses), sum(item.packets for item in losses)
    end = suffix.replace(".", "_")
    if not packets:
        return {}
    low, high = bler_interval(losses)
    rates = {f"bler{end}": lost / packets, f"bler{end}_low": low, f"bler{end}_high": high}
    return {f"packets{end}": int(packets), f"lost{end}": int(lost)} | rates


def _column_order(metrics: Sequence[str]) -> Any:
    heads = ["trials", "bpp", "channel_uses", "cbr", "mcs", "bler", "packets", "lost", *metrics]

    def order(column: str) -> tuple[int, str]:
        head = next(
            (i for i, name in enumerate(heads) if column == name or column.startswith(f"{name}_")), 99
        )
        return head, column

    return order
