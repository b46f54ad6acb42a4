"""Limits that both ends and the command line share. Nothing heavy is imported: they are checked early."""

from __future__ import annotations

MAX_CHARACTERS = 500
"""Of a caption."""
MAX_WORDS = 64
"""Pseudo-words of a picture: places of TASCM's grid."""
MAX_STEPS = 8
"""Of the diffusion decoder."""
MAX_LATENT = 7
"""Magnitude of a key latent, an integer."""


class CaptionError(ValueError):
    """A caption that cannot be sent."""


def check_caption(text: str) -> None:
    """Raises `CaptionError` where a caption is longer than 500 characters or half a surrogate pair."""
    if len(text) > MAX_CHARACTERS:
        raise CaptionError(
            f"the caption has {len(text)} characters, {MAX_CHARACTERS} are the limit: shorten it"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CaptionError(f"the caption is no Unicode text: {error.reason}") from error
