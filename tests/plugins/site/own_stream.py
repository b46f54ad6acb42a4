"""A stream from outside: eight bytes with the picture's mean brightness."""

from dataclasses import replace

from semcom.message import Protection
from semcom.streams.format import ExtraStream


def encode(image):
    return [f"{image.mean().item():.6f}".encode()]


def decode(chunks, result):
    return replace(result, notes=(*result.notes, f"stamp {chunks[0].decode()}"))


STREAM = ExtraStream("stamp", Protection.DETAIL, "brightness stamp", encode=encode, decode=decode)
