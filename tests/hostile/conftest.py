"""What the tests of hostile input share: a limit of computing time for each thing that comes in."""

import faulthandler
import signal
from contextlib import contextmanager

import pytest

SECONDS = 30


@contextmanager
def _limited():
    def late(*_):
        raise AssertionError(f"a hang: {SECONDS} s of computing")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    faulthandler.dump_traceback_later(20 * SECONDS, exit=True)  # for a library that never returns
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@pytest.fixture
def limited():
    """A context whose block fails after `SECONDS` of computing, whatever else the machine does."""
    return _limited
