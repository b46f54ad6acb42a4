"""Latency, throughput and energy a bit, against what can be counted by hand."""

import math

import pytest

from channels.links.abstraction import AbstractLink
from channels.links.digital import DigitalLink, Payload
from channels.spec import ChannelSpec, ClassSpec, LinkSpec


def spec(**fields):
    return LinkSpec(channel=ChannelSpec(model="awgn"), **fields)


@pytest.mark.parametrize("link", [DigitalLink, AbstractLink])
def test_one_round_takes_its_slots_and_its_energy(link):
    one = link(spec(classes={"base": ClassSpec(mcs=4)}))
    (sent,) = one.send([[Payload(b"x" * 600, "base")]], 10.0, [1])
    # 4800 payload bits at 0.602 bit a symbol take 2.3 of the slots' 3456 resource elements
    figures = sent.figures()
    assert figures["latency_slots"] == 3 and figures["latency_ms"] == pytest.approx(1.5)
    assert figures["throughput_mbps"] == pytest.approx(4800 / 1.5e-3 / 1e6)
    assert figures["energy_per_bit_db"] == pytest.approx(10 + 10 * math.log10(sent.channel_uses / 4800))


@pytest.mark.parametrize("link", [DigitalLink, AbstractLink])
def test_a_second_round_adds_the_round_trip_and_nothing_delivered_has_no_energy_a_bit(link):
    one = link(spec(classes={"base": ClassSpec(mcs=4, harq_rounds=2)}, harq_round_trip_slots=6))
    (sent,) = one.send([[Payload(b"x" * 100, "base")]], -20.0, [1])
    assert sent.classes["base"].transmissions == (1, 1)
    figures = sent.figures()
    assert figures["latency_slots"] == 1 + 6 + 1
    assert figures["throughput_mbps"] is None and figures["energy_per_bit_db"] is None
