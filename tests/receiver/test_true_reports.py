"""For every subset of lost streams: what notes, shares and maps say is what differences of pictures prove."""

import importlib.util
from dataclasses import replace
from itertools import chain, combinations
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from semcom.link import PerfectLink
from semcom.message import ReceivedStream
from semcom.report import _detail, _share
from semcom.streams import STREAMS

_PATH = Path(__file__).parents[1] / "hostile" / "messages.py"
_SPEC = importlib.util.spec_from_file_location("hostile_messages", _PATH)
messages = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(messages)

NAMES = [stream.name for stream in STREAMS]
SUBSETS = [frozenset(s) for s in chain.from_iterable(combinations(NAMES, n) for n in range(len(NAMES) + 1))]
FORMATS = {stream.name: stream for stream in STREAMS}


def erase(received, lost):
    streams = tuple(
        ReceivedStream(s.name, (None,) * len(s.chunks)) if s.name in lost else s for s in received.streams
    )
    return replace(received, streams=streams)


@pytest.fixture(scope="module")
def received(semantic):
    return PerfectLink().send([messages.full_message(semantic)], 0.0, [0])[0]


@pytest.fixture(scope="module")
def results(semantic, received):
    receiver = messages.stub_receiver(semantic)
    return {lost: receiver.decode(erase(received, lost)) for lost in SUBSETS}


def test_there_are_512_and_the_message_has_every_stream(received, results):
    assert len(results) == 512
    assert [stream.name for stream in received.streams] == NAMES
    assert results[frozenset()].notes == ()
    assert results[frozenset()].received.any()


def test_notes_name_what_was_lost_and_nothing_else(received, results):
    for lost, result in results.items():
        if "header" in lost:
            assert result.notes == ("header lost: grey picture",)
            continue
        expected = [
            FORMATS[name].loss((None,) * len(received.chunks(name))) for name in NAMES if name in lost
        ]
        if "hci" in lost:
            expected.append(
                "only the base picture is shown"
                if "base" not in lost
                else "only the colour card is shown"
                if "card" not in lost
                else "grey picture: no HCI, base picture or colour card"
            )
        assert list(result.notes) == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_changes_the_picture_where_the_report_says_that_it_counts(results, name):
    """The picture rests on it: so says the report, and so does its erasure."""
    for lost, result in results.items():
        if name in lost:
            continue
        without = results[lost | {name}]
        changed = not torch.equal(result.image, without.image)
        has_picture = "header" not in lost and not lost >= {"hci", "base"}
        says = {
            "header": not lost >= {"hci", "base", "card"},
            "card": "only the colour card is shown" in result.notes,
            "base": "only the base picture is shown" in result.notes,
            "texture": not lost & {"header", "hci"},
            "mask": bool(result.received.any()),
            "key": bool(result.received.any()),
        }.get(name, has_picture if name != "hci" else "header" not in lost)
        assert changed == says, (sorted(lost), name)


def test_cells_marked_received_rest_on_key_packets_and_no_others_are_marked(results):
    for lost, result in results.items():
        without = results[lost | {"key"}]
        difference = (result.image - without.image).abs().amax(0)
        cells = F.max_pool2d(difference[None], 16, ceil_mode=True)[0] > 0
        assert (cells | ~result.received.bool()).all(), sorted(lost)
        if not result.received.any():
            assert not cells.any()
        if lost & {"header", "hci", "mask", "key"}:
            assert not result.received.any()


def test_shares_and_maps_add_up(results):
    whole = results[frozenset()]
    for lost, result in results.items():
        detail, share = _detail(result), _share(result.received)
        letters = "".join(detail["detail_map"])
        assert share == pytest.approx(letters.count("R") / len(letters))
        assert detail["generated_share"] == pytest.approx(1 - share)
        unknown = bool(lost & {"header", "mask"})
        assert (detail["lost_share"] is None) == unknown == ("?" in letters) == (result.key_mask is None)
        if not unknown:
            assert torch.equal(result.key_mask, whole.key_mask)
            assert detail["lost_share"] == pytest.approx(letters.count("L") / len(letters))
            assert letters.count("L") + letters.count("R") == int(whole.key_mask.sum())


def test_the_caption_is_there_where_it_arrived(results):
    for lost, result in results.items():
        assert (result.caption is None) == bool(lost & {"header", "caption"})


def test_each_lost_packet_takes_its_own_cells(semantic, received):
    receiver = messages.stub_receiver(semantic)
    whole, packets = receiver.decode(received), received.chunks("key")
    lost_cells = []
    for index in range(len(packets)):
        chunks = tuple(None if i == index else chunk for i, chunk in enumerate(packets))
        streams = tuple(ReceivedStream(s.name, chunks) if s.name == "key" else s for s in received.streams)
        result = receiver.decode(replace(received, streams=streams))
        assert result.notes == (f"1 of {len(packets)} key packets lost",)
        lost_cells.append(whole.received - result.received)
    assert torch.equal(torch.stack(lost_cells).sum(0), whole.received)
