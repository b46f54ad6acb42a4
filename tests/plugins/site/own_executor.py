"""An executor from outside: the serial one, and a file that says it ran."""

import os
from pathlib import Path

from semcom.sweep.executors.serial import SerialExecutor


class Here(SerialExecutor):
    def submit(self, function, /, *args, **kwargs):
        Path(os.environ["OWN_EXECUTOR_RAN"]).touch()
        return super().submit(function, *args, **kwargs)


def make(resources):
    return Here(resources)
