"""The report of a run: one HTML file that needs nothing else, and every plot as PNG and PDF."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from semcom.picture import images
from semcom.sweep.compare import Comparison, compare
from semcom.sweep.plots import LABELS, plot_bits
from semcom.sweep.result import SweepResult

_PICTURE_WIDTH, _PICTURE_QUALITY = 512, 88  # for looking, not for measuring; the run keeps the originals
_MOST_CURVES = 24
_FIRST_COLUMNS, _FEW_IMAGES = 8, 5


def write(result: SweepResult, out: str | Path | None = None) -> Path:
    """Writes `report.html` and plots.

    Args:
        result: of a run, finished or not.
        out: folder; `report` in the run's by default.

    Returns:
        Path of the HTML file.

    Raises:
        ValueError: nothing has been simulated yet.
    """
    if result.to_pandas().empty:
        raise ValueError(f"{result.store.folder} has no finished points yet")
    folder = Path(out) if out is not None else result.store.folder / "report"
    folder.mkdir(parents=True, exist_ok=True)
    plots = []
    for name, title, figure in _figures(result):
        for suffix in ("png", "pdf"):
            figure.savefig(folder / f"{name}.{suffix}", dpi=200)
        plots.append({"title": title, "svg": _svg(figure)})
        plt.close(figure)
    template = Environment(loader=PackageLoader("semcom.sweep"), autoescape=True).get_template(
        "report.html.j2"
    )
    page = template.render(
        name=result.store.folder.name,
        scenario=_scenario(result),
        plots=plots,
        sheets=list(_sheets(result)),
        table=_table(result),
        first_columns=_FIRST_COLUMNS,
        images=_num_images(result),
        few_images=_FEW_IMAGES,
        differences=_differences(result),
        failures=_failures(result),
        provenance=[json.dumps(entry, indent=1) for entry in result.store.provenances()],
        seconds={stage: f"{value:.1f}" for stage, value in result.seconds().items()},
        points=len(result.to_pandas()),
    )
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _figures(result: SweepResult) -> Iterator[tuple[str, str, Figure]]:
    """(file name, title, figure) of every curve over the SNR, one per setting of the other axes."""
    others = [axis for axis in result.axes if axis not in ("system", "image", "snr_db", *result.own_axes)]
    summary = result.summary()
    settings = summary[others].drop_duplicates().to_dict("records") if others else [{}]
    metrics = [*result.metrics, *(["bler"] if "bler" in summary else [])]
    for number, setting in enumerate(settings[:_MOST_CURVES]):
        for metric in metrics:
            figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
            given = {axis: value for axis, value in setting.items() if pd.notna(value)}
            result.plot(metric, ax=ax, **given)
            place = ", ".join(said(axis, value) for axis, value in given.items())
            title = ", ".join(filter(None, (_heading(result, metric), place)))
            yield _file_name(metric, number if others else None), title, figure
    yield "bits_per_stream", "Bits per stream", plot_bits(result.to_pandas(), result.axes)


def _file_name(metric: str, number: int | None) -> str:
    name = "".join(c if c.isalnum() or c == "_" else "-" for c in metric)
    return name if number is None else f"{name}_{number:02d}"


def _sheets(result: SweepResult) -> Iterator[dict[str, Any]]:
    """One contact sheet per image: the original, then a row per system with a picture per SNR."""
    for image, part in result.pictures().groupby("image", sort=False):
        shared: dict[Path, str] = {}

        def url(path: Path | None, shared: dict[Path, str] = shared) -> str:
            return "" if path is None else shared.setdefault(path, _data_url(path))

        snrs = sorted(part["snr_db"].unique().tolist())
        rows = [axis for axis in result.axes if axis not in ("image", "snr_db")]
        lines = []
        for key, kept in part.groupby(rows, sort=False, dropna=False):
            place = dict(zip(rows, key, strict=True))
            paths = dict(zip(kept["snr_db"], kept["path"], strict=True))
            lines.append(
                {
                    "name": ", ".join(said(axis, value) for axis, value in place.items() if pd.notna(value)),
                    "pictures": [url(Path(paths[snr])) if snr in paths else "" for snr in snrs],
                    "captions": [_caption(result, place | {"image": image, "snr_db": snr}) for snr in snrs],
                }
            )
        yield {
            "image": image,
            "snrs": snrs,
            "original": url(result.original(part["_photo"].iloc[0])),
            "lines": lines,
        }


def _data_url(path: Path) -> str:
    picture = images.read(path)
    if picture.width > _PICTURE_WIDTH:
        picture = picture.resize((_PICTURE_WIDTH, round(picture.height * _PICTURE_WIDTH / picture.width)))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=_PICTURE_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def said(axis: str, value: Any) -> str:
    """A setting in words: `72 subcarriers`, `5 dB`, `delay spread ns 300`, a system by its name alone."""
    name = axis.rsplit(".", 1)[-1]
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if axis == "system":
        return text
    if name == "snr_db":
        return f"{text} dB"
    if name.startswith("num_"):
        return f"{text} {name.removeprefix('num_').replace('_', ' ')}"
    return f"{name.replace('_', ' ')} {text}"


def _heading(result: SweepResult, column: str) -> str:
    metrics = result.contents.metrics
    return str(metrics[column]["label"]) if column in metrics else LABELS.get(column, column)


def _num_images(result: SweepResult) -> int:
    return int(result.to_pandas()["image"].nunique())


def _caption(result: SweepResult, place: Mapping[str, Any]) -> str:
    """What a picture cost and what it is worth: bpp, metrics, and what was lost over its trials."""
    table = result.to_pandas()
    for axis, value in place.items():
        table = table[table[axis].isna() if pd.isna(value) else table[axis] == value]
    if table.empty:
        return "not simulated"
    row, metrics = table.iloc[0], result.contents.metrics
    parts = [f"{row['bpp']:.3f} bpp"]
    parts += [
        f"{metrics[name]['label']} {row[name]:.{metrics[name].get('digits', 3)}f}"
        for name in sorted(result.metrics, key=lambda name: name != "lpips")[:2]
        if pd.notna(row[name])
    ]
    if "packets" in row and pd.notna(row["packets"]):
        lost = int(row["lost"])
        parts.append(f"{lost} of {int(row['packets'])} packets lost" if lost else "nothing lost")
    return ", ".join(parts)


def _table(result: SweepResult) -> dict[str, Any]:
    """Heads and rows; a cell has a text and what it is sorted by. What matters stands first."""
    summary, metrics = result.summary(), result.contents.metrics
    axes = [axis for axis in result.axes if axis != "image"]
    leading = [name for name in (*axes, *result.metrics, "bler", "bpp", "images") if name in summary]
    others = [
        name
        for name in summary
        if name not in leading and not name.endswith(("_half_width", "_low", "_high"))
    ]

    def cell(row: Mapping[str, Any], name: str) -> dict[str, Any]:
        value, half = row[name], row.get(f"{name}_half_width", math.nan)
        if not isinstance(value, str) and pd.isna(value):
            return {"text": "–", "key": ""}
        if isinstance(value, str):
            return {"text": value, "key": value}
        digits = metrics[name].get("digits", 3) if name in metrics else None
        text = f"{value:.{digits}f}" if digits is not None else f"{value:.5g}"
        return {"text": text if pd.isna(half) else f"{text} ± {half:.{digits or 3}f}", "key": float(value)}

    names = [*leading, *others]
    short = {"snr_db": "SNR (dB)", "bler": "BLER", "cbr": "CBR"}
    heads = [
        _heading(result, name) if name in metrics else short.get(name, name.rsplit(".", 1)[-1])
        for name in names
    ]
    rows = [[cell(row, name) for name in names] for row in summary.to_dict("records")]
    return {"heads": [head.removeprefix("num_").replace("_", " ") for head in heads], "rows": rows}


def _differences(result: SweepResult) -> dict[str, Any]:
    """The scenario's first system against each other one, on the same pictures over the same fades."""
    first, *others = dict.fromkeys(scene["system"] for scene in result.contents.data["scenes"])
    rows: list[tuple[str, Comparison]] = []
    for other in others:
        try:
            rows += [(other, item) for item in compare(result, result, (first, other))]
        except ValueError:  # an axis that only one of them has, or a system without results yet
            continue
    return {
        "first": first,
        "rows": [
            {
                "other": other,
                "place": ", ".join(said(axis, value) for axis, value in item.axes.items() if pd.notna(value)),
                "metric": _heading(result, item.metric),
                "value": f"{item.difference.mean:+.3g}"
                + ("" if item.difference.half_width is None else f" ± {item.difference.half_width:.2g}"),
                "better": {"first": first, "second": other, None: ""}[item.better],
                "images": item.images,
            }
            for other, item in rows
        ],
    }


def _failures(result: SweepResult) -> list[dict[str, str]]:
    return [
        {
            "system": record["point"]["system"],
            "image": record["point"]["image"]["name"],
            "snr_db": f"{record['point']['snr_db']:g}",
            "reason": record["reason"],
        }
        for record in result.failures().values()
    ]


def _scenario(result: SweepResult) -> str:
    path = result.store.folder / "scenario.yaml"
    return path.read_text(encoding="utf-8") if path.exists() else ""
