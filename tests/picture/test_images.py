"""Files of every kind are written here with Pillow (or by hand) and read back."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from semcom.picture.images import ImageError, load, read, read_indices, save

WIDTH, HEIGHT = 80, 66


@pytest.fixture(scope="module")
def pixels():
    """A smooth picture [H,W,3] uint8 that is different in every corner and colour."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack((3 * x, 255 - 3 * y, x + y), -1).astype(np.uint8)


def as_float(pixels):
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1) / 255


def png(width, height, depth, colour, rows):
    """A PNG file of raw scanlines."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def refused(path):
    with pytest.raises(ImageError) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.ppm", "a.webp"])
def test_lossless_rgb_is_exact(tmp_path, pixels, name):
    Image.fromarray(pixels).save(tmp_path / name, lossless=True)
    image = load(tmp_path / name)
    assert image.dtype == torch.float32
    assert image.is_contiguous()
    assert torch.equal(image, as_float(pixels))


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.avif"])
def test_lossy_rgb_is_close(tmp_path, pixels, name):
    Image.fromarray(pixels).save(tmp_path / name, quality=95)
    assert (load(tmp_path / name) - as_float(pixels)).abs().mean() < 0.02


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.pgm"])
def test_grey_has_three_equal_channels(tmp_path, pixels, name):
    Image.fromarray(pixels[..., 0]).save(tmp_path / name)
    image = load(tmp_path / name)
    assert torch.equal(image[0], image[1])
    assert torch.equal(image[0], image[2])
    assert (image - as_float(pixels[..., :1])).abs().max() < 0.04


@pytest.mark.parametrize("mode", ["1", "P"])
def test_palette_and_bilevel(tmp_path, pixels, mode):
    picture = Image.fromarray(pixels).convert(mode)
    picture.save(tmp_path / "a.png")
    assert torch.equal(load(tmp_path / "a.png"), as_float(np.asarray(picture.convert("RGB"))))


def test_gif(tmp_path, pixels):
    few = (pixels // 64) * 64
    Image.fromarray(few).save(tmp_path / "a.gif")
    assert torch.equal(load(tmp_path / "a.gif"), as_float(few))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_composited_on_white(tmp_path, mode):
    picture = Image.new(mode, (64, 64), (0, 0, 0, 255) if mode == "RGBA" else (0, 255))
    picture.paste((200, 10, 10, 0) if mode == "RGBA" else (10, 0), (0, 0, 32, 64))
    picture.paste((0, 0, 0, 102) if mode == "RGBA" else (0, 102), (48, 0, 64, 64))
    picture.save(tmp_path / "a.png")
    image = load(tmp_path / "a.png")
    assert (image[:, :, :32] == 1).all()
    assert (image[:, :, 32:48] == 0).all()
    torch.testing.assert_close(image[:, :, 48:], torch.full((3, 64, 16), 0.6), atol=1 / 255, rtol=0)


def test_palette_transparency(tmp_path):
    picture = Image.new("P", (64, 64), 1)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.paste(0, (0, 0, 32, 64))
    picture.save(tmp_path / "a.png", transparency=0)
    image = load(tmp_path / "a.png")
    assert (image[:, :, :32] == 1).all()
    assert (image[:, :, 32:] == torch.tensor([1.0, 0, 0]).view(3, 1, 1)).all()


@pytest.mark.parametrize("name", ["a.png", "a.tif", "big-endian.tif", "a.pgm"])
def test_grey_16_bit_keeps_its_precision(tmp_path, name):
    values = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    if name == "big-endian.tif":
        Image.frombytes("I;16B", (64, 64), values.astype(">u2").tobytes()).save(tmp_path / name)
    elif name == "a.pgm":
        (tmp_path / name).write_bytes(b"P5 64 64 65535\n" + values.astype(">u2").tobytes())
    else:
        Image.fromarray(values).save(tmp_path / name)
    expected = torch.from_numpy(values.astype(np.float64) / 65535).float().expand(3, -1, -1)
    torch.testing.assert_close(load(tmp_path / name), expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (6, 4)])
def test_colour_16_bit_is_read_at_8_bits(tmp_path, colour, channels):
    values = np.random.default_rng(0).integers(0, 65536, (64, 64, channels)).astype(">u2")
    values[..., 3:] = 65535
    rows = b"".join(b"\x00" + row.tobytes() for row in values)
    (tmp_path / "a.png").write_bytes(png(64, 64, 16, colour, rows))
    expected = torch.from_numpy(values[..., :3].astype(np.float32) / 65535).permute(2, 0, 1)
    assert (load(tmp_path / "a.png") - expected).abs().max() < 1 / 255


def test_cmyk(tmp_path):
    picture = Image.new("CMYK", (96, 64), (0, 255, 255, 0))
    picture.paste((0, 0, 0, 255), (32, 0, 64, 64))
    picture.paste((0, 0, 0, 0), (64, 0, 96, 64))
    for name in ("a.tif", "a.jpg"):
        picture.save(tmp_path / name, quality=95)
        red, black, white = (load(tmp_path / name)[:, 32, x] for x in (16, 48, 80))
        torch.testing.assert_close(red, torch.tensor([1.0, 0, 0]), atol=0.06, rtol=0)
        torch.testing.assert_close(black, torch.zeros(3), atol=0.06, rtol=0)
        torch.testing.assert_close(white, torch.ones(3), atol=0.06, rtol=0)


# The EXIF standard: value of tag 0x0112 → where the first row and column of the file belong.
ORIENTED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize("orientation", ORIENTED)
def test_exif_orientation(tmp_path, pixels, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    assert torch.equal(load(tmp_path / "a.png"), as_float(ORIENTED[orientation](pixels)))


@pytest.mark.parametrize("size", [(64, 64), (64, 8192), (8192, 64), (65, 127)])
def test_smallest_to_longest(tmp_path, size):
    Image.new("L", size).save(tmp_path / "a.png")
    assert load(tmp_path / "a.png").shape == (3, size[1], size[0])


def test_missing(tmp_path):
    assert refused(tmp_path / "none.png") == "No such file or directory"


def test_directory(tmp_path):
    assert refused(tmp_path) == "Is a directory"


def test_text_named_png(tmp_path):
    (tmp_path / "a.png").write_text("not a picture\n" * 100)
    assert "not a picture of a known format" in refused(tmp_path / "a.png")


def test_empty(tmp_path):
    (tmp_path / "a.png").touch()
    assert refused(tmp_path / "a.png") == "the file is empty"


@pytest.mark.parametrize("size", [(63, 64), (64, 63), (1, 1), (8193, 64)])
def test_sides_outside_the_range(tmp_path, size):
    Image.new("L", size).save(tmp_path / "a.png")
    assert f"{size[0]}x{size[1]} pixels" in refused(tmp_path / "a.png")


@pytest.mark.parametrize("side", [8193, 10_000, 30_000, 2**31 - 1])
def test_decompression_bomb(tmp_path, side):
    """A header that promises too much: 8193² is under Pillow's own limits, 10 000² in its warning range."""
    (tmp_path / "a.png").write_bytes(png(side, side, 8, 2, b""))
    assert "8192" in refused(tmp_path / "a.png")


