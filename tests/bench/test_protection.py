"""MCSs of systems with several protection classes: the ladder, and what a choice is expected to give."""

import itertools

import numpy as np
import pytest
import torch

from channels.coding.mcs import mcs
from channels.links.abstraction import AbstractLink
from channels.links.digital import DigitalLink
from channels.spec import ChannelSpec, ClassSpec, LinkSpec
from semcom.adaptation import most_robust, protection_classes, smallest_message
from semcom.bench.protection import best_choices, expected_quality, ladder
from semcom.contracts import Budget, BudgetError
from semcom.link import ChannelLink
from semcom.mcs import with_mcs
from semcom.message import Message, Protection, Reconstruction, Stream
from semcom.packets import HEADER_BYTES, packet_sizes

CLASSES = {"critical": 40, "base": 120, "detail": 60}  # bytes
WORTH = {"critical": 0.1, "base": 0.3, "detail": 0.5}


class Layers:
    """Sends a packet a class; the picture is as bright as what arrived is worth, from the top down."""

    def encode(self, image, budget):
        streams = tuple(
            Stream(name, Protection(protection), (bytes(CLASSES[protection]),))
            for name, protection in (("header", "critical"), ("hci", "base"), ("key", "detail"))
        )
        message = Message(streams, image.shape[2], image.shape[1])
        if not budget.fits(message):
            raise BudgetError(budget.limit, budget.cost(packet_sizes(message)), budget.unit)
        return message

    def decode(self, received):
        complete = itertools.takewhile(lambda stream: stream.complete, received.streams)
        value = sum(worth for worth, _ in zip(WORTH.values(), complete, strict=False))
        return Reconstruction(torch.full((3, 8, 8), float(value)))


def brightness(preds, target):
    return preds.mean((1, 2, 3))


IMAGES = [torch.zeros(3, 8, 8)]
RISKY = LinkSpec(
    channel=ChannelSpec(model="tdl-a"),
    mcs_table=3,
    classes={"critical": ClassSpec(mcs=3), "base": ClassSpec(mcs=9), "detail": ClassSpec(mcs=13)},
)


def expected(spec, limit=100_000, seeds=range(200)):
    return expected_quality(
        Layers(), IMAGES, spec, [limit] * len(IMAGES), 4.0, list(seeds), {"brightness": brightness}
    )


def test_ladder_protects_by_class():
    sizes = {"critical": 40, "base": 500, "detail": 80}
    rungs = ladder(LinkSpec(), sizes, 8.0, list(range(20)), (0.3, 0.01))
    assert 1 <= len(rungs) <= 2
    for rung in rungs:
        rates = [mcs(1, rung[name]).spectral_efficiency for name in ("critical", "base", "detail")]
        assert rates == sorted(rates)
    if len(rungs) == 2:
        assert rungs[1]["base"] >= rungs[0]["base"]


def test_protection_classes_with_their_packet_sizes():
    streams = (
        Stream("header", Protection.CRITICAL, (b"123456",)),
        Stream("key", Protection.DETAIL, (b"1", b"123")),
    )
    assert protection_classes(Message(streams, 64, 64)) == {"critical": 8, "detail": 4}


def test_expected_quality_is_what_the_bit_exact_link_gives_on_average():
    system, link = Layers(), ChannelLink(DigitalLink(RISKY))
    message = system.encode(IMAGES[0], Budget(10**9, lambda sizes: 0, "channel uses"))
    sent = link.send([message] * 200, 4.0, list(range(200)))
    values = np.array([system.decode(received).image.mean().item() for received in sent])
    assert 0.1 < (values < 0.85).mean() < 0.9  # of the classes some are lost, on some realisations
    error = values.std() / np.sqrt(len(values))
    assert expected(RISKY)["brightness"] == pytest.approx(values.mean(), abs=3 * error)


def test_expected_quality_of_a_safe_link():
    awgn = RISKY.model_copy(update={"channel": ChannelSpec(model="awgn")})
    safe = awgn.model_copy(update={"classes": dict.fromkeys(CLASSES, ClassSpec(mcs=0))})
    assert expected(safe, seeds=[1])["brightness"] == pytest.approx(0.9, abs=1e-3)


def test_no_expectation_where_the_budget_is_too_small():
    with pytest.raises(BudgetError):
        expected(RISKY, limit=500, seeds=[1])


def test_smallest_message_packet_by_packet():
    sizes = [(name, num_bytes + HEADER_BYTES) for name, num_bytes in CLASSES.items()]
    assert smallest_message(Layers(), IMAGES[0]) == sizes


def test_best_choices_by_metric():
    choices = [{"base": 1}, {"base": 5}, {"base": 9}]
    values = [{"psnr": 20.0, "lpips": 0.3}, {"psnr": 21.0, "lpips": 0.4}, {"psnr": 19.0, "lpips": 0.5}]
    assert best_choices(choices, values, 1) == choices[:2]  # psnr is best high, lpips low
    assert best_choices(choices, [{"psnr": value["psnr"]} for value in values], 1) == [choices[1]]
    assert best_choices(choices, values, 3) == choices


def test_most_robust_scheme_at_which_all_messages_fit():
    limit, names = 3000, list(CLASSES)
    messages = [smallest_message(Layers(), IMAGES[0]), [("critical", 20)]]
    choice = most_robust(RISKY, names, messages, [limit] * len(messages))
    (index,) = set(choice.values())
    links = [AbstractLink(with_mcs(RISKY, dict.fromkeys(names, i))) for i in range(29)]
    used = [link.channel_uses(messages[0]) for link in links]
    assert used[index] <= limit < min(used[:index])
    assert set(most_robust(RISKY, names, messages, [1] * len(messages)).values()) == {28}
