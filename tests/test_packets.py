"""Packets as hypothesis properties: what goes in comes out, what is lost is marked, nothing else moves."""

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from semcom.contracts import Budget, BudgetError
from semcom.message import Message, Protection, Stream
from semcom.packets import (
    HEADER_BYTES,
    MAX_CHUNKS,
    MAX_STREAMS,
    bits_on_wire,
    bpp,
    pack,
    packet_sizes,
    unpack,
)
from semcom.streams import STREAMS

NAMES = [*(stream.name for stream in STREAMS), "image", "sound", "of my own"]
FEW = settings(max_examples=40, deadline=None)


@st.composite
def messages(draw):
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=len(NAMES)))
    streams = tuple(
        Stream(
            name, draw(st.sampled_from(Protection)), tuple(draw(st.lists(st.binary(max_size=20), max_size=6)))
        )
        for name in names
    )
    return Message(streams, draw(st.integers(64, 4096)), draw(st.integers(64, 4096)))


@FEW
@given(messages())
def test_round_trip(message):
    received = unpack(message, [packet.data for packet in pack(message)])
    assert [(s.name, s.chunks) for s in received] == [(s.name, s.chunks) for s in message.streams]
    assert all(stream.complete for stream in received)


@FEW
@given(messages(), st.data())
def test_losses_are_marked_and_move_nothing(message, data):
    packets = pack(message)
    lost = data.draw(st.lists(st.booleans(), min_size=len(packets), max_size=len(packets)))
    received = unpack(message, [None if gone else p.data for p, gone in zip(packets, lost, strict=True)])
    sent = [chunk for stream in message.streams for chunk in stream.chunks]
    arrived = [chunk for stream in received for chunk in stream.chunks]
    assert arrived == [None if gone else chunk for chunk, gone in zip(sent, lost, strict=True)]


