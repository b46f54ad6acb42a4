"""A stream that nobody here knows: carried, priced, read, and said to be lost."""

import importlib.metadata
from dataclasses import replace

import pytest
import torch

from semcom import streams
from semcom.contracts import Budget
from semcom.link import PerfectLink
from semcom.message import Protection, ReceivedMessage, ReceivedStream
from semcom.packets import bits_on_wire
from semcom.receiver.arrivals import Arrivals
from semcom.receiver.chain import Receiver
from semcom.streams import ExtraStream, extra_streams, patches


def brightness(image):
    return (bytes([round(255 * image.mean().item())]), b"second")


def brightened(chunks, result):
    if chunks[0] is None:
        return replace(result, notes=(*result.notes, "no brightness"))
    return replace(result, parts={**result.parts, "flat": torch.full((3, 4, 4), chunks[0][0] / 255)})


STREAM = ExtraStream("brightness", Protection.DETAIL, "brightness", encode=brightness, decode=brightened)
FAILING = replace(STREAM, decode=lambda chunks, result: 1 / 0)
RESIZING = replace(STREAM, decode=lambda chunks, result: replace(result, image=result.image[:, 1:]))


@pytest.fixture(scope="module")
def sent(semantic, small_photo):
    transmitter = semantic.transmitter
    extras, transmitter.extras = transmitter.extras, (STREAM,)
    message = transmitter.encode(small_photo, Budget.of_bpp(0.1, 200, 150), semantic.options)
    transmitter.extras = extras
    return message


@pytest.fixture
def decode(semantic, sent):
    """What the receiver makes of the message with one extra stream, whose chunks may be replaced."""
    (received,) = PerfectLink().send([sent], 0.0, [0])

    def run(stream, chunks=None):
        each = [
            ReceivedStream(s.name, chunks) if chunks is not None and s.name == stream.name else s
            for s in received.streams
        ]
        receiver = Receiver.__new__(Receiver)
        receiver.__dict__.update(semantic.receiver.__dict__, extras=(stream,))
        return receiver.decode(replace(received, streams=tuple(each)))

    return run


def test_it_travels_last_and_is_paid_for(sent, small_photo):
    assert [stream.name for stream in sent.streams][-1] == "brightness"
    assert sent["brightness"].protection is Protection.DETAIL
    assert bits_on_wire(sent)["brightness"] == 8 * (1 + 6 + 2 * 2)
    assert sum(bits_on_wire(sent).values()) <= 0.1 * small_photo[0].numel()


def test_it_is_read_and_its_losses_are_said(decode, sent, small_photo):
    whole = decode(STREAM)
    assert abs(whole.parts["flat"].mean() - small_photo.mean()) < 1 / 255 and whole.notes == ()
    part = decode(STREAM, (None, b"second"))
    assert part.notes == ("1 of 2 brightness packets lost", "no brightness")
    lost = decode(STREAM, (None, None))
    assert lost.notes == ("2 of 2 brightness packets lost",) and "flat" not in lost.parts
    assert torch.equal(whole.image, part.image) and torch.equal(whole.image, lost.image)


@pytest.mark.parametrize("stream", [FAILING, RESIZING])
def test_a_reader_that_fails_is_an_erasure(decode, small_photo, stream):
    result = decode(stream)
    assert result.notes == ("brightness damaged",)
    assert result.image.shape == small_photo.shape


def test_a_receiver_without_the_plug_in_reads_the_rest(semantic, sent):
    (received,) = PerfectLink().send([sent], 0.0, [0])
    assert semantic.decode(received).notes == ()


class Entry:
    def __init__(self, name, stream):
        self.name, self.value, self._stream = name, f"somewhere:{name}", stream

    def load(self):
        return self._stream


@pytest.fixture
def installed(monkeypatch):
    def install(*entries):
        extra_streams.cache_clear()
        monkeypatch.setattr(streams, "entry_points", lambda group: entries)
        return extra_streams()

    yield install
    extra_streams.cache_clear()


def test_entry_points_register(installed):
    assert installed() == (patches.STREAM,)
    other = replace(STREAM, name="another")
    assert installed(Entry("b", STREAM), Entry("a", other)) == (patches.STREAM, other, STREAM)


@pytest.mark.parametrize(
    ("stream", "reason"), [(replace(STREAM, name="hci"), "'hci' is taken"), ("text", "is no ExtraStream")]
)
def test_entry_points_that_do_not_fit_are_named(installed, stream, reason):
    with pytest.raises(ValueError, match=f"entry point mine of semcom.streams: .*{reason}"):
        installed(Entry("mine", stream))


def test_the_group_is_the_documented_one():
    assert streams.ENTRY_POINTS in streams.__doc__
    assert list(importlib.metadata.entry_points(group=streams.ENTRY_POINTS)) == []
    assert Arrivals(ReceivedMessage((), 64, 64, None)).notes() == ()
