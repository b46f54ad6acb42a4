"""Captions: what a photo shows, in words. By the profile's captioner, by any published one, or by the user.

photo, shared features ─► Describer ─► text ─► CaptionCoder ─► about ten bytes
key map ──┘ (background only: what lies in key regions is hidden from it)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from semcom.networks.captioner import GRID, Captioner, cell_features
from semcom.networks.efficientnet import EfficientNetLite0
from semcom.picture import class_groups
from semcom.picture.grid import CELL
from semcom.picture.pixels import to_pixels
from semcom.streams.caption import CaptionCoder
from semcom.transmitter.features import ImageFeatures
from semcom.vocabulary import Vocabulary

AUTO, NONE, BACKGROUND = "auto", "none", "background"
_HIDDEN_SHARE = 0.5  # of a cell in key regions, from which on it is hidden
_MAX_TOKENS = 30
# "in a red shirt", which it says of nearly everyone and nothing here can check
_ATTIRE = re.compile(r" in an? [a-z ]*?(?:shirt|jacket|dress|suit|hat|coat|uniform|outfit|helmet)\b")


class Describer(Protocol):
    """Finds words for a photo."""

    def describe(self, image: Tensor, features: ImageFeatures, hidden: Tensor | None = None) -> str:
        """Caption of a picture [3,H,W] in [0,1].

        Args:
            image: the picture.
            features: of the picture.
            hidden: [ceil(H/16), ceil(W/16)] bool, what the caption must not be about.

        Returns:
            One line; empty when everything is hidden.
        """
        ...


@dataclass(frozen=True)
class Caption:
    """Words for a picture and how likely they are true, by the classifier, 0 to 1."""

    text: str
    confidence: float


class PhotoCaptioner:
    """The captioner of a profile, held to what the classifier sees.

    Of the best beams the first is written whose words agree with the probabilities of ImageNet's classes.
    Where none does, the narrowest group of classes that is likely is named ("a parrot", "a building"), and
    where there is no such group, nothing is said: better something general than something false.

    Args:
        backbone: the profile's image features.
        captioner: the words from them.
        vocabulary: the captioner's.
        beams: width of the search; 1 is greedy.
    """

    def __init__(
        self, backbone: EfficientNetLite0, captioner: Captioner, vocabulary: Vocabulary, beams: int = 3
    ) -> None:
        self._backbone, self._captioner, self._vocabulary = backbone, captioner, vocabulary
        self._beams = beams

    def describe(self, image: Tensor, features: ImageFeatures, hidden: Tensor | None = None) -> str:
        """See `Describer`. The features of hidden cells are not looked at."""
        return self.caption(features, hidden).text

    @torch.no_grad()
    def caption(self, features: ImageFeatures, hidden: Tensor | None = None) -> Caption:
        """As `describe`, with the confidence: 1 where nothing is said."""
        visible = torch.ones(1, GRID * GRID, dtype=torch.bool) if hidden is None else _visible(hidden)
        if not visible.any():
            return Caption("", 1.0)
        cells = cell_features(self._backbone, features.grid(GRID, GRID))
        logits = self._logits(features, hidden)
        sharp = class_groups.sharpened(logits)
        (beams,) = self._captioner.candidates(cells, visible, self._beams, self._beams)
        for tokens in beams:
            text = _ATTIRE.sub("", self._vocabulary.join(tokens))
            likely = class_groups.agreed(text, sharp)
            if likely is not None:
                return Caption(text, likely)
        named = class_groups.narrowest(logits)
        return Caption("", 1.0) if named is None else Caption(*named)

    def _logits(self, features: ImageFeatures, hidden: Tensor | None) -> Tensor:
        """Of the classes [1000], over the places that are not hidden."""
        places = F.relu6(self._backbone.head(features.deepest))[0].flatten(1).T
        if hidden is not None:
            rows, columns = features.deepest.shape[2:]
            seen = 1 - F.adaptive_avg_pool2d(hidden[None].float(), (rows, columns)).flatten()
            places = places * (seen / seen.mean())[:, None]
        return self._backbone.classifier(places.mean(0))


class HubCaptioner:
    """A published image-to-text model of `transformers`, such as BLIP.

    Args:
        source: hub id and revision ("Salesforce/blip-image-captioning-base@REVISION", a commit or tag) or
            local folder.

    Raises:
        ValueError: a hub id without a revision, there is no such model, or it does not write text about
            images.
    """

    def __init__(self, source: str | Path) -> None:
        name, _, revision = str(source).partition("@")
        if Path(source).is_dir():
            name, revision = str(source), "main"
        elif not revision:
            raise ValueError(
                f"captioner {str(source)!r} is no folder; a hub model needs a revision (a commit or tag): "
                f"{source}@REVISION, so that it is the same model tomorrow"
            )
        from transformers import AutoModelForImageTextToText, AutoProcessor

        try:
            self._processor = AutoProcessor.from_pretrained(name, revision=revision)
            self._model = AutoModelForImageTextToText.from_pretrained(name, revision=revision).eval()
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"captioner {str(source)!r} cannot be loaded: {reason}") from error

    @torch.no_grad()
    def describe(self, image: Tensor, features: ImageFeatures, hidden: Tensor | None = None) -> str:
        """See `Describer`. Hidden cells are painted in the mean colour of the rest."""
        if hidden is not None:
            if hidden.all():
                return ""
            image = _painted_over(image, hidden)
        inputs = self._processor(images=to_pixels(image), return_tensors="pt")
        written = self._model.generate(**inputs, num_beams=3, do_sample=False, max_new_tokens=_MAX_TOKENS)
        return self._processor.batch_decode(written, skip_special_tokens=True)[0].strip()


class CaptionEncoder:
    """Caption stream of a photo.

    Args:
        coder: of the profile; None where the profile has no vocabulary.
        describer: None where the profile has no captioner.
    """

    def __init__(self, coder: CaptionCoder | None, describer: Describer | None) -> None:
        self._coder, self._describer = coder, describer

    def encode(
        self, image: Tensor, features: ImageFeatures, key_map: Callable[[], Tensor], wish: str
    ) -> bytes | None:
        """Bytes of a caption, or None where there is nothing to send.

        Args:
            image: [3,H,W] in [0,1].
            features: of the picture.
            key_map: gives [ceil(H/16), ceil(W/16)] bool, asked only where the wish needs it.
            wish: `auto` (of everything, where the profile can), `none`, `background` (of what is not key),
                or the caption itself; an empty one is not sent.

        Raises:
            ValueError: the profile has no captioner, or no vocabulary, for what is wished.
            CaptionError: the caption is too long.
        """
        if wish == NONE or (wish == AUTO and self._describer is None):
            return None
        if self._coder is None:
            raise ValueError("the profile has no part 'vocabulary': captions need caption=none")
        text = self._describe(image, features, key_map, wish) if wish in (AUTO, BACKGROUND) else wish
        return self._coder.encode(text) if text else None

    def _describe(
        self, image: Tensor, features: ImageFeatures, key_map: Callable[[], Tensor], wish: str
    ) -> str:
        if self._describer is None:
            raise ValueError(
                f"the profile has no part 'captioner': caption={wish} needs it; give the caption as text"
            )
        return self._describer.describe(image, features, key_map() if wish == BACKGROUND else None)


def _visible(hidden: Tensor) -> Tensor:
    """[1,49] bool of a key map on the 16-pixel grid."""
    share = F.adaptive_avg_pool2d(hidden[None].float(), (GRID, GRID))
    return share.flatten(1) < _HIDDEN_SHARE


def _painted_over(image: Tensor, hidden: Tensor) -> Tensor:
    cells = F.interpolate(hidden[None, None].float(), scale_factor=CELL)[0]
    mask = cells[:, : image.shape[1], : image.shape[2]]
    colour = (image * (1 - mask)).sum((1, 2)) / (1 - mask).sum()
    return image * (1 - mask) + colour[:, None, None] * mask
