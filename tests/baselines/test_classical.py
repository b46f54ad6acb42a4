"""Classical systems: budgets kept, the scale chosen, nothing lost without a note."""

import numpy as np
import pytest
import torch

from semcom.contracts import Budget, BudgetError
from semcom.message import LinkReport, Protection, ReceivedMessage, ReceivedStream
from semcom.metrics.psnr import psnr
from semcom.packets import bpp, pack, unpack
from semcom.systems import CODECS, build

REPORT = LinkReport(snr_db=None, channel_uses=0, classes={})


@pytest.fixture(scope="module")
def photo():
    """Smooth structure, an edge and texture, [3,64,82]."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.random((1, 3, 5, 7), np.float32))
    image = torch.nn.functional.interpolate(coarse, (64, 82), mode="bicubic")[0]
    image[:, 20:40, 26:60] = 1 - image[:, 20:40, 26:60]
    return (image + torch.from_numpy(0.03 * rng.standard_normal((3, 64, 82), np.float32))).clamp(0, 1)


@pytest.fixture(scope="module")
def system():
    return build("avif")


def carried(message, lost=False):
    arrived = [None if lost else packet.data for packet in pack(message)]
    return ReceivedMessage(unpack(message, arrived), message.width, message.height, REPORT)


def num_bytes(limit):
    return Budget(limit, lambda sizes: sum(size for _, size in sizes), "bytes")


@pytest.mark.parametrize("limit", [110, 300, 1000, 20_000])
def test_budget_is_kept_and_used(system, photo, limit):
    message = system.encode(photo, num_bytes(limit))
    spent = sum(len(packet.data) for packet in pack(message))
    assert spent <= limit
    assert spent > 0.6 * limit or limit == 20_000  # the best quality needs less than that
    (stream,) = message.streams
    assert (stream.name, stream.protection, len(stream.chunks)) == ("image", Protection.BASE, 1)
    assert system.decode(carried(message)).image.shape == photo.shape


def test_more_bytes_give_a_better_picture(system, photo):
    decoded = [system.decode(carried(system.encode(photo, num_bytes(n)))).image for n in (110, 300, 1000)]
    quality = [psnr(image[None], photo[None]).item() for image in decoded]
    assert quality == sorted(quality)
    assert quality[0] > 14
    assert quality[-1] > 25


def test_reduced_at_low_rates_only(system, photo):
    def reduction(limit):
        return system.encode(photo, num_bytes(limit))["image"].chunks[0][4]

    assert reduction(110) > 1
    assert reduction(20_000) == 1


def test_bpp_budget(system, photo):
    message = system.encode(photo, Budget.of_bpp(0.5, 82, 64))
    assert bpp(message) <= 0.5


def test_budget_of_another_unit(system, photo):
    """Costs come from the link alone: here two channel uses a bit, in class base."""
    seen = set()

    def cost(sizes):
        seen.update(name for name, _ in sizes)
        return sum(16 * size for _, size in sizes)

    message = system.encode(photo, Budget(6400, cost, "channel uses"))
    assert 16 * sum(len(packet.data) for packet in pack(message)) <= 6400
    assert seen == {"base"}


def test_too_small_a_budget_names_the_smallest(system, photo):
    with pytest.raises(BudgetError, match="bytes") as caught:
        system.encode(photo, num_bytes(20))
    assert pack(system.encode(photo, num_bytes(caught.value.smallest)))
    with pytest.raises(BudgetError):
        system.encode(photo, num_bytes(caught.value.smallest - 1))


def test_lost_picture_is_grey_and_says_so(system, photo):
    result = system.decode(carried(system.encode(photo, num_bytes(300)), lost=True))
    assert torch.equal(result.image, torch.full_like(photo, 0.5))
    assert result.notes == ("image lost: grey picture",)


def test_size_is_that_of_the_session(system, photo):
    message = system.encode(photo, num_bytes(300))
    elsewhere = ReceivedMessage((ReceivedStream("image", message["image"].chunks),), 20, 30, REPORT)
    result = system.decode(elsewhere)
    assert torch.equal(result.image, torch.full((3, 30, 20), 0.5))
    assert result.notes == ("image lost: grey picture",)


def test_deterministic(system, photo):
    assert system.encode(photo, num_bytes(200)) == system.encode(photo, num_bytes(200))


@pytest.mark.parametrize("name", CODECS.names())
def test_every_codec_keeps_the_budget(name, photo):
    system = build(name)
    for limit in (700, 3000):
        message = system.encode(photo, num_bytes(limit))
        assert sum(len(packet.data) for packet in pack(message)) <= limit
        assert psnr(system.decode(carried(message)).image[None], photo[None]).item() > 15
    with pytest.raises(BudgetError) as caught:
        system.encode(photo, num_bytes(8))
    assert system.encode(photo, num_bytes(caught.value.smallest))


@pytest.mark.parametrize("name", ["jpeg", "jpeg2000"])
def test_what_arrived_before_a_loss_is_shown(name, small_photo):
    system = build(name)
    message = system.encode(small_photo, num_bytes(4000))
    sent = [packet.data for packet in pack(message)]
    assert len(sent) >= 3
    quality = []
    for lost in (0, 1, len(sent) - 1, None):
        arrived = [None if i == lost else data for i, data in enumerate(sent)]
        received = ReceivedMessage(unpack(message, arrived), message.width, message.height, REPORT)
        result = system.decode(received)
        quality.append(psnr(result.image[None], small_photo[None]).item())
        notes = {0: ("image lost: grey picture",), None: ()}
        truncated = (f"image truncated: {lost} of {len(sent)} packets",)
        assert result.notes == notes.get(lost, truncated)
    assert quality == sorted(quality)
    assert quality[0] < quality[-1]


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((1, 64, 64), "grey picture"),
        ((4, 64, 64), "alpha"),
        ((64, 64), r"\[3,H,W\]"),
        ((3, 15, 64), "16 to 16383"),
        ((3, 16, 16384), "16384x16"),
    ],
)
def test_unsupported_pictures_are_refused(system, shape, reason):
    with pytest.raises(ValueError, match=reason):
        system.encode(torch.zeros(shape), num_bytes(1000))


def test_unknown_codec_names_the_known():
    with pytest.raises(ValueError, match="jpeg2000"):
        build("gif")
