"""Patches: what is coded comes back in its place, outside nothing changes, damage is an erasure."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom.contracts import Budget
from semcom.link import PerfectLink
from semcom.message import ReceivedStream
from semcom.packets import bits_on_wire, bpp
from semcom.streams import patches
from semcom.streams.coding import av1
from semcom.streams.patches import Place
from semcom.transmitter.detectors import face

units = st.integers(0, 2047), st.integers(0, 2047), st.integers(1, 256), st.integers(1, 256)


@settings(deadline=None, max_examples=25)
@given(*units, st.sampled_from(patches.SCALES))
def test_places_come_back(x, y, width, height, reduction):
    place = Place(8 * x, 8 * y, 8 * width, 8 * height, reduction)
    chunk = patches.encode(place, b"")
    assert len(chunk) == 5
    with pytest.raises(av1.AV1Error):
        patches.decode(chunk)
    tried = []

    def decode(payload, *size):
        tried.append(size)
        return np.zeros((*size[::-1], 3), np.uint8)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(patches.av1, "decode", decode)
        patched.setattr(patches, "enlarged", lambda coded, place: coded)
        assert patches.decode(chunk)[0] == place
    assert tried == [(8 * width // reduction, 8 * height // reduction)]


@pytest.mark.parametrize("reduction", patches.SCALES)
def test_a_patch_is_the_picture_in_its_place_and_nothing_outside(small_photo, reduction):
    place = Place(64, 40, 48, 56, reduction)
    size = place.sent_size[::-1]
    small = torch.nn.functional.interpolate(place.cut(small_photo)[None], size, mode="area")[0]
    pixels = (small * 255).round().byte().permute(1, 2, 0).numpy()
    chunk = patches.encode(place, av1.encode(np.ascontiguousarray(pixels), 60))
    shown = patches.paste(torch.zeros_like(small_photo), *patches.decode(chunk))
    inside = torch.zeros(150, 200, dtype=torch.bool)
    inside[40:96, 64:112] = True
    assert not shown[:, ~inside].any()
    middle = slice(44, 92), slice(68, 108)
    assert (shown - small_photo)[:, middle[0], middle[1]].abs().mean() < 0.02 * reduction


def test_a_patch_at_the_border_reaches_it(small_photo):
    place = Place(152, 104, 48, 48)
    shown = patches.paste(small_photo, place, torch.ones(3, 48, 48))
    assert (shown[:, 108:, 156:] == 1).all()
    with pytest.raises(ValueError, match="outside"):
        patches.paste(small_photo, replace(place, x=160), torch.ones(3, 48, 48))


@pytest.fixture
def named(monkeypatch):
    monkeypatch.setattr(face, "detect", lambda image: [(70.0, 46.0, 104.0, 90.0)])


def error(picture, photo):
    return (picture - photo)[:, 46:90, 70:104].square().mean().item()


def test_what_detectors_name_comes_nearer_within_the_budget(semantic, small_photo, named):
    budget, system = Budget.of_bpp(0.12, 200, 150), semantic.with_options(key_class="face")
    message = system.encode(small_photo, budget)
    assert bpp(message) <= 0.12 and bits_on_wire(message)["patches"] > 0
    (usual,) = PerfectLink().send([semantic.encode(small_photo, budget)], 0.0, [0])
    (received,) = PerfectLink().send([message], 0.0, [0])
    result = system.decode(received)
    assert result.notes == ()
    assert error(result.image, small_photo) < 0.6 * error(system.decode(usual).image, small_photo)
    assert (result.received > 0).any()


@pytest.mark.parametrize("bad", [None, b"", b"\xff" * 30])
def test_lost_or_damaged_patches_leave_the_picture(semantic, small_photo, named, bad):
    system = semantic.with_options(key_class="face")
    (received,) = PerfectLink().send([system.encode(small_photo, Budget.of_bpp(0.12, 200, 150))], 0.0, [0])
    each = tuple(ReceivedStream(s.name, (bad,)) if s.name == "patches" else s for s in received.streams)
    result = system.decode(replace(received, streams=each))
    assert result.notes == ("patch lost" if bad is None else "patch damaged",)
    assert result.image.shape == small_photo.shape
