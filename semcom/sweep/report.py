"""The report of a run: one HTML file that needs nothing else, and every plot as PNG and PDF."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from semcom.picture import images
from semcom.sweep.plots import plot_bits
from semcom.sweep.result import SweepResult

_PICTURE_WIDTH, _PICTURE_QUALITY = 512, 88  # for looking, not for measuring; the run keeps the originals
_MOST_CURVES = 24


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
        summary=_table(result.summary()),
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
            title = ", ".join(f"{axis} {value}" for axis, value in given.items())
            yield _file_name(metric, number if others else None), f"{metric} {title}".strip(), figure
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

        lines = [
            {"name": line[1][0].rsplit(", ", 1)[0], "pictures": [url(path) for _, path in line[1:]]}
            for line in result.sheet(part)
        ]
        yield {
            "image": image,
            "snrs": sorted(part["snr_db"].unique().tolist()),
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


def _table(frame: pd.DataFrame) -> str:
    return str(frame.to_html(index=False, float_format=lambda value: f"{value:.5g}", na_rep="–", border=0))


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
