"""Whatever a message says, the receiver makes a picture of the right size and raises nothing.

The slow run of 10⁵ messages is `python tests/hostile/messages.py`; its summary is in benchmarks/results.
"""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from semcom.link import PerfectLink
from semcom.message import ReceivedStream
from semcom.streams.header import Header

_SPEC = importlib.util.spec_from_file_location("hostile_messages", Path(__file__).with_name("messages.py"))
messages = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(messages)


@pytest.fixture(scope="module")
def receiver(semantic):
    return messages.stub_receiver(semantic)


@pytest.fixture(scope="module")
def received(semantic):
    return PerfectLink().send([messages.full_message(semantic)], 0.0, [0])[0]


def with_chunks(received, name, *chunks):
    streams = [ReceivedStream(s.name, chunks) if s.name == name else s for s in received.streams]
    return replace(received, streams=tuple(streams))


def check(receiver, received, seeds, limited):
    for seed in seeds:
        message, kind = messages.mutated(received, seed)
        with limited():
            wrong = messages.fault(receiver.decode(message))
        assert wrong is None, f"seed {seed} ({kind}): {wrong}"


def test_a_thousand_damaged_messages(receiver, received, limited):
    check(receiver, received, range(1000), limited)


def test_the_same_seed_damages_alike(received):
    assert messages.mutated(received, 7) == messages.mutated(received, 7)
    assert messages.mutated(received, 7) != messages.mutated(received, 8)


@pytest.mark.parametrize(
    "lie",
    [
        {"width": 8192, "height": 8192},
        {"width": 16384},
        {"height": 1},
        {"key_packets": 8},
        {"key_packets": 0},
        {"presence": 0},
        {"presence": 127},
    ],
    ids=str,
)
def test_a_header_of_another_message_is_an_erasure(receiver, received, lie):
    """8192×8192 pixels once took 3.2 GB; another number of key packets was read in silence."""
    header = replace(Header.from_bytes(received.first("header")), **lie)
    result = receiver.decode(with_chunks(received, "header", header.to_bytes()))
    assert result.notes == ("header damaged: grey picture",)
    assert (result.image == 0.5).all() and messages.fault(result) is None


@pytest.mark.parametrize(
    ("name", "chunks", "note"),
    [
        ("spw", (bytes(200),), "pseudo-words damaged"),
        ("hci", (b"\x00damaged",), "HCI damaged"),
        ("hci", (b"",), "HCI damaged"),
        ("header", (b"\x37" + bytes(7),), "header damaged: grey picture"),
    ],
)
def test_a_stream_that_cannot_be_read_is_an_erasure(receiver, received, name, chunks, note):
    result = receiver.decode(with_chunks(received, name, *chunks))
    assert note in result.notes
    assert messages.fault(result) is None
    if name == "hci":
        assert result.notes[-1] == "only the base picture is shown" and result.received.sum() == 0


def test_key_packets_that_are_no_multiple_of_four_are_an_erasure(receiver, received):
    header = replace(Header.from_bytes(received.first("header")), key_packets=3)
    odd = with_chunks(received, "header", header.to_bytes())
    odd = with_chunks(odd, "key", *received.chunks("key")[:3])
    result = receiver.decode(odd)
    assert result.notes == ("key damaged",) and result.received.sum() == 0
