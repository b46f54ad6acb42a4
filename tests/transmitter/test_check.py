"""The sender's check: what is lost gets key detail, within the budget, and the message says what it found."""

import pytest
import torch

from semcom import pretrained
from semcom.contracts import Budget
from semcom.link import PerfectLink
from semcom.metrics.tasks import original as originals
from semcom.packets import bpp
from semcom.transmitter.check import Check, Thing, cells_of

BOX = (64.0, 40.0, 120.0, 104.0)
LIMIT = 0.3


def error(picture, photo):
    x0, y0, x1, y1 = map(int, BOX)
    return (picture - photo)[:, y0:y1, x0:x1].square().mean().item()


@pytest.fixture
def told(monkeypatch):
    """A face is found where a picture is near enough to the original in BOX; there is no text."""
    said = {"limit": 0.0, "photo": None, "looks": 0}

    def detect(image):
        said["looks"] += 1
        return [BOX] if error(image, said["photo"]) <= said["limit"] else []

    monkeypatch.setattr(originals.mtcnn, "detect", detect)
    monkeypatch.setattr(originals.ppocr, "read", lambda image: [])
    return said


def decoded(system, message):
    (received,) = PerfectLink().send([message], 0.0, [0])
    return system.decode(received).image


@pytest.fixture
def lean(semantic, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMCOM_CACHE", str(tmp_path))
    return semantic.with_options(objective="psnr", num_words=0, card=False, caption="none")


def test_a_lost_face_gets_key_detail_within_the_budget(lean, small_photo, told):
    budget = Budget.of_bpp(LIMIT, 200, 150)
    usual = lean.encode(small_photo, budget)
    without = error(decoded(lean, usual), small_photo)
    told["photo"], told["limit"] = small_photo, 0.97 * without
    message = lean.with_options(effort=1).encode(small_photo, budget)
    assert bpp(message) <= LIMIT
    assert error(decoded(lean, message), small_photo) <= told["limit"]
    assert any("1 of 1 faces found again" in note for note in message.notes)


def test_what_cannot_be_saved_is_said(lean, small_photo, told):
    told["photo"] = small_photo  # no reconstruction is near enough
    message = lean.with_options(effort=1).encode(small_photo, Budget.of_bpp(LIMIT, 200, 150))
    assert any("0 of 1 faces found again" in note for note in message.notes)


def test_without_effort_nobody_looks(lean, small_photo, told):
    told["photo"] = small_photo
    assert lean.encode(small_photo, Budget.of_bpp(LIMIT, 200, 150)).notes == ()
    assert told["looks"] == 0


def test_what_was_not_checked_is_said(small_photo, monkeypatch, told):
    def offline(image):
        raise pretrained.PretrainedError("cannot fetch it")

    monkeypatch.setattr(originals.mtcnn, "detect", offline)
    check = Check(small_photo, lambda image: 7)
    assert check.lost(small_photo) == []
    assert "face: not checked, cannot fetch it" in check.notes(small_photo)


@pytest.mark.parametrize("box", [(0, 0, 3, 3), (190, 140, 200, 150), (40, 40, 80, 90)])
def test_cells_of_a_thing_cover_it(box):
    cells = cells_of([Thing("face", box)], 150, 200, 16)
    assert cells.shape == (10, 13)
    x0, y0, x1, y1 = box
    for y in range(y0, y1):
        for x in range(x0, x1):
            assert cells[y // 16, x // 16]
    assert not cells_of([], 150, 200, 16).any()
    assert torch.equal(cells, cells_of([Thing("text", box, "a")], 150, 200, 16))
