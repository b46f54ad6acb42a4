"""Pictures of strangers: read or refused in one line, soon, in little memory, and without another program."""

import io
import random
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from semcom.picture.images import ImageError, load, read
from semcom.transmitter.prompts import PromptError, load_mask

FORMATS = {
    "png": {},
    "jpeg": {"progressive": True},
    "webp": {},
    "avif": {"speed": 10},
    "tiff": {"compression": "tiff_lzw"},
    "bmp": {},
    "gif": {},
    "ppm": {},
}
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n(x) = showpage\n%%EOF\n"


@pytest.fixture(scope="module")
def good():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    found = []
    for kind, options in FORMATS.items():
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind, **options)
        found.append(buffer.getvalue())
    return found


def mutated(rng, good):
    content = bytearray(rng.choice(good))
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(min(len(content), 400))
        content[place : place + rng.choice((0, 1, 1, 4))] = rng.randbytes(rng.choice((0, 1, 1, 4)))
    return bytes(content[: rng.randrange(len(content))] if rng.random() < 0.1 else content)


def test_a_thousand_mutations_are_read_or_refused(good, tmp_path, limited):
    rng, path, taken = random.Random(24), tmp_path / "a.png", 0
    for i in range(1000):
        path.write_bytes(mutated(rng, good))
        try:
            with limited():
                load(path) if i % 2 else read(path)
            taken += 1
        except ImageError as error:
            assert "\n" not in str(error)
            assert len(str(error)) < 1000
    assert 0 < taken < 1000


_NO_PROGRAM = """
import sys

def guard(event, arguments):
    if event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.fork", "os.forkpty"):
        print("STARTED", event, arguments, flush=True)

import semcom.picture.images as images
from semcom.cli.specs import read_yaml
from semcom.profile import Profile
from semcom.sweep import scenario
from semcom.transmitter.prompts import load_mask
sys.addaudithook(guard)
pictures = (images.load, images.read, images.read_indices, load_mask)
for reader in (*pictures, Profile.open, scenario.load, read_yaml):
    for path in sys.argv[1:]:
        try:
            reader(path)
        except ValueError as error:
            print(type(error).__name__, flush=True)
"""


def test_opening_any_file_starts_no_program(tmp_path):
    names = ["a.png", "a.eps", "a.ps", "a.yaml", "a.safetensors"]
    for name in names:
        (tmp_path / name).write_bytes(EPS)
    run = subprocess.run(
        [sys.executable, "-c", _NO_PROGRAM, *(str(tmp_path / name) for name in names)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "STARTED" not in run.stdout
    assert len(run.stdout.splitlines()) == 7 * len(names)


_LITTLE = """
import resource, sys
import semcom.picture.images as images
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20),) * 2)
for path in sys.argv[1:]:
    try:
        images.read(path)
    except images.ImageError as error:
        print(error, flush=True)
"""


def bomb(kind):
    """A small file of many pixels."""
    buffer = io.BytesIO()
    Image.new("1", (8192, 8192)).save(buffer, kind)
    return buffer.getvalue()


def test_bombs_are_refused_in_little_memory(tmp_path):
    paths = []
    for kind in ("PNG", "TIFF", "GIF", "PPM"):
        paths.append(tmp_path / f"a.{kind}")
        paths[-1].write_bytes(bomb(kind))
    paths.append(tmp_path / "big.png")
    with paths[-1].open("wb") as file:
        file.truncate(1 << 40)
    run = subprocess.run(
        [sys.executable, "-c", _LITTLE, *map(str, paths)], capture_output=True, text=True, check=True
    )
    assert len(run.stdout.splitlines()) == len(paths), run.stderr


def test_masks_come_in_by_the_same_door(tmp_path):
    (tmp_path / "a.png").write_bytes(EPS)
    with pytest.raises(PromptError, match="not a picture of a known format"):
        load_mask(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(bomb("PNG"))
    with pytest.raises(PromptError, match="8192x8192 pixels"):
        load_mask(tmp_path / "b.png")
