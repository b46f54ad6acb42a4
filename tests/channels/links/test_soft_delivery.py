"""Packets whose CRC failed: what is delivered of them, and that it costs nothing where nobody asks."""

import numpy as np
import pytest

from channels.links.abstraction import AbstractLink
from channels.links.digital import DigitalLink, Payload
from channels.spec import ChannelSpec, ClassSpec, LinkSpec

SPEC = LinkSpec(channel=ChannelSpec(model="awgn"), classes={"base": ClassSpec(mcs=4)})
DATA = bytes(range(120))
SENT = np.unpackbits(np.frombuffer(DATA, np.uint8))


def send(delivery, snr_db, num=8, spec=SPEC, data=DATA):
    return DigitalLink(spec).send([[Payload(data, "base", delivery)]] * num, snr_db, range(num))


def test_bits_of_a_failed_packet_come_with_the_crcs_verdict_and_few_errors():
    for delivery in send("bits", -2.5):
        assert delivery.payloads == (None,) and delivery.classes["base"].lost == 1
        wrong = np.unpackbits(np.frombuffer(delivery.doubtful[0].data, np.uint8)) != SENT
        assert 0 < wrong.mean() < 0.3 and delivery.doubtful[0].llrs is None
        assert wrong.sum() <= delivery.classes["base"].decoded_bit_errors


def test_llrs_say_the_bits_and_how_sure_they_are():
    llrs, wrong = [], []
    for delivery in send("llr", -2.5, 16):
        packet = delivery.doubtful[0]
        hard = np.unpackbits(np.frombuffer(packet.data, np.uint8))
        assert np.array_equal(packet.llrs > 0, hard.astype(bool))
        llrs.append(np.abs(packet.llrs))
        wrong.append(hard != SENT)
    size, error = np.concatenate(llrs), np.concatenate(wrong)
    middle = np.median(size)
    assert error[size < middle].mean() > 2 * error[size > middle].mean()


def test_what_arrives_intact_or_is_not_asked_for_has_nothing_doubtful():
    assert all(not d.doubtful and d.payloads == (DATA,) for d in send("llr", 10.0, 2))
    assert all(not d.doubtful and d.payloads == (None,) for d in send("erase", -6.0, 2))


def test_asking_changes_no_erasure():
    for one, other in zip(send("erase", -1.6), send("llr", -1.6), strict=True):
        assert one.payloads == other.payloads and one.classes == other.classes


def test_several_code_blocks_and_harq_are_put_together():
    spec = LinkSpec(channel=ChannelSpec(model="awgn"), classes={"base": ClassSpec(mcs=9, harq_rounds=2)})
    data = np.random.default_rng(0).bytes(2500)
    (delivery,) = send("llr", -3.0, 1, spec, data)
    packet = delivery.doubtful[0]
    assert len(packet.data) == 2500 and packet.llrs.shape == (20_000,)
    wrong = np.unpackbits(np.frombuffer(packet.data, np.uint8)) != np.unpackbits(
        np.frombuffer(data, np.uint8)
    )
    assert wrong.mean() < 0.4 and delivery.classes["base"].transmissions == (1, 1)


def test_the_abstraction_refuses():
    with pytest.raises(ValueError, match=r"draws erasures only: use the bit-exact link"):
        AbstractLink(SPEC).send([[Payload(DATA, "base", "bits")]], 0.0, [1])
