"""Every codec: stripped payloads against whole files, what truncation leaves, damaged bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from semcom.baselines.codec import CodecError, grey, pieces
from semcom.baselines.codecs import avif, hevc, jpeg, jpeg2000, jxl, webp

CODECS = [module.CODEC for module in (jpeg, jpeg2000, webp, avif, jxl, hevc)]
PROGRESSIVE = [jpeg.CODEC, jpeg2000.CODEC]
SIZES = [(96, 64), (97, 65), (200, 33), (16, 16)]


def names(codecs):
    return pytest.mark.parametrize("codec", codecs, ids=[codec.name for codec in codecs])


def picture(width, height, seed=0):
    """Smooth structure with texture, [h,w,3] uint8."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 6, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), float)
    return np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def middle(codec):
    return codec.qualities[len(codec.qualities) // 2]


@names(CODECS)
@pytest.mark.parametrize("size", SIZES)
def test_round_trip(codec, size):
    pixels = picture(*size)
    coded = codec.encode(pixels, codec.qualities[-1])
    decoded = codec.decode(coded, len(coded), *size)
    assert decoded.shape == pixels.shape
    assert psnr(decoded, pixels) > (23 if size == (16, 16) else 26)  # chroma is coded at half the size


@names(CODECS)
def test_higher_quality_is_larger_and_better(codec):
    pixels = picture(128, 96)
    coded = [codec.encode(pixels, codec.qualities[i]) for i in (0, len(codec.qualities) // 2, -1)]
    sizes = [sum(map(len, payload)) for payload in coded]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 3
    quality = [psnr(codec.decode(payload, len(payload), 128, 96), pixels) for payload in coded]
    assert quality == sorted(quality)


@names(CODECS)
def test_deterministic(codec):
    pixels = picture(64, 48)
    assert codec.encode(pixels, middle(codec)) == codec.encode(pixels, middle(codec))


@pytest.mark.parametrize("quality", [1, 20, 95])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_strips_only_what_is_rebuilt(quality, progressive):
    pixels = picture(97, 65)
    buffer = io.BytesIO()
    options = {"quality": quality, "subsampling": "4:2:0", "progressive": progressive}
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    mode = 0x80 * progressive
    rebuilt = jpeg._header(quality, mode, 97, 65) + jpeg._entropy_coded(pixels, quality, mode) + b"\xff\xd9"
    assert rebuilt == buffer.getvalue()


@pytest.mark.parametrize("quality", [0, 30, 100])
@pytest.mark.parametrize("size", SIZES)
def test_hevc_file_is_rebuilt_byte_by_byte(quality, size):
    pixels = picture(*size)
    (payload,) = hevc.encode(pixels, quality)
    assert hevc.rebuild(payload, *size) == hevc._file(pixels, quality)


@pytest.mark.parametrize("size", SIZES)
def test_webp_payload_decodes_as_the_file_does(size):
    pixels = picture(*size)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=40, method=6)
    (payload,) = webp.encode(pixels, 40)
    assert len(buffer.getvalue()) - len(payload) in (
        27,
        28,
    )  # RIFF 12, chunk 8, start code 3, size 4, padding
    assert np.array_equal(webp.decode((payload,), 1, *size), np.asarray(Image.open(buffer).convert("RGB")))


@pytest.mark.parametrize("size", [(256, 192), (96, 64)])
def test_jpeg2000_layers_decode_as_the_file_does(size):
    pixels = picture(*size)
    layers = jpeg2000.encode(pixels, 150)
    assert len(layers) == (3 if sum(map(len, layers)) > 1200 else 1)
    psnrs = [37.5] if len(layers) == 1 else [29.5, 33.5, 37.5]
    whole_file = Image.open(io.BytesIO(jpeg2000._file(pixels, psnrs)))
    assert np.array_equal(jpeg2000.decode(layers, len(layers), *size), np.asarray(whole_file))


@names(PROGRESSIVE)
def test_more_of_a_truncated_picture_is_better(codec):
    pixels = picture(256, 192)
    coded = codec.encode(pixels, codec.qualities[-40])
    assert len(coded) >= 3
    counts = (1, len(coded) // 2 + 1, len(coded))
    quality = [psnr(codec.decode(coded[:n], len(coded), 256, 192), pixels) for n in counts]
    assert quality == sorted(quality)
    assert quality[0] < quality[-1]


@names([codec for codec in CODECS if codec not in PROGRESSIVE])
def test_others_need_everything(codec):
    coded = codec.encode(picture(96, 64), middle(codec))
    assert len(coded) == 1
    with pytest.raises(CodecError, match="0 of 1"):
        codec.decode((), 1, 96, 64)


@names([webp.CODEC, jxl.CODEC, hevc.CODEC, avif.CODEC])
def test_damaged_bytes_are_refused(codec):
    with pytest.raises(ValueError, match=r"[Dd]amaged|not a"):
        codec.decode((b"\x00\x01\x02\x03" * 8,), 1, 96, 64)


def test_payload_of_another_size_is_refused():
    (payload,) = jxl.encode(picture(96, 64), 20)
    with pytest.raises(CodecError, match="64x96"):
        jxl.decode((payload,), 1, 64, 96)


@pytest.mark.parametrize("length", [0, 1, 400, 401, 1_000_000])
def test_pieces_join_to_the_payload(length):
    payload = np.random.default_rng(1).bytes(length)
    cut = pieces(payload)
    assert b"".join(cut) == payload
    assert 1 <= len(cut) <= 1000


def test_grey_picture_is_what_templates_are_made_of():
    assert grey(5, 3).shape == (3, 5, 3)
