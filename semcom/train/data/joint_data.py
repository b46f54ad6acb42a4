"""Samples of the stage `joint`: two coded crops of a photo, the whole scene, and what the captioner says.

Pictures are 8-bit until they are on the device that trains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import track
from torch import Tensor

from semcom.networks.mgdd import TEXT_TOKENS, caption_tokens
from semcom.picture import images
from semcom.picture.pixels import to_tensor
from semcom.streams import card
from semcom.train.data.crops import KeyCrops
from semcom.transmitter.captions import PhotoCaptioner
from semcom.transmitter.features import FRAME, FeatureExtractor, frame_size
from semcom.vocabulary import Vocabulary

CROP = 256
SCENE = 128
CUTS = 2  # of one coded photo: coding costs more than the rest of a sample


class JointCrops(KeyCrops):
    """See the module docstring; one sample is one photo.

    Args:
        photos: files to draw from.
        texts: [40] token ids of a photo's caption, zero for none.
        seed: of the run.
    """

    def __init__(self, photos: Sequence[Path], texts: Mapping[Path, Tensor], seed: int) -> None:
        super().__init__(photos, seed, CROP)
        self.texts = texts

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Tensors of `KeyCrops`, two of each, and of the scene.

        `scene` and `scene_card` [3,128,128], `text` [40]; pictures are uint8.
        """
        rng = np.random.default_rng([self.seed, index])
        photo, path = self._photo(rng)
        coded = self._coded(photo, rng)
        cuts = [self._cut(coded, rng) | self._key_maps(CUTS * index + i) for i in range(CUTS)]
        whole = to_tensor(coded.pixels)
        sketch = card.sketch(whole, (SCENE, SCENE))
        scene = photo.resize((SCENE, SCENE), Image.Resampling.LANCZOS)
        return {
            **{name: _compact(torch.stack([cut[name] for cut in cuts])) for name in cuts[0]},
            "scene": _compact(to_tensor(np.asarray(scene))),
            "scene_card": _compact(sketch),
            "text": self.texts.get(path, torch.zeros(TEXT_TOKENS, dtype=torch.long)),
        }


def _compact(x: Tensor) -> Tensor:
    """Pictures [...,3,H,W] in [0,1] as uint8, anything else as it is."""
    return (255 * x).round().byte() if x.dim() > 2 and x.shape[-3] == 3 else x


def expanded(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A batch with its pictures in [0,1], and the cuts of all photos in one dimension."""
    floats = {name: x.float() / 255 if x.dtype == torch.uint8 else x for name, x in batch.items()}
    scenes = ("scene", "scene_card", "text")
    return {name: x if name in scenes else x.flatten(0, 1) for name, x in floats.items()}


def written_captions(
    photos: Sequence[Path], captioner: PhotoCaptioner, extractor: FeatureExtractor, file: Path
) -> dict[Path, str]:
    """What the profile's own captioner says of photos, as the link will send it; kept in `file`."""
    known = dict(line.split("\t", 1) for line in file.read_text().splitlines()) if file.exists() else {}
    missing = [path for path in photos if str(path) not in known]
    for path in track(missing, description="captions"):
        photo = images.read(path)
        height, width = frame_size(photo.height, photo.width, FRAME)
        image = to_tensor(np.asarray(photo.resize((width, height), Image.Resampling.BICUBIC)))
        known[str(path)] = captioner.describe(image, extractor(image))
    if missing:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{path}\t{text}\n" for path, text in known.items()))
    return {path: known[str(path)] for path in photos}


def tokens(captions: Mapping[Path, str], vocabulary: Vocabulary) -> dict[Path, Tensor]:
    """Token ids [40] of captions."""
    return {path: caption_tokens(vocabulary, text) for path, text in captions.items()}
