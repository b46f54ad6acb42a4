"""SPWs: semantic pseudo-words of the whole picture, a fixed 14 bits each."""

from __future__ import annotations

import torch

from semcom.networks.pseudo_words import GRID, PseudoWordEncoder
from semcom.streams import words as words_stream
from semcom.transmitter.features import ImageFeatures


@torch.inference_mode()
def pseudo_words(encoder: PseudoWordEncoder, features: ImageFeatures, num_words: int) -> bytes:
    """⌈14·num_words / 8⌉ bytes for a picture's features, by TASCM."""
    words = encoder(features.grid(GRID, GRID), num_words)
    return words_stream.encode(encoder.fsq.digits(words[0]))
