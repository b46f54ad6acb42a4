"""Files of killed writers go when a run begins; those of living writers stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from semcom.sweep.atomic import remove_unfinished
from semcom.sweep.store import Store

_STOPS_IN_THE_MIDDLE = """
import os, sys
from pathlib import Path
from semcom.sweep.atomic import write_atomically
def stop(descriptor):
    print("open", flush=True)
    sys.stdin.readline()
sync, os.fsync = os.fsync, stop
write_atomically(Path(sys.argv[1]), b"whole")
"""


def _writer(path: Path) -> subprocess.Popen[str]:
    """A process in the middle of writing a file; a line on its stdin lets it go on."""
    command = [sys.executable, "-c", _STOPS_IN_THE_MIDDLE, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "open\n"
    return process


def test_a_killed_writers_file_goes_and_a_living_ones_stays(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    store.create()
    writers = [_writer(store.shards / f"{name}.parquet") for name in ("dead", "living")]
    assert len(list(store.shards.iterdir())) == 2
    writers[0].send_signal(signal.SIGKILL)
    writers[0].communicate()
    store.create()
    assert [path.name.split(".")[1] for path in store.shards.iterdir()] == ["living"]
    writers[1].communicate("\n")
    assert writers[1].returncode == 0
    assert [path.name for path in store.shards.iterdir()] == ["living.parquet"]
    assert (store.shards / "living.parquet").read_bytes() == b"whole"


@pytest.mark.parametrize("place", [".", "shards", "pictures"])
def test_what_another_machine_left_goes_after_a_day(tmp_path: Path, place: str) -> None:
    store = Store(tmp_path)
    store.create()
    left = tmp_path / place / f".x.parquet.{'0' * 8}.{'1' * 16}.tmp"
    left.touch()
    store.create()
    assert left.exists()
    os.utime(left, (left.stat().st_mtime - 90_000,) * 2)
    store.create()
    assert not left.exists()


def test_files_of_others_stay(tmp_path: Path) -> None:
    mine = f"{'0' * 8}.{'1' * 16}.tmp"
    for name in (".tmp", ".syncthing.x.tmp", f"x.{mine}", f".{mine}"):
        (tmp_path / name).touch()
    (tmp_path / f".folder.{mine}").mkdir()
    os.mkfifo(tmp_path / f".fifo.{mine}")
    (tmp_path / f".link.{mine}").symlink_to("nowhere")
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0), follow_symlinks=False)
    before = set(tmp_path.iterdir())
    remove_unfinished(tmp_path)
    assert set(tmp_path.iterdir()) == before - {tmp_path / f".fifo.{mine}"}