@FEW
@given(messages(), st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(message, random):
    data = [packet.data for packet in pack(message)]
    shuffled = random.sample(data, len(data))
    assert unpack(message, shuffled) == unpack(message, data)


@st.composite
def bundled(draw):
    """Messages whose streams of one chunk of a class share a packet."""
    message, protection = draw(messages()), draw(st.sampled_from(Protection))
    names = tuple(s.name for s in message.streams if len(s.chunks) == 1 and s.protection is protection)
    return replace(message, bundle=names)


@FEW
@given(bundled())
def test_a_bundle_is_one_packet_that_is_lost_as_a_whole(message):
    packets, apart = pack(message), pack(replace(message, bundle=()))
    together = len(message.bundle)
    assert len(packets) == len(apart) - max(together - 1, 0)
    assert [(s.name, s.chunks) for s in unpack(message, [p.data for p in packets])] == [
        (s.name, s.chunks) for s in message.streams
    ]
    if together:
        for stream in unpack(message, [None, *(p.data for p in packets[1:])]):
            assert stream.complete == (stream.name not in message.bundle) or not stream.chunks


def test_a_bundle_says_where_its_chunks_begin():
    """Version 2, two chunks; `header` (0) of one byte, `base` (2) of two."""
    streams = Stream("header", Protection.CRITICAL, (b"h",)), Stream("base", Protection.CRITICAL, (b"xy",))
    message = Message(streams, 64, 64, bundle=("header", "base"))
    (packet,) = pack(message)
    assert packet.data == bytes([0b10000010, 0x00, 0x01, 0x20, 0x02]) + b"hxy"
    assert all(s.chunks == (None,) for s in unpack(message, [packet.data[:-1]]))
    with pytest.raises(ValueError, match="one chunk"):
        pack(replace(message, streams=(replace(streams[0], chunks=(b"a", b"b")), streams[1])))
    with pytest.raises(ValueError, match="one protection class"):
        pack(replace(message, streams=(replace(streams[0], protection=Protection.BASE), streams[1])))


@FEW
@given(messages() | bundled())
def test_sizes_are_those_on_the_wire(message):
    packets = pack(message)
    assert packet_sizes(message) == [(p.protection, len(p.data)) for p in packets]
    total = 8 * sum(len(p.data) for p in packets)
    assert sum(bits_on_wire(message).values()) == total
    assert bpp(message) == pytest.approx(total / (message.width * message.height))


@FEW
@given(messages())
def test_a_packet_never_spans_two_streams(message):
    for packet in pack(message):
        alone = unpack(message, [packet.data])
        assert sum(chunk is not None for stream in alone for chunk in stream.chunks) == 1


def test_wire_format():
    """Version 1, stream `hci` (6), index 0x201: bits 01 0110 10 00000001."""
    message = Message((Stream("hci", Protection.BASE, (b"",) * 0x201 + (b"\xaa",)),), 64, 64)
    assert pack(message)[-1].data == bytes([0b01011010, 0b00000001, 0xAA])
    assert pack(message)[-1].protection == "base"


@given(st.binary(max_size=6))
@example(b"\x81\x00")
def test_foreign_bytes_are_a_chunk_or_an_erasure(data):
    message = Message((Stream("key", Protection.DETAIL, (b"a", b"b")),), 64, 64)
    (stream,) = unpack(message, [data])
    bundled = {data[start:end] for start in range(7) for end in range(start, 7)}
    assert set(stream.chunks) <= {None, data[HEADER_BYTES:]} | bundled


@pytest.mark.parametrize("data", [b"", b"\x40", b"\x00\x00a", b"\x44\x00a", b"\x60\x02a", b"\x7c\x00a"])
def test_what_is_not_of_this_message_is_erased(data):
    """Too short, of version 0, of stream `card`, chunk 2 of two, and of no known stream."""
    message = Message((Stream("key", Protection.DETAIL, (b"a", b"b")),), 64, 64)
    assert unpack(message, [data])[0].chunks == (None, None)


def test_names_of_ones_own_are_numbered_by_the_layout():
    """After the nine of the semantic system; as many as four bits can tell apart."""
    own = [Stream(f"own {i}", Protection.BASE, (b"x",)) for i in range(MAX_STREAMS - len(STREAMS))]
    hci = Stream("hci", Protection.BASE, (b"x",))
    packets = pack(Message((own[0], hci, *own[1:]), 64, 64))
    assert [packet.data[0] >> 2 & 15 for packet in packets] == [9, 6, *range(10, 16)]
    with pytest.raises(ValueError, match="7 beside header, card,"):
        pack(Message((*own, Stream("one more", Protection.BASE, (b"x",))), 64, 64))


def test_too_many_chunks():
    with pytest.raises(ValueError, match="more than 1024 chunks"):
        pack(Message((Stream("key", Protection.DETAIL, (b"",) * (MAX_CHUNKS + 1)),), 64, 64))
    assert len(pack(Message((Stream("key", Protection.DETAIL, (b"",) * MAX_CHUNKS),), 64, 64))) == MAX_CHUNKS


@FEW
@given(messages())
def test_budget_of_bpp_counts_packet_headers(message):
    total = sum(len(packet.data) for packet in pack(message))
    exact = Budget(total, lambda sizes: sum(size for _, size in sizes), "bytes")
    assert exact.fits(message)
    if total:
        assert not Budget(total - 1, exact.cost, "bytes").fits(message)
    assert Budget.of_bpp(bpp(message) + 1e-9, message.width, message.height).fits(message)


def test_budget_error_names_both():
    error = BudgetError(10, 25, "channel uses")
    assert error.smallest == 25
    assert "10 channel uses" in str(error)
    assert "25 channel uses" in str(error)


def test_message_by_name():
    key, hci = Stream("key", Protection.DETAIL, (b"a", b"bc")), Stream("hci", Protection.BASE, ())
    message = Message((hci, key), 3, 5)
    assert message["key"] is key
    with pytest.raises(KeyError, match="nope"):
        message["nope"]
    assert key.num_bytes == 3
    assert message.num_pixels == 15
