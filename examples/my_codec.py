"""A codec of one's own: WebP files as Pillow writes them."""

from semcom.baselines.classical import ClassicalSystem
from semcom.baselines.codec import Codec, read, save, whole


def encode(pixels, quality):
    """Pieces of payload of [h,w,3] uint8; these files decode only whole, so there is one."""
    return (save(pixels, "WEBP", quality=quality),)


def decode(pieces, sent, width, height):
    """[h,w,3] uint8 of the pieces that arrived."""
    return read(whole(pieces, sent), "WEBP", width, height)


CODEC = Codec("my-webp", range(101), encode, decode)


def system():
    """The system that a scenario names as `my_codec:system`."""
    return ClassicalSystem(CODEC)
