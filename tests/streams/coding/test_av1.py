"""AV1 payloads against whole AVIF files read by Pillow."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from semcom.streams.coding import av1


def picture(width, height, seed=0):
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return (smooth + rng.integers(-9, 10, smooth.shape)).clip(0, 255).astype(np.uint8)


def whole_file(pixels, quality, speed, for_restoration):
    buffer = io.BytesIO()
    tools = {"enable-cdef": "0", "enable-restoration": "0", "deltaq-mode": "0"}
    filters = tools | {"min-partition-size": "8", "sharpness": "4"} if for_restoration else None
    options = {"subsampling": "4:2:0", "codec": "aom", "max_threads": 1, "advanced": filters}
    Image.fromarray(pixels).save(buffer, "AVIF", quality=quality, speed=speed, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("for_restoration", [True, False])
@pytest.mark.parametrize("quality", [1, 20, 63, 100])
@pytest.mark.parametrize("size", [(16, 16), (192, 128), (33, 47), (17, 160)])
def test_same_picture_as_the_whole_file(size, quality, for_restoration):
    pixels = picture(*size)
    reference = whole_file(pixels, quality, 6, for_restoration)
    payload = av1.encode(pixels, quality, 6, for_restoration)
    assert len(payload) < len(reference) - 200
    expected = np.asarray(Image.open(io.BytesIO(reference)).convert("RGB"))
    assert np.array_equal(av1.decode(payload, *size), expected)


@settings(max_examples=15, deadline=None)
@given(st.integers(16, 96), st.integers(16, 96), st.integers(1, 63), st.booleans())
def test_any_hci_size(width, height, quality, for_restoration):
    pixels = picture(width, height)
    payload = av1.encode(pixels, quality, for_restoration=for_restoration)
    assert payload[0] in (0, 2), "the sequence header should follow from the size"
    assert av1.decode(payload, width, height).shape == pixels.shape


@pytest.mark.parametrize("size", [(768, 512), (2048, 16)])
def test_larger_than_the_lowest_level(size):
    pixels = picture(*size)
    payload = av1.encode(pixels, 10, speed=10)
    error = np.abs(av1.decode(payload, *size).astype(int) - pixels)
    assert error.mean() < 15


def test_quality_orders_size_and_error():
    pixels = picture(128, 96)
    payloads = [av1.encode(pixels, quality, speed=6) for quality in (5, 30, 60)]
    errors = [np.abs(av1.decode(p, 128, 96).astype(int) - pixels).mean() for p in payloads]
    assert sorted(payloads, key=len) == payloads
    assert sorted(errors, reverse=True) == errors


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x03abc"])
def test_unknown_first_byte_is_refused(payload):
    with pytest.raises(av1.AV1Error):
        av1.decode(payload, 64, 64)


@pytest.mark.parametrize("payload", [b"\x00", b"\x00" + bytes(40), b"\x02abc", b"\x01\xff\x00"])
def test_nonsense_is_refused(payload):
    with pytest.raises(av1.AV1Error):
        av1.decode(payload, 64, 64)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damage_is_refused_or_decodes_to_the_size(data):
    payload = bytearray(av1.encode(picture(64, 48), 30, speed=10))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(payload[: data.draw(st.integers(0, len(payload)))])
    try:
        result = av1.decode(damaged, 64, 48)
    except av1.AV1Error:
        return
    assert result.shape == (48, 64, 3)


@pytest.mark.parametrize("size", [(512, 768), (768, 511), (384, 256)])
def test_another_size_is_refused(size):
    """So large a picture carries its own sequence header, so only the announced size is wrong."""
    payload = av1.encode(picture(768, 512), 10, speed=10)
    assert payload[0] == 1
    with pytest.raises(av1.AV1Error):
        av1.decode(payload, *size)


def test_a_full_sequence_header_is_not_read_as_a_reduced_one():
    """Its size stands elsewhere, so that the picture would be of another one, scaled without a word."""
    picture = np.zeros((16, 24, 3), np.uint8)
    sequence = bytearray(av1._expected_sequence_header(av1.encode(picture, 30)[:1], 24, 16))
    sequence[0] &= 0b11110111  # not a reduced still-picture header
    with pytest.raises(av1.AV1Error, match="not of a picture of"):
        av1.decode(bytes([1, len(sequence), *sequence]) + av1.encode(picture, 30)[1:], 24, 16)
