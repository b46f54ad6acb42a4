"""SPWs: semantic pseudo-words of the whole picture, a fixed 14 bits each."""

from __future__ import annotations

import torch

from semcom.networks.pseudo_words import GRID, MAX_WORDS, PseudoWordEncoder
from semcom.streams.coding import fsq
from semcom.transmitter.features import ImageFeatures


@torch.inference_mode()
def pseudo_words(encoder: PseudoWordEncoder, features: ImageFeatures, num_words: int) -> bytes:
    """⌈14·num_words / 8⌉ bytes for a picture's features, by TASCM."""
    words = encoder(features.grid(GRID, GRID), num_words)
    return fsq.pack(encoder.fsq.digits(words[0]))


def check_num_words(num_words: int) -> int:
    """The number itself. Raises `ValueError` outside 0 to 64."""
    if not 0 <= num_words <= MAX_WORDS:
        raise ValueError(f"num_words is {num_words}: give 0 to {MAX_WORDS} pseudo-words")
    return num_words
