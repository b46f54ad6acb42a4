"""AVIF files whose alpha plane says nothing of its size, as libheif up to 1.11 wrote them.

ISO/IEC 23000-22 wants an `ispe` property with every image item; libavif holds to that, browsers do not.
Alpha and colour have one size by definition, so the missing property is the one that the colour has: one
more association in the box `ipma`. What follows it in the file moves by as many bytes, which the boxes around
it and the offsets in `iloc` must say.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MOST_BOXES = 1000
_FULL = 4  # bytes of version and flags


@dataclass(frozen=True)
class _Box:
    kind: bytes
    start: int
    body: int
    end: int


def with_alpha_size(file: bytes) -> bytes | None:
    """The file with the association put in; None where that is not what it lacks."""
    try:
        return _repaired(file)
    except (struct.error, IndexError, KeyError, StopIteration, ValueError):
        return None


def _repaired(file: bytes) -> bytes | None:
    meta = _find(file, b"meta", 0, len(file))
    inside = {box.kind: box for box in _boxes(file, meta.body + _FULL, meta.end)}
    reference = _find(file, b"auxl", inside[b"iref"].body + _FULL, inside[b"iref"].end)
    alpha, _, colour = struct.unpack_from(">HHH", file, reference.body)
    properties = inside[b"iprp"]
    container = _find(file, b"ipco", properties.body, properties.end)
    kinds = [b"", *(box.kind for box in _boxes(file, container.body, container.end))]
    associations = _find(file, b"ipma", properties.body, properties.end)
    counts = dict(_entries(file, associations))
    wide = 2 if file[associations.body + 3] & 1 else 1
    mask = (1 << (8 * wide - 1)) - 1  # the top bit says that a property is essential

    def indices(item: int) -> list[int]:
        first = counts[item] + 1
        last = first + wide * file[counts[item]]
        return [int.from_bytes(file[i : i + wide], "big") & mask for i in range(first, last, wide)]

    sizes = [index for index in indices(colour) if kinds[index] == b"ispe"]
    if not sizes or any(kinds[index] == b"ispe" for index in indices(alpha)):
        return None
    place = counts[alpha]
    out = bytearray(file)
    _shift_offsets(out, inside[b"iloc"], place, wide)
    for box in (meta, properties, associations):
        struct.pack_into(">I", out, box.start, box.end - box.start + wide)
    out[place] += 1
    out[place + 1 : place + 1] = sizes[0].to_bytes(wide, "big")
    return bytes(out)


def _boxes(file: bytes, start: int, end: int) -> Iterator[_Box]:
    """Boxes side by side (ISO/IEC 14496-12, 4.2); those of 64-bit sizes, which no picture needs, end it."""
    for _ in range(_MOST_BOXES):
        if start >= end:
            return
        size, kind = struct.unpack_from(">I4s", file, start)
        stop = start + size if size else end
        if size == 1 or 0 < size < 8 or stop > end:
            raise ValueError("damaged box")
        yield _Box(kind, start, start + 8, stop)
        start = stop


def _find(file: bytes, kind: bytes, start: int, end: int) -> _Box:
    return next(box for box in _boxes(file, start, end) if box.kind == kind)


def _entries(file: bytes, box: _Box) -> Iterator[tuple[int, int]]:
    """(item, place of its number of associations) of the box `ipma`."""
    version, flags = file[box.body], file[box.body + 3]
    item_bytes, wide = (4 if version else 2), (2 if flags & 1 else 1)
    (count,) = struct.unpack_from(">I", file, box.body + _FULL)
    place = box.body + _FULL + 4
    for _ in range(min(count, _MOST_BOXES)):
        item = int.from_bytes(file[place : place + item_bytes], "big")
        place += item_bytes
        yield item, place
        place += 1 + wide * file[place]


def _shift_offsets(out: bytearray, box: _Box, place: int, by: int) -> None:
    """Adds to the offsets in `iloc` (8.11.3) that point behind a place of the file."""
    version, sizes = out[box.body], struct.unpack_from(">H", out, box.body + _FULL)[0]
    offset_bytes, length_bytes, base_bytes, index_bytes = ((sizes >> shift) & 15 for shift in (12, 8, 4, 0))
    index_bytes = index_bytes if version else 0
    item_bytes = 4 if version == 2 else 2
    at = box.body + _FULL + 2

    def number(count: int) -> int:
        nonlocal at
        at += count
        return int.from_bytes(out[at - count : at], "big")

    for _ in range(min(number(item_bytes), _MOST_BOXES)):
        number(item_bytes)
        method = number(2) & 15 if version else 0
        number(2)
        base = number(base_bytes)
        for _ in range(min(number(2), _MOST_BOXES)):
            number(index_bytes)
            offset = number(offset_bytes)
            if method == 0 and base + offset > place:
                out[at - offset_bytes : at] = (offset + by).to_bytes(offset_bytes, "big")
            number(length_bytes)
