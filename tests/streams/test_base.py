"""The base picture: sent where wished, shown where the HCI is lost, in one packet with all that is vital."""

from dataclasses import replace

import pytest

from channels.links.digital import DigitalLink
from channels.spec import ChannelSpec, LinkSpec
from semcom.contracts import Budget
from semcom.link import ChannelLink, PerfectLink
from semcom.message import ReceivedStream
from semcom.metrics.psnr import psnr
from semcom.packets import pack
from semcom.streams import base
from semcom.streams.coding.av1 import AV1Error


@pytest.fixture(scope="module")
def budget():
    return Budget.of_bpp(0.25, 200, 150)


def without_hci(message):
    (received,) = PerfectLink().send([message], 0.0, [0])
    streams = (ReceivedStream(s.name, (None,)) if s.name == "hci" else s for s in received.streams)
    return replace(received, streams=tuple(streams))


def test_losing_the_hci_costs_sharpness_not_the_picture(semantic, small_photo, budget):
    """Before, eight by six colours were left."""
    wished = semantic.with_options(base=90, num_words=0, caption="none", key_share=0)
    message = wished.encode(small_photo, budget)
    assert message["base"].num_bytes <= 90
    assert [s.name for s in message.streams][:2] == ["header", "base"]
    result = wished.decode(without_hci(message))
    colours = wished.decode(without_hci(wished.with_options(base="off").encode(small_photo, budget)))
    whole = wished.decode(PerfectLink().send([message], 0.0, [0])[0])
    assert "only the base picture is shown" in result.notes
    found = [psnr(r.image[None], small_photo[None]).item() for r in (colours, result, whole)]
    assert found[0] + 1 < found[1] < found[2]


def test_all_that_is_critical_is_one_packet(semantic, small_photo, budget):
    message = semantic.with_options(base=90, caption="none").encode(small_photo, budget)
    critical = [p for p in pack(message) if p.protection == "critical"]
    assert len(critical) == 1
    assert set(message.bundle) >= {"header", "base", "spw"}
    assert budget.fits(message)


def test_the_colour_card_stays_where_not_even_the_base_picture_fits(semantic, small_photo, budget):
    message = semantic.with_options(base=12, caption="none").encode(small_photo, budget)
    assert {s.name for s in message.streams} >= {"card", "hci"}
    assert "base" not in {s.name for s in message.streams}


def test_nothing_is_sent_of_it_unasked(semantic, small_photo, budget):
    message = semantic.encode(small_photo, budget)
    assert message.bundle == ()
    assert "base" not in {s.name for s in message.streams}


def test_a_bundle_crosses_the_link(semantic, small_photo):
    link = ChannelLink(DigitalLink(LinkSpec(channel=ChannelSpec(model="awgn"))))
    budget = Budget.of_cbr(1 / 20, 200, 150, link)
    message = semantic.with_options(base=90, caption="none").encode(small_photo, budget)
    (received,) = link.send([message], 30.0, [1])
    assert received.report.channel_uses <= budget.limit
    assert received.report.classes["critical"].packets == 1
    assert [(s.name, s.chunks) for s in received.streams] == [(s.name, s.chunks) for s in message.streams]


@pytest.mark.parametrize("data", [b"", b"\xff\x00", b"\x40nonsense"])
def test_damaged_bytes_are_named_errors(data):
    with pytest.raises((IndexError, AV1Error)):
        base.decode(data, 64, 64)