def test_unscaled_pixels_are_refused(tmp_path):
    Image.fromarray(np.ones((64, 64), np.float32)).save(tmp_path / "f.tif")
    Image.fromarray(np.full((64, 64), 1 << 20, np.int32)).save(tmp_path / "i.tif")
    assert "no known white" in refused(tmp_path / "f.tif")
    assert "no known white" in refused(tmp_path / "i.tif")


@pytest.fixture(scope="module")
def files(tmp_path_factory, pixels):
    """(bytes, picture) of one file per format, with texture so that truncation has something to lose."""
    folder = tmp_path_factory.mktemp("files")
    textured = pixels ^ np.random.default_rng(0).integers(0, 32, pixels.shape, np.uint8)
    written = {}
    for name in (
        "a.png",
        "a.jpg",
        "progressive.jpg",
        "a.webp",
        "a.avif",
        "a.tif",
        "lzw.tif",
        "a.bmp",
        "a.gif",
        "a.ppm",
    ):
        options = {"progressive": True} if name.startswith("p") else {}
        options |= {"compression": "tiff_lzw"} if name.startswith("lzw") else {}
        Image.fromarray(textured).save(folder / name, **options)
        written[name] = ((folder / name).read_bytes(), load(folder / name))
    return written


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_truncated_file_is_never_half_read(tmp_path, files, recwarn, data):
    name = data.draw(st.sampled_from(sorted(files)))
    content, whole = files[name]
    lost = data.draw(st.one_of(st.integers(1, 64), st.integers(1, len(content))))
    (tmp_path / name).write_bytes(content[: len(content) - lost])
    try:
        image = load(tmp_path / name)
    except ImageError as error:
        assert str(tmp_path / name) in str(error)
        assert "\n" not in str(error)
    else:  # only what follows the last pixel was lost
        assert torch.equal(image, whole)
    assert not recwarn.list


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_bytes_raise_nothing_else(tmp_path, files, data):
    name = data.draw(st.sampled_from(sorted(files)))
    damaged = bytearray(files[name][0])
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, min(len(damaged), 400) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / name).write_bytes(damaged)
    try:
        image = load(tmp_path / name)
    except ImageError:
        return
    assert image.shape[0] == 3
    assert 0 <= image.min() <= image.max() <= 1


