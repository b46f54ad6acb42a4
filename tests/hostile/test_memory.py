"""Hostile messages are read in little memory: RLIMIT_AS, a quarter GiB above what a good message takes."""

import importlib.util
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from semcom.link import PerfectLink
from semcom.message import ReceivedStream
from semcom.streams.header import Header

HERE = Path(__file__).parent
_SPEC = importlib.util.spec_from_file_location("hostile_messages", HERE / "messages.py")
messages = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(messages)

_IN_LITTLE_MEMORY = """
import pickle, re, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import messages
from semcom.semantic import SemanticSystem

good, *hostile = pickle.load(sys.stdin.buffer)
receiver = messages.stub_receiver(SemanticSystem())
assert messages.fault(receiver.decode(good)) is None
peak = 1024 * int(re.search(r"VmPeak:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
resource.setrlimit(resource.RLIMIT_CPU, (300, 300))
resource.setrlimit(resource.RLIMIT_AS, (peak + (256 << 20),) * 2)
for message in hostile:
    result = receiver.decode(message)
    print(messages.fault(result), result.notes, flush=True)
"""


def _with(received, name, *chunks):
    streams = [ReceivedStream(s.name, chunks) if s.name == name else s for s in received.streams]
    return replace(received, streams=tuple(streams))


def _lies(received):
    """Messages that once took gigabytes: sizes of others, a caption without end, packets without number."""
    told = Header.from_bytes(received.first("header"))
    for side in (8192, 16_384):
        yield _with(received, "header", replace(told, width=side, height=side).to_bytes())
    for name in ("caption", "mask", "texture", "card", "spw", "hci", "base"):
        yield _with(received, name, b"\xff" * 5006)
        yield _with(received, name, bytes(5006))
    yield _with(received, "key", *received.chunks("key") * 2000)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="VmPeak is Linux's")
def test_hostile_messages_are_read_in_little_memory(semantic):
    """Equal notes with and without the limit: what the limit refuses would be one more damaged stream."""
    received = PerfectLink().send([messages.full_message(semantic)], 0.0, [0])[0]
    hostile = [*_lies(received), *(messages.mutated(received, seed)[0] for seed in range(200))]
    run = subprocess.run(
        [sys.executable, "-c", _IN_LITTLE_MEMORY, str(HERE)],
        input=pickle.dumps([received, *hostile]),
        capture_output=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr.decode()
    receiver = messages.stub_receiver(semantic)
    expected = [f"None {receiver.decode(message).notes}" for message in hostile]
    assert run.stdout.decode().splitlines() == expected
