"""Samples of the multimodal decoder: a coded crop, and the whole scene it was cut from.

The scene, a quarter-size picture squeezed to a square, is what the decoder makes when the HCI is lost:
its colour card, its caption and the backbone's features (for the pseudo-words) come along. Every batch of
`BATCH` samples ends in `SCENES` scenes; a sample has the tensors of both kinds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from semcom.networks.efficientnet import FEATURE_CHANNELS
from semcom.networks.mgdd import TEXT_TOKENS, caption_tokens
from semcom.networks.pseudo_words import GRID
from semcom.picture.pixels import to_tensor
from semcom.streams import card
from semcom.train.data.crops import CROP, KeyCrops
from semcom.transmitter.features import FeatureExtractor
from semcom.vocabulary import Vocabulary

BATCH, SCENES = 8, 4
_CAPTION_RATE = 0.7
_CROP_WORDS, _SCENE_WORDS = 0.25, 0.9  # rates; the features cost more than the rest of a sample together


class ConditionedCrops(KeyCrops):
    """See the module docstring.

    Args:
        photos: files to draw from; a `<folder>.jsonl` beside a folder of photos holds their captions.
        vocabulary: of the captions.
        extractor: of the backbone's features.
        seed: of the run.
        with_words: every sample has its features, as evaluation needs it; otherwise some do.
    """

    def __init__(
        self,
        photos: Sequence[Path],
        vocabulary: Vocabulary,
        extractor: FeatureExtractor,
        seed: int,
        with_words: bool = False,
    ) -> None:
        super().__init__(photos, seed)
        self.vocabulary, self.extractor, self.with_words = vocabulary, extractor, with_words
        self.captions = _captions({path.parent for path in photos})

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Tensors of `KeyCrops`, and those of the scene.

        `scene` and `scene_card` [3,128,128], `features` [320,8,8] and whether they are there (`has_words`),
        `text` [40] token ids, zero for none.
        """
        rng = np.random.default_rng([self.seed, index])
        photo, path = self._photo(rng)
        whole = to_tensor(np.asarray(photo))
        sketch = card.sketch(whole, (CROP, CROP))
        has_words = self.with_words or rng.random() < (_SCENE_WORDS if is_scene(index) else _CROP_WORDS)
        nothing = torch.zeros(FEATURE_CHANNELS[-1], GRID, GRID)
        return (
            self._window(photo, rng)
            | self._key_maps(index)
            | {
                "scene": to_tensor(np.asarray(photo.resize((CROP, CROP), Image.Resampling.LANCZOS))),
                "scene_card": sketch,
                "features": self.extractor(whole).grid(GRID, GRID)[0] if has_words else nothing,
                "has_words": torch.tensor(float(has_words)),
                "text": self._text(path, rng),
            }
        )

    def _text(self, path: Path, rng: np.random.Generator) -> Tensor:
        known = self.captions.get(path, [])
        if not known or rng.random() > _CAPTION_RATE:
            return torch.zeros(TEXT_TOKENS, dtype=torch.long)
        return caption_tokens(self.vocabulary, str(rng.choice(known)))


def is_scene(index: int) -> bool:
    """Whether a sample of this index trains the decoder on its scene."""
    return index % BATCH >= BATCH - SCENES


def _captions(folders: set[Path]) -> dict[Path, list[str]]:
    captions: dict[Path, list[str]] = {}
    for folder in folders:
        listing = folder.with_suffix(".jsonl")
        if listing.exists():
            for line in listing.read_text().splitlines():
                entry = json.loads(line)
                captions[folder / entry["image"]] = entry["captions"]
    return captions