def test_pillow_keeps_its_settings(tmp_path):
    from PIL import ImageFile

    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    refused(tmp_path / "none.png")
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def test_save_round_trip(tmp_path, pixels):
    save(as_float(pixels), tmp_path / "a.png")
    assert torch.equal(load(tmp_path / "a.png"), as_float(pixels))


def test_save_rounds_and_clips(tmp_path):
    image = torch.full((3, 64, 64), 0.5019)
    image[0], image[1] = -0.1, 1.1
    save(image, tmp_path / "a.png")
    assert np.asarray(Image.open(tmp_path / "a.png"))[0, 0].tolist() == [0, 255, 128]


@pytest.mark.parametrize("name", ["a.unknown", "none/a.png"])
def test_save_names_the_file(tmp_path, name):
    with pytest.raises(ImageError, match=str(Path(name).name)):
        save(torch.zeros(3, 64, 64), tmp_path / name)


def without_alpha_size(avif):
    """As libheif 1.11 wrote it: no `ispe` for the alpha plane. Takes one association out by hand."""
    data, ipma = bytearray(avif), avif.index(b"ipma") - 4
    entry = avif.index(bytes([0, 2, 4, 1]), ipma)  # item 2: four properties, the first is `ispe`
    for kind in (b"meta", b"iprp", b"ipma"):
        place = avif.index(kind) - 4
        struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] - 1)
    iloc = avif.index(b"iloc") - 4
    for item in range(2):  # id 2, construction 0, reference 2, extents 2, offset 4, length 4
        place = iloc + 16 + 14 * item + 6
        struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] - 1)
    data[entry + 2] -= 1
    del data[entry + 3]
    return bytes(data)


def test_avif_whose_alpha_has_no_size_is_read_with_its_transparency(tmp_path, pixels):
    alpha = np.where(np.arange(WIDTH) < 40, 0, 255).astype(np.uint8)
    rgba = np.dstack((pixels, np.broadcast_to(alpha, pixels.shape[:2])))
    Image.fromarray(rgba).save(tmp_path / "good.avif", quality=90)
    (tmp_path / "a.avif").write_bytes(without_alpha_size((tmp_path / "good.avif").read_bytes()))
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(tmp_path / "a.avif")
    image = load(tmp_path / "a.avif")
    assert torch.equal(image, load(tmp_path / "good.avif"))
    assert (image[:, :, :36] > 0.98).all()
    assert (image[:, :, 44:] - as_float(pixels)[:, :, 44:]).abs().mean() < 0.03


