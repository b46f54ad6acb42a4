"""Views: pandas, xarray, exports, plots, pictures, report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image
from scipy import stats

from semcom.sweep import api, report
from semcom.sweep.result import SweepResult


@pytest.fixture(scope="module")
def result(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    """Two systems, one with an axis of its own, a common axis with variants, one failing point per image."""
    scenario = {
        "name": "views",
        "images": [str(photos)],
        "systems": {
            "plain": {"system": "sweep_toys:ToySystem"},
            "varied": {"system": "sweep_toys:ToySystem", "grid": {"options.seconds": [0.0, 0.001]}},
        },
        "link": {"kind": "sweep_toys:ToyLink", "fail_at_db": 5.0},
        "budget": {"bpp": 1.0},
        "grid": {
            "snr_db": [-5, 0, 5, 30],
            "fading": {"mild": {"link.slope": 4.0}, "harsh": {"link.slope": 9.0}},
        },
        "stop": {"trials": 4},
        "metrics": ["psnr", "sweep_toys:mse"],
        "pictures": 2,
    }
    return api.run(scenario, tmp_path_factory.mktemp("run"), executor="serial", allow_imports=True)


def test_axes_are_what_varies(result: SweepResult) -> None:
    assert result.axes == ["system", "fading", "options.seconds", "image", "snr_db"]
    assert result.axis("seconds") == "options.seconds"
    with pytest.raises(ValueError, match="'speed' is not one of the axes"):
        result.axis("speed")


def test_points_that_failed_are_missing_not_zero(result: SweepResult) -> None:
    frame = result.to_pandas()
    assert len(frame) == 3 * 2 * 4 * 3 and 5.0 not in set(frame["snr_db"])
    assert not frame.drop(columns=["options.seconds"]).isna().any().any()


def test_summary_is_over_images(result: SweepResult) -> None:
    frame, summary = result.to_pandas(), result.summary()
    row = summary[
        (summary["system"] == "plain") & (summary["fading"] == "mild") & (summary["snr_db"] == 0)
    ].iloc[0]
    part = frame[(frame["system"] == "plain") & (frame["fading"] == "mild") & (frame["snr_db"] == 0)]
    assert len(part) == row["images"] == 4
    assert row["psnr"] == pytest.approx(part["psnr"].mean())
    assert row["psnr_half_width"] == pytest.approx(stats.sem(part["psnr"]) * stats.t.ppf(0.975, 3))
    assert row["bler"] == part["lost"].sum() / part["packets"].sum()
    assert row["bler_low"] < row["bler"] < row["bler_high"]
    assert row["packets_critical"] == 4 * 4 and row["lost_critical"] == 0


def test_xarray_has_the_axes_as_dimensions(result: SweepResult) -> None:
    data = result.to_xarray()
    assert list(data["psnr"].dims) == result.axes
    frame = result.to_pandas()
    first = frame[frame["system"] == "varied"].iloc[0]
    assert float(data["psnr"].sel({axis: first[axis] for axis in result.axes})) == first["psnr"]


def test_exports_hold_the_same_numbers(result: SweepResult, tmp_path: Path) -> None:
    frame = result.to_pandas()
    csv = pd.read_csv(result.export(tmp_path / "t.csv"))
    parquet = pd.read_parquet(result.export(tmp_path / "t.parquet"))
    assert csv["psnr"].tolist() == pytest.approx(frame["psnr"].tolist(), rel=1e-15)
    assert parquet["psnr"].tolist() == frame["psnr"].tolist()
    with xr.open_dataset(result.export(tmp_path / "t.nc"), engine="h5netcdf") as data:
        assert np.sort(data["psnr"].values[~np.isnan(data["psnr"].values)]) == pytest.approx(
            np.sort(frame["psnr"])
        )
    with pytest.raises(ValueError, match=r"\.csv, \.parquet or \.nc"):
        result.export(tmp_path / "t.xlsx")


def test_plot_draws_a_curve_and_a_band_per_hue(result: SweepResult) -> None:
    ax = result.plot("psnr", fading="mild")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "plain",
        "varied, 0.0",
        "varied, 0.001",
    ]
    summary = result.summary()
    plain = summary[(summary["system"] == "plain") & (summary["fading"] == "mild")]
    assert ax.lines[0].get_ydata().tolist() == plain["psnr"].tolist()
    assert len(ax.collections) == 3
    plt.close("all")


def test_plot_asks_for_axes_that_are_left_open(result: SweepResult) -> None:
    with pytest.raises(ValueError, match="choose one fading of harsh, mild"):
        result.plot("psnr")
    with pytest.raises(ValueError, match="no column 'psrn'"):
        result.plot("psrn", fading="mild")
    assert len(result.plot("bler", hue="fading", system="plain").lines) == 2
    plt.close("all")


def test_pictures_without_anything_to_measure_do_not_count(photos: Path, tmp_path: Path) -> None:
    """A sparse metric is NaN of half of the pictures: the mean is of the others, nothing is asked again."""
    scenario = {
        "name": "sparse",
        "images": [str(photos)],
        "systems": {"plain": {"system": "sweep_toys:ToySystem"}},
        "link": {"kind": "sweep_toys:ToyLink"},
        "budget": {"bpp": 1.0},
        "grid": {"snr_db": [5]},
        "stop": {"trials": 2},
        "metrics": ["sweep_toys:mse", "sweep_toys:sparse"],
    }
    first = api.run(scenario, tmp_path, executor="serial", allow_imports=True)
    frame = first.to_pandas()
    known = frame["sweep_toys:sparse"].notna()
    assert 0 < known.sum() < len(frame)
    assert (frame["sweep_toys:sparse"] == frame["sweep_toys:mse"])[known].all()
    assert first.summary()["sweep_toys:sparse"].item() == pytest.approx(frame["sweep_toys:mse"][known].mean())
    again = api.run(scenario, tmp_path, executor="serial", allow_imports=True)
    pd.testing.assert_frame_equal(again.to_pandas(), frame)


def test_envelope_takes_the_best_of_an_axis(result: SweepResult) -> None:
    best = result.envelope("psnr", over="fading")
    summary = result.summary()
    for _, row in best.iterrows():
        same = summary[(summary["system"] == row["system"]) & (summary["snr_db"] == row["snr_db"])]
        seconds = row["options.seconds"]
        same = same[
            same["options.seconds"].isna() if pd.isna(seconds) else same["options.seconds"] == seconds
        ]
        assert len(same) == 2 and row["psnr"] == same["psnr"].max()
    assert (
        result.envelope("sweep_toys:mse", over="fading")["sweep_toys:mse"].max()
        <= summary["sweep_toys:mse"].max()
    )


def test_pictures_are_those_of_trial_zero(result: SweepResult) -> None:
    table = result.pictures()
    assert set(table["image"]) == {"photo0.png", "photo1.png"} and len(table) == 3 * 2 * 2 * 3
    with Image.open(table["path"].iloc[0]) as picture:
        assert picture.size == (64, 64)
    sheet = result.show(image="photo1.png", snr_db=[0, 30])
    assert sheet.width > 3 * 216 and sheet.height > 6 * 216
    with pytest.raises(ValueError, match=r"no pictures of 'photo3.png'"):
        result.show(image="photo3.png")


def test_report_needs_nothing_else(result: SweepResult, tmp_path: Path) -> None:
    page = report.write(result, tmp_path / "report").read_text(encoding="utf-8")
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ).replace("https://matplotlib.org", "")
    assert page.count('type="range"') == 2 and page.count("data:image/webp;base64,") > 10
    assert "cannot do 5.0 dB" in page and "&#34;commit&#34;" in page
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert {"psnr_00.png", "psnr_00.pdf", "psnr_01.pdf", "bler_00.png", "bits_per_stream.pdf"} <= names


def test_an_empty_run_says_so(tmp_path: Path, toy: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="is no run"):
        api.load(tmp_path)
    empty = api.run(
        toy(link={"fail_at_db": 0.0}, grid={"snr_db": [0]}),
        tmp_path / "run",
        executor="serial",
        allow_imports=True,
    )
    assert len(empty.to_pandas()) == 0 and len(empty.failures()) == 4
    with pytest.raises(ValueError, match="no finished points"):
        report.write(empty)


def test_bits_of_a_stream_that_some_images_lack_add_up(result: SweepResult) -> None:
    """A stream that one image of two has counts half, so that the streams add up to all bits."""
    part = result.to_pandas().head(2).copy()
    part["bpp_key"] = [0.2, np.nan]
    part["bpp"] = part["bpp_header"] + part["bpp_image"] + part["bpp_key"].fillna(0)
    part["image"] = ["photo0.png", "photo1.png"]
    part["_tally"] = list(result._points["_tally"].head(2))
    row = result._summarise(part)
    assert row["bpp_key"] == pytest.approx(0.1)
    assert row["bpp"] == pytest.approx(row["bpp_header"] + row["bpp_image"] + row["bpp_key"])


def test_envelope_takes_the_best_whichever_way_a_metric_points(result: SweepResult) -> None:
    summary = result.summary()
    both = summary[summary["system"] == "plain"].groupby("snr_db")
    for metric, best in (("psnr", "max"), ("sweep_toys:mse", "min")):
        found = result.envelope(metric, "fading").set_index(["system", "snr_db"]).loc["plain"]
        assert found[metric].to_dict() == getattr(both[metric], best)().to_dict()
    with pytest.raises(ValueError, match="not one of the metrics"):
        result.envelope("lost", "fading")


def test_labels_of_any_kind_are_drawn_as_they_are(result: SweepResult) -> None:
    from semcom.sweep.plots import plot_curves

    table = (
        result.summary()[["system", "snr_db", "psnr", "psnr_half_width"]].head(2).assign(system=r"$\frac$")
    )
    hidden = table.assign(system="_hidden")
    ax = plot_curves(pd.concat([table, hidden]), "psnr", "snr_db", ["system"], None, result.contents.metrics)
    ax.figure.canvas.draw()
    assert len(ax.get_legend().get_texts()) == 2
    plt.close("all")


def test_bands_end_where_a_metric_has_no_values(result: SweepResult) -> None:
    from semcom.sweep.plots import plot_curves

    table = result.summary().head(3).assign(psnr_half_width=100.0)
    ax = plot_curves(table, "psnr", "snr_db", ["system"], None, result.contents.metrics)
    lowest = min(path.vertices[:, 1].min() for path in ax.collections[0].get_paths())
    assert lowest >= 0
    plt.close("all")
