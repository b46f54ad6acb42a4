"""Files that appear whole or not at all.

What is written goes to `.NAME.MACHINE.TOKEN.tmp` first. The writer holds a lock (flock) on it, which ends
with the process, however that ends: so a file without a lock is of a dead writer. Locks need not reach from
one machine of a cluster to another, hence the machine in the name.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import secrets
import time
from hashlib import sha256
from pathlib import Path

_NAME = re.compile(r"\..+\.([0-9a-f]{8})\.[0-9a-f]{16}\.tmp", re.DOTALL)
_SECONDS_ELSEWHERE = 86_400.0


def write_atomically(path: Path, data: bytes) -> None:
    """The file appears whole or not at all, even if the machine stops. Raises OSError."""
    descriptor, temporary = _begin(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)  # before the lock ends
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove_unfinished(folder: Path) -> None:
    """Removes what `write_atomically` left in a folder when it was killed, and nothing of a living writer.

    What another machine left goes after a day.
    """
    for path in folder.glob(".*.tmp"):
        named = _NAME.fullmatch(path.name)
        if named and (named[1] == _machine() or _age(path) > _SECONDS_ELSEWHERE):
            _remove_unlocked(path)


def _begin(path: Path) -> tuple[int, Path]:
    """A new locked file beside `path`: what is open, and where it is."""
    while True:
        temporary = path.with_name(f".{path.name}.{_machine()}.{secrets.token_hex(8)}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        _locked(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:  # else it was taken for a dead writer's before it was locked
            return descriptor, temporary
        os.close(descriptor)


def _remove_unlocked(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return  # its writer has just finished, or it is no file
    try:
        if _locked(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation)
    except OSError:  # another has the lock, or this file system knows none
        return False
    return True


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return 0.0


def _machine() -> str:
    return sha256(platform.node().encode()).hexdigest()[:8]
