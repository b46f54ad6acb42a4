"""A real codec over the real digital link: the batch decides nothing, and the numbers are the link's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from semcom.picture import images
from semcom.sweep import api


@pytest.fixture
def scenario(sample_photo: Path, tmp_path: Path) -> dict[str, object]:
    photo = tmp_path / "crop.png"
    images.save(images.load(sample_photo)[:, :128, :128], photo)
    return {
        "name": "real",
        "images": [str(photo)],
        "systems": {"avif": {}},
        "link": {"channel": {"model": "tdl-a", "speed_kmh": 30}},
        "budget": {"bpp": 0.3},
        "grid": {"snr_db": [-6, 2, 20]},
        "stop": {"trials": 2},
        "metrics": ["psnr", "ssim"],
        "pictures": 0,
    }


def test_batches_of_the_digital_link_change_nothing(scenario: dict[str, object], tmp_path: Path) -> None:
    whole = api.run(scenario, tmp_path / "whole", executor="serial")
    single = api.run(scenario, tmp_path / "single", executor="serial", batch=1)
    assert whole.to_pandas().to_csv() == single.to_pandas().to_csv()
    frame = whole.to_pandas().set_index("snr_db")
    assert frame.loc[20, "lost"] == 0 and frame.loc[-6, "lost"] == frame.loc[-6, "packets"]
    assert frame["bpp"].nunique() == 1 and 0 < frame["bpp"].iloc[0] <= 0.3
    assert frame.loc[20, "psnr"] > frame.loc[-6, "psnr"] + 3


@pytest.mark.slow
def test_processes_give_the_digits_of_one_process(scenario: dict[str, object], tmp_path: Path) -> None:
    serial = api.run(scenario, tmp_path / "serial", executor="serial")
    processes = api.run(scenario, tmp_path / "processes", executor="processes", workers=2, batch=2)
    assert serial.to_pandas().to_csv() == processes.to_pandas().to_csv()