def tiff(values, bits, photometric):
    """An uncompressed grey TIFF file; twelve bits are packed two values to three bytes."""
    height, width = values.shape
    if bits == 12:
        flat = values.reshape(-1, 2).astype(np.uint32)
        packed = flat[:, 0] << 12 | flat[:, 1]
        data = b"".join(int(v).to_bytes(3, "big") for v in packed)
    else:
        data = values.astype("<u2").tobytes()
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8)]
    tags += [(277, 1), (278, height), (279, len(data))]
    data += bytes(len(data) % 2)
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in tags)
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + directory + bytes(4)


@pytest.mark.parametrize(("bits", "white_is_zero"), [(12, False), (16, False), (16, True)])
def test_grey_tiff_of_12_bits_and_of_inverted_levels(tmp_path, bits, white_is_zero):
    top = 2**bits - 1
    values = np.linspace(0, top, 64 * 64).astype(np.uint16).reshape(64, 64)
    (tmp_path / "a.tif").write_bytes(tiff(values, bits, 0 if white_is_zero else 1))
    expected = torch.from_numpy((values / top).astype(np.float32)).expand(3, -1, -1)
    got = load(tmp_path / "a.tif")
    torch.testing.assert_close(got, 1 - expected if white_is_zero else expected, atol=1e-6, rtol=0)


def test_tiff_of_12_bits_whose_zero_is_white_is_refused_as_what_it_is(tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff(np.zeros((64, 64), np.uint16), 12, 0))
    assert "a TIFF file" in refused(tmp_path / "a.tif")


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    import os
    import socket

    os.mkfifo(tmp_path / "fifo.png")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s.png"))
        for path in (tmp_path / "fifo.png", tmp_path / "s.png", Path("/dev/zero"), Path("/dev/null")):
            assert "not a regular file" in refused(path)
            assert "not a regular file" in refused_by(read, path)


def refused_by(reader, path):
    with pytest.raises(ImageError) as caught:
        reader(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_of_many_bytes_is_not_read(tmp_path):
    with (tmp_path / "big.png").open("wb") as file:
        file.truncate(1 << 40)
    assert "larger than" in refused(tmp_path / "big.png")


def test_pixels_are_limited_below_the_square_of_the_longest_side(tmp_path):
    (tmp_path / "a.png").write_bytes(png(8192, 8192, 8, 2, b""))
    assert "8192x8192 pixels" in refused(tmp_path / "a.png")


def test_pictures_of_any_size_come_upright_on_white(tmp_path, pixels):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels[:3, :5]).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(np.asarray(read(tmp_path / "a.png")), ORIENTED[6](pixels[:3, :5]))
    Image.new("RGBA", (2, 2), (0, 0, 0, 0)).save(tmp_path / "b.png")
    assert (np.asarray(read(tmp_path / "b.png")) == 255).all()
    Image.fromarray(np.array([[0, 65535]], np.uint16)).save(tmp_path / "c.png")
    assert np.asarray(read(tmp_path / "c.png")).tolist() == [[[0] * 3, [255] * 3]]


def test_label_pictures_keep_their_indices(tmp_path):
    labels = Image.fromarray(np.array([[0, 1], [2, 7]], np.uint8)).convert("P")
    labels.putpalette(list(range(255, -1, -1)) * 3)
    labels.save(tmp_path / "a.png")
    assert read_indices(tmp_path / "a.png").tolist() == [[0, 1], [2, 7]]
    Image.new("RGB", (4, 4)).save(tmp_path / "b.png")
    assert "labels are palette indices" in refused_by(read_indices, tmp_path / "b.png")


def test_eps_is_refused_by_every_reader(tmp_path):
    (tmp_path / "a.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\nshowpage\n")
    for reader in (load, read, read_indices):
        assert "not a picture of a known format" in refused_by(reader, tmp_path / "a.png")
