"""Streams that want their packets with the errors: through packets, sweep and the systems that use them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from channels.links.digital import DigitalLink
from channels.links.report import Doubtful
from channels.spec import ChannelSpec, ClassSpec, LinkSpec
from semcom.contracts import Budget
from semcom.link import ChannelLink, PerfectLink
from semcom.message import LinkReport, Message, Protection, ReceivedMessage, ReceivedStream, Stream
from semcom.metrics.psnr import psnr
from semcom.packets import pack, unpack
from semcom.picture import images
from semcom.streams import words

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from soft_bits import SoftBits


def test_the_grant_says_what_a_doubtful_packet_is_even_where_its_header_is_wrong() -> None:
    streams = (
        Stream("header", Protection.CRITICAL, (b"abc",)),
        Stream("blocks", Protection.BASE, (b"12", b"345"), delivery="llr"),
    )
    message = Message(streams, 8, 8)
    assert [packet.delivery for packet in pack(message)] == ["erase", "llr", "llr"]
    llrs = np.arange(40, dtype=np.float32)
    damaged = {2: Doubtful(b"\xff\xffxyz", llrs)}
    header, blocks = unpack(message, [p.data for p in pack(message)[:2]] + [None], damaged)
    assert header.doubtful == {} and blocks.chunks == (b"12", None)
    assert blocks.doubtful[1].data == b"xyz" and list(blocks.doubtful[1].llrs) == list(range(16, 40))


def test_of_a_doubtful_bundle_each_stream_gets_its_own_place() -> None:
    streams = (
        Stream("header", Protection.CRITICAL, (b"abc",), delivery="bits"),
        Stream("caption", Protection.CRITICAL, (b"defg",)),
        Stream("spw", Protection.CRITICAL, (b"hijkl",), delivery="bits"),
    )
    message = Message(streams, 8, 8, bundle=("header", "caption", "spw"))
    (packet,) = pack(message)
    assert packet.delivery == "bits"
    damaged = b"\x00" * 7 + packet.data[7:]
    header, caption, spw = unpack(message, [None], {0: Doubtful(damaged, None)})
    assert header.doubtful[0].data == b"abc" and spw.doubtful[0].data == b"hijkl"
    assert caption.doubtful == {}


@pytest.fixture(scope="module")
def photo(sample_photo: Path) -> torch.Tensor:
    return images.load(sample_photo)[:, :128, :128]


def test_soft_bits_come_back_and_beat_erasures(photo: torch.Tensor) -> None:
    budget = Budget.of_bpp(1.0, 128, 128)
    whole = SoftBits().encode(photo, budget)
    (perfect,) = PerfectLink().send([whole], 0.0, [1])
    assert psnr(SoftBits().decode(perfect).image[None], photo[None]) > 20
    spec = LinkSpec(
        channel=ChannelSpec(model="awgn"), classes={"critical": ClassSpec(mcs=0), "base": ClassSpec(mcs=4)}
    )
    link, quality = ChannelLink(DigitalLink(spec)), {}
    for delivery in ("erase", "llr"):
        system = SoftBits(delivery)
        received = link.send([system.encode(photo, budget)] * 4, -1.8, range(4))
        assert any(one.report.classes["base"].lost for one in received)
        quality[delivery] = [float(psnr(system.decode(one).image[None], photo[None])) for one in received]
    assert np.mean(quality["llr"]) > np.mean(quality["erase"]) + 0.1


def test_pseudo_words_of_a_failed_packet_are_read_where_kept(photo: torch.Tensor, semantic) -> None:
    keeping = semantic.with_options(delivery="keep")
    message = keeping.encode(photo, Budget.of_bpp(1.0, 128, 128))
    assert message["spw"].delivery == "bits" and message["hci"].delivery == "erase"
    assert {s.delivery for s in semantic.encode(photo, Budget.of_bpp(1.0, 128, 128)).streams} == {"erase"}
    data = message["spw"].chunks[0]
    lost = [
        ReceivedStream(s.name, s.chunks)
        if s.name != words.STREAM.name
        else ReceivedStream(s.name, (None,), doubtful={0: Doubtful(data, None)})
        for s in message.streams
    ]
    report = LinkReport(None, 0, {})
    received = ReceivedMessage(tuple(lost), 128, 128, report)
    kept = keeping.decode(received)
    assert any("pseudo-words damaged" in note for note in kept.notes)
    intact = ReceivedMessage(
        tuple(ReceivedStream(s.name, s.chunks) for s in message.streams), 128, 128, report
    )
    assert torch.equal(kept.image, keeping.decode(intact).image)
    erased = replace(received, streams=tuple(replace(s, doubtful={}) for s in received.streams))
    assert not torch.equal(kept.image, keeping.decode(erased).image)
