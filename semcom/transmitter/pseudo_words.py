"""SPWs: semantic pseudo-words of the whole picture, a fixed 14 bits each."""

from __future__ import annotations

import torch
from torch import Tensor

from semcom.models import fsq
from semcom.models.pseudo_words import GRID, MAX_WORDS, PseudoWordEncoder
from semcom.transmitter.features import FeatureExtractor


class PseudoWordSender:
    """Compresses the backbone's features with TASCM.

    Args:
        extractor: of the shared backbone's features.
        encoder: part `pseudo_words` of a profile.
    """

    def __init__(self, extractor: FeatureExtractor, encoder: PseudoWordEncoder) -> None:
        self.extractor, self.encoder = extractor, encoder

    @torch.inference_mode()
    def encode(self, image: Tensor, num_words: int) -> bytes:
        """⌈14·num_words / 8⌉ bytes for a picture [3,H,W] in [0,1]."""
        features = self.extractor(image).grid(GRID, GRID)
        return fsq.pack(self.encoder.fsq.digits(self.encoder(features, num_words)[0]))


def check_num_words(num_words: int) -> int:
    """The number itself. Raises `ValueError` outside 0 to 64."""
    if not 0 <= num_words <= MAX_WORDS:
        raise ValueError(f"num_words is {num_words}: give 0 to {MAX_WORDS} pseudo-words")
    return num_words
