"""Damaged messages of baselines: a picture of the session's size, whatever arrived."""

import random

import numpy as np
import pytest
import torch

from semcom.contracts import Budget
from semcom.message import LinkReport, ReceivedAnalogStream, ReceivedMessage, ReceivedStream
from semcom.systems import CODECS, build

REPORT = LinkReport(snr_db=None, channel_uses=0, classes={})
HEIGHT, WIDTH = 48, 64


@pytest.fixture(scope="module")
def photo():
    return torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


def received(*streams):
    return ReceivedMessage(tuple(streams), WIDTH, HEIGHT, REPORT)


def checked(system, message):
    result = system.decode(message)
    assert result.image.shape == (3, HEIGHT, WIDTH)
    assert bool(torch.isfinite(result.image).all())
    assert 0 <= float(result.image.min()) <= float(result.image.max()) <= 1
    return result


def mutated(rng, chunks):
    """Bits flipped, bytes cut out and put in, pieces lost, doubled, swapped and foreign."""
    out = [bytearray(chunk) for chunk in chunks]
    for _ in range(rng.randint(1, 4)):
        chunk = rng.choice(out)
        place = rng.randrange(len(chunk)) if chunk else 0
        if rng.random() < 0.5:
            place = min(place, 12)
        chunk[place : place + rng.choice((0, 1, 1, 8))] = rng.randbytes(rng.choice((0, 1, 1, 8)))
    found = [bytes(chunk) if rng.random() > 0.05 else None for chunk in out]
    kind = rng.random()
    if kind < 0.05:
        found += found
    elif kind < 0.1:
        found.reverse()
    elif kind < 0.15:
        found = [rng.randbytes(rng.randrange(60))]
    return tuple(found)


def check(name, photo, seeds, limited):
    system, limit = build(name), Budget(1500, lambda sizes: sum(size for _, size in sizes), "bytes")
    chunks = system.encode(photo, limit)["image"].chunks
    for seed in seeds:
        message = received(ReceivedStream("image", mutated(random.Random(seed), chunks)))
        with limited():
            checked(system, message)


@pytest.mark.parametrize("name", CODECS.names())
def test_a_thousand_mutated_messages(name, photo, limited):
    check(name, photo, range(1000), limited)


@pytest.mark.slow
@pytest.mark.parametrize("name", CODECS.names())
def test_many_mutated_messages(name, photo, limited):
    check(name, photo, range(1000, 21_000), limited)


@pytest.mark.parametrize("name", CODECS.names())
@pytest.mark.parametrize(
    "chunks",
    [
        (),
        (b"",),
        (b"\x00",),
        (b"\xff\xff\xff\xff\x01" + bytes(50),),
        (WIDTH.to_bytes(2, "big") + HEIGHT.to_bytes(2, "big") + b"\x00" + bytes(50),),
        (WIDTH.to_bytes(2, "big") + HEIGHT.to_bytes(2, "big") + b"\x01",),
        (WIDTH.to_bytes(2, "big") + HEIGHT.to_bytes(2, "big") + b"\x01" + bytes(50),) * 500,
        (None,),
    ],
)
def test_hand_made_messages(name, chunks, limited):
    with limited():
        checked(build(name), received(ReceivedStream("image", chunks)))
    assert checked(build(name), received()).notes == ("image lost: grey picture",)


def test_analog_values_that_are_none(photo):
    system = build("deepjscc")
    few = torch.randn(96)
    for values, variance in (
        (few, few[:5].abs()),
        (few * float("nan"), few.abs()),
        (few * float("inf"), few.abs()),
        (few, -few.abs()),
        (few[:0], few[:0]),
        (few[:7], few[:7].abs()),
        (torch.randn(100_000), torch.rand(100_000)),
    ):
        checked(system, received(ReceivedAnalogStream.of("image", values, variance)))
    assert checked(system, received()).notes == ("image lost: grey picture",)
    assert checked(system, received(ReceivedStream("image", (b"x",)))).notes


def changed(rng, values):
    """Values cut, lengthened, or with three of them impossible."""
    place = int(rng.integers(values.size + 1))
    kind = rng.integers(3)
    if kind == 0:
        return values[:place]
    if kind == 1:
        return np.concatenate([values, rng.standard_normal(place, np.float32)])
    out = values.copy()
    out[place : place + 3] = rng.choice(np.array([np.nan, np.inf, -1, 1e38, 0], np.float32))
    return out


def test_mutated_analog_values(photo, limited):
    system, rng = build("deepjscc"), np.random.default_rng(24)
    (stream,) = system.encode(photo, Budget(3000, lambda sizes: sizes[0][1], "channel uses")).streams
    for _ in range(100):
        values = stream.values.numpy()
        both = [values, rng.random(values.size, np.float32)]
        for _ in range(rng.integers(1, 4)):
            which = rng.integers(2)
            both[which] = changed(rng, both[which])
        with limited():
            checked(system, received(ReceivedAnalogStream.of("image", *map(torch.from_numpy, both))))
