"""The computing behind the page, and what its texts promise: that they reproduce what is shown."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from channels.ofdm.front_end import OfdmFrontEnd
from channels.spec import LinkSpec
from semcom.demo import air, curve
from semcom.demo.answer import answer
from semcom.demo.photos import MAX_BYTES, MAX_SIDE, as_png, photo_of
from semcom.demo.settings import Settings, as_python, scenario
from semcom.demo.studio import Studio
from semcom.metrics.psnr import psnr
from semcom.picture import images


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio()


@pytest.fixture(scope="module")
def photo(small_photo: torch.Tensor) -> torch.Tensor:
    return photo_of(as_png(small_photo[:, :96, :128]))


@pytest.fixture(scope="module")
def shown(studio: Studio, photo: torch.Tensor):
    return studio.show(photo, "photo", Settings(channel="awgn", amount=0.1))


def test_python_text_gives_the_picture_that_is_shown(shown, photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.png").write_bytes(as_png(photo))
    settings = Settings(channel="awgn", amount=0.1)
    namespace: dict = {}
    exec(as_python(settings, shown.semantic.adapted, photo.shape[2], photo.shape[1]), namespace)
    again = images.load("reconstruction.png")
    assert psnr(again[None], shown.semantic.reconstruction.image[None]).item() > 50  # rounded to 8 bits
    assert namespace["result"].received.report.channel_uses == shown.semantic.received.report.channel_uses


def test_rival_spends_no_more_channel_uses(shown):
    assert shown.rival is not None
    ours, theirs = (sent.received.report.channel_uses for sent in (shown.semantic, shown.rival))
    assert 0 < theirs <= ours


def test_switching_a_stream_off_loses_it_and_costs_quality(studio, shown, photo):
    settings = Settings(channel="awgn", amount=0.1, erased=("hci",))
    without = studio.show(photo, "photo", settings)
    assert all(chunk is None for chunk in without.semantic.received.chunks("hci"))
    assert without.semantic.quality["psnr"] < shown.semantic.quality["psnr"] - 1
    assert "switched off" in " ".join(answer(photo, without, settings)["notes"])
    again = studio.show(photo, "photo", Settings(channel="awgn", amount=0.1))
    assert again.semantic.quality == shown.semantic.quality


def test_what_is_painted_is_key(studio, photo):
    rows, columns = -(-photo.shape[1] // 16), -(-photo.shape[2] // 16)
    painted = ["0" * columns] * (rows - 1) + ["1" + "0" * (columns - 1)]
    settings = Settings(channel="awgn", amount=0.2, painted=painted)
    mask = studio.show(photo, "photo", settings).semantic.reconstruction.key_mask
    assert mask is not None and mask.nonzero().tolist() == [[rows - 1, 0]]
    with pytest.raises(ValueError, match="another picture"):
        studio.show(photo, "photo", Settings(painted=("1",)))


def test_budget_too_small_names_what_works(studio, photo):
    with pytest.raises(ValueError, match=r"0\.01 bpp is too small for this picture: at least 0\.\d+"):
        studio.show(photo, "photo", Settings(channel="awgn", amount=0.01))


@pytest.mark.parametrize("csi", ["perfect", "ls-cp"])
def test_equaliser_undoes_what_is_heard(csi):
    """At a high SNR on one antenna, what is heard divided by H is what was sent."""
    spec = LinkSpec.model_validate({"channel": {"model": "tdl-c"}, "ofdm": {"csi": csi}})
    front_end = OfdmFrontEnd(spec.channel, spec.ofdm)
    symbols = torch.ones(2, front_end.num_data_res, 1, dtype=torch.complex64)
    heard = front_end.heard(symbols, 60.0, 3)
    h = front_end._on_data(front_end.channel(3, 2)[:, 0, 0])
    assert (heard / h - 1).abs().median() < 0.02
    (equalised,) = front_end.send([symbols], [60.0], [3])
    assert (equalised.symbols - 1).abs().median() < 0.02


def test_constellation_is_tighter_at_a_higher_snr():
    spec = LinkSpec.model_validate({"channel": {"model": "awgn"}, "ofdm": {"csi": "perfect"}})
    low, high = (air.look(spec, "base", snr_db, 1, 4000) for snr_db in (0.0, 30.0))
    spread = [float((view.after.abs() - 2**-0.5).square().mean()) for view in (low, high)]
    assert spread[1] < 0.01 * spread[0]
    assert torch.allclose(low.before, low.after, atol=1e-4)  # AWGN with one antenna leaves nothing to undo
    assert low.gain_db.abs().max() < 1e-3


def test_curve_is_the_sweep_of_the_yaml(shown, photo):
    from semcom import sweep

    fields = scenario(
        Settings(channel="awgn", amount=0.1), shown.semantic.adapted, 1500, photo.shape[2], photo.shape[1]
    )
    fields |= {"grid": {"snr_db": [-5.0, 10.0]}, "stop": {"trials": 1}, "metrics": ["psnr"]}
    fields["systems"] = {"avif": {}}
    rows = list(curve.points(fields, as_png(photo), None))
    assert [row["snr_db"] for row in rows] == [-5.0, 10.0]
    assert yaml.safe_load(yaml.safe_dump(fields)) == fields
    assert callable(sweep)


def _file(picture: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a picture",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"../../etc/passwd",
        _file(Image.new("RGB", (4, 4)), "PNG"),
        _file(Image.new("L", (6000, 5000)), "PNG"),
        _file(Image.new("RGB", (5000, 64)), "PNG"),
        _file(Image.new("RGB", (128, 128)), "PNG")[:60],
        b"\0" * (MAX_BYTES + 1),
    ],
    ids=["empty", "text", "svg", "path", "tiny", "pixels", "thin", "cut", "bytes"],
)
def test_hostile_uploads_are_refused_in_a_sentence(content):
    with pytest.raises(ValueError) as refusal:
        photo_of(content)
    text = str(refusal.value)
    assert len(text) > 10 and "\n" not in text and "/tmp" not in text and "upload" not in text


def test_large_photos_become_smaller():
    pixels = np.random.default_rng(0).integers(0, 256, (600, 1000, 3), dtype=np.uint8)
    photo = photo_of(_file(Image.fromarray(pixels), "PNG"))
    assert photo.shape == (3, 307, MAX_SIDE)
    assert torch.equal(photo_of(as_png(photo)), photo)
