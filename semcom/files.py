"""Files of strangers: opened only where they are regular files, and read once, up to a limit."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MIB = 1 << 20


def read_limited(path: str | Path, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes.

    Pipes, devices and sockets are refused without waiting for them: what they hold has no end, or never
    comes.

    Raises:
        OSError: the file is missing, may not be read, is not a regular file or is larger; `strerror` is the
            reason in plain words.
    """
    try:
        _check_regular(Path(path).stat().st_mode)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:  # a name with a null byte
        raise OSError(errno.EINVAL, "no file has such a name") from error
    with os.fdopen(descriptor, "rb") as file:
        _check_regular(os.fstat(file.fileno()).st_mode)
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than the {most / MIB:g} MiB that are read")
    return content


def check_folder(path: str | Path) -> None:
    """Makes sure that a folder can be made or written to, before the work whose result goes there.

    Nothing is created that is not there.

    Raises:
        ValueError: a file stands there or on the way, or its place cannot be written to.
    """
    place = Path(path)
    try:
        if place.exists() and not place.is_dir():
            raise ValueError(f"{place}: is a file; give a folder")
        existing = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    except OSError as error:
        raise ValueError(f"{place}: {error.strerror}") from error
    if not existing.is_dir():
        raise ValueError(f"{place}: {existing} is a file, not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(f"{place}: {existing} cannot be written to")


def check_file(path: str | Path) -> None:
    """The same for a file that is to be written.

    Raises:
        ValueError: a folder stands there, or its place cannot be written to.
    """
    place = Path(path)
    try:
        if place.is_dir():
            raise ValueError(f"{place}: is a folder; give a file name")
        writable = not place.exists() or os.access(place, os.W_OK)
    except OSError as error:
        raise ValueError(f"{place}: {error.strerror}") from error
    if not writable:
        raise ValueError(f"{place}: cannot be written to")
    check_folder(place.parent)


def _check_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file (a pipe, a device or a socket)")
