"""Which photos are read: known without loading a library, for help texts and listings of folders."""

from __future__ import annotations

MIN_SIDE, MAX_SIDE = 64, 8192
MAX_PIXELS = 1 << 25
"""8192×4096: what a coded picture of a few bytes may unfold to (400 MB as float32)."""

MAX_FILE_BYTES = 256 << 20

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm"}
)
"""Endings of file names by which photos are found in a folder, lower case."""

SIZES = f"{MIN_SIDE} to {MAX_SIDE} pixels a side and at most {MAX_PIXELS / 1e6:.1f} million pixels"
"""In words."""
