"""CompressAI's own classes at tiny widths: their strings are sent, and their pictures come out."""

import pytest
import torch

from semcom.contracts import Budget, BudgetError
from semcom.link import PerfectLink
from semcom.packets import bpp
from semcom.picture import images
from semcom.systems import build

pytest.importorskip("compressai", reason="pip install --no-deps compressai einops torch-geometric xxhash")

ARCHITECTURES = {
    "bmshj2018-factorized": (8, 12),
    "bmshj2018-hyperprior": (8, 12),
    "mbt2018": (8, 12),
    "cheng2020-anchor": (8,),
}


def model(name, seed, widths=None):
    from compressai.zoo.image import model_architectures

    torch.manual_seed(seed)
    made = model_architectures[name](*(widths or ARCHITECTURES[name])).eval()
    with torch.no_grad():  # untrained, all latents are zero: make some that are not
        list(made.g_a.parameters())[-1].uniform_(-6, 6)
    made.update()
    return made


@pytest.fixture(scope="module")
def photo(sample_photo):
    return images.load(str(sample_photo))[:, 100:170, 100:200].contiguous()


@pytest.fixture
def checkpoint(tmp_path):
    def save(name, seed=0, widths=None):
        path = tmp_path / f"{name}-{seed}.pth"
        torch.save(model(name, seed, widths).state_dict(), path)
        return str(path)

    return save


def generous(photo):
    return Budget.of_bpp(24, photo.shape[2], photo.shape[1])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_sends_the_strings_and_rebuilds_the_picture(name, photo, checkpoint):
    system = build("compressai", architecture=name, checkpoints=[checkpoint(name)])
    message = system.encode(photo, generous(photo))
    (received,) = PerfectLink().send([message], 0.0, [0])
    picture = system.decode(received).image

    reference = model(name, 0)
    padded = torch.nn.functional.pad(
        photo[None],
        (0, -100 % reference.downsampling_factor, 0, -70 % reference.downsampling_factor),
        mode="replicate",
    )
    with torch.no_grad():
        coded = reference.compress(padded)
        expected = reference.decompress(coded["strings"], coded["shape"])["x_hat"][0, :, :70, :100]
    torch.testing.assert_close(picture, expected.clamp(0, 1))
    strings = [group[0] for group in coded["strings"]]
    (chunk,) = message.streams[0].chunks
    assert chunk.endswith(b"".join(strings))
    assert len(chunk) == 5 + 3 * (len(strings) - 1) + sum(map(len, strings))
    assert bpp(message) == 8 * (len(chunk) + 2) / (70 * 100)


def test_takes_the_best_checkpoint_that_fits(photo, checkpoint):
    name = "bmshj2018-hyperprior"
    paths = [checkpoint(name, seed, (8, width)) for seed, width in ((1, 40), (2, 4))]
    system = build("compressai", architecture=name, checkpoints=paths)
    singles = [build("compressai", architecture=name, checkpoints=[path]) for path in paths]
    large, small = (single.encode(photo, generous(photo)).streams[0].num_bytes for single in singles)
    assert large > small

    def limited(num_bytes):
        return Budget(num_bytes + 2, lambda sizes: sum(size for _, size in sizes), "bytes")

    assert system.encode(photo, limited(large)).streams[0].num_bytes == large
    assert system.encode(photo, limited(large - 1)).streams[0].num_bytes == small
    with pytest.raises(BudgetError) as caught:
        system.encode(photo, limited(small - 1))
    assert caught.value.smallest == small + 2


def test_a_lost_packet_is_a_grey_picture(photo, checkpoint):
    from semcom.bench.envelope import received_of

    name = "bmshj2018-factorized"
    system = build("compressai", architecture=name, checkpoints=[checkpoint(name)])
    lost = system.decode(received_of(system.encode(photo, generous(photo)), ()))
    assert lost.image.shape == photo.shape
    assert (lost.image == 0.5).all()
    assert lost.notes


def test_what_is_wrong_is_named(photo, checkpoint, tmp_path):
    with pytest.raises(ValueError, match=r"none\.pth does not exist"):
        build("compressai", architecture="mbt2018", checkpoints=[str(tmp_path / "none.pth")])
    with pytest.raises(ValueError, match="bmshj2018-hyperprior"):
        build("compressai", architecture="vtm", checkpoints=["x"])
    with pytest.raises(ValueError, match="is not one of"):
        build("compressai", architecture="mbt2018", checkpoints=[checkpoint("bmshj2018-factorized")])
    with pytest.raises(ValueError, match="1 to 256"):
        build("compressai", architecture="mbt2018", checkpoints=[])
    system = build(
        "compressai",
        architecture="bmshj2018-factorized",
        checkpoints=[checkpoint("bmshj2018-factorized")],
    )
    with pytest.raises(ValueError, match=r"\[3,H,W\]"):
        system.encode(photo[:1], generous(photo))


def test_without_the_package_the_command_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "compressai.zoo.image", None)
    with pytest.raises(ValueError, match="pip install --no-deps compressai"):
        build("compressai", architecture="mbt2018", checkpoints=["x"])
