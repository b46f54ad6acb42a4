"""What is left of a message when there is hardly any budget."""

import pytest

from semcom.contracts import Budget, BudgetError
from semcom.link import PerfectLink
from semcom.metrics.psnr import psnr
from semcom.packets import bpp
from semcom.picture import images
from semcom.streams import presence
from semcom.streams.header import Header
from semcom.systems import build


@pytest.fixture(scope="module")
def photo(sample_photo):
    return images.load(sample_photo)[:, :256, :384].contiguous()


@pytest.fixture(scope="module")
def system():
    return build("semantic", num_words=0, caption="none")


def sent(system, photo, num_bytes):
    height, width = photo.shape[1:]
    message = system.encode(photo, Budget.of_bpp(8 * num_bytes / (width * height), width, height))
    assert 8 * num_bytes / (width * height) >= bpp(message)
    (received,) = PerfectLink().send([message], 0.0, [0])
    header = Header.from_bytes(next(iter(received.chunks("header"))))
    return header, system.decode(received)


@pytest.mark.slow
def test_the_hci_shrinks_until_it_fits(system, photo):
    reductions, quality = [], []
    for num_bytes in (600, 120, 50):
        header, result = sent(system, photo, num_bytes)
        reductions.append(header.reduction)
        quality.append(psnr(result.image[None], photo[None]).item())
        assert result.image.shape == photo.shape
        assert result.notes == ()
    assert reductions == [1, 2, 4]
    assert quality == sorted(quality, reverse=True)


def test_the_smallest_budget_is_named_and_works(system, photo):
    with pytest.raises(BudgetError) as caught:
        sent(system, photo, 20)
    header, result = sent(system, photo, caught.value.smallest)
    assert header.reduction == 4
    assert header.presence == presence(["hci"])
    assert psnr(result.image[None], photo[None]) > 13
    with pytest.raises(BudgetError):
        sent(system, photo, caught.value.smallest - 1)


def test_regions_that_the_user_named_are_sent_where_automatic_ones_are_not(sample_photo):
    photo = images.load(sample_photo)
    budget = Budget.of_bpp(0.018, photo.shape[2], photo.shape[1])
    for wish, sent in ({"caption": "none"}, False), ({"caption": "none", "points": [(300, 200)]}, True):
        message = build("semantic", num_words=0, **wish).encode(photo, budget)
        assert ("key" in [stream.name for stream in message.streams]) == sent
        assert budget.fits(message)
