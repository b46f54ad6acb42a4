"""CLIP score (arXiv 2104.08718): 100 × the cosine of CLIP embeddings, negative ones as zero.

The model is any CLIP in the layout of `transformers`, by the path of its folder; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from semcom.picture.pixels import to_pixels


class ClipScorer:
    """A CLIP model that compares pictures with captions or with other pictures.

    Args:
        path: folder with the model, its image processor and its tokenizer.

    Raises:
        ValueError: there is no model in that folder.
    """

    def __init__(self, path: str | Path) -> None:
        from transformers import CLIPModel, CLIPProcessor

        if not (Path(path) / "config.json").is_file():
            raise ValueError(
                f"{path} holds no CLIP model: give a folder saved by transformers, for example a copy of "
                "openai/clip-vit-base-patch16"
            )
        self._model: Any = CLIPModel.from_pretrained(path, local_files_only=True).eval()
        self._processor: Any = CLIPProcessor.from_pretrained(path, local_files_only=True)

    @torch.inference_mode()
    def with_captions(self, preds: Tensor, captions: Sequence[str]) -> Tensor:
        """CLIP score [B] in 0–100 of pictures [B,3,H,W] in [0,1] with their captions."""
        text = self._processor.tokenizer(list(captions), return_tensors="pt", padding=True, truncation=True)
        inner = self._model.text_model(**text).pooler_output
        return _score(self._images(preds), self._model.text_projection(inner))

    @torch.inference_mode()
    def with_originals(self, preds: Tensor, target: Tensor) -> Tensor:
        """CLIP score [B] in 0–100 of two batches of pictures [B,3,H,W] in [0,1]."""
        return _score(self._images(preds), self._images(target))

    def compare(self, preds: Tensor, other: Tensor | Sequence[str]) -> Tensor:
        """CLIP score [B] in 0–100 of pictures [B,3,H,W] with captions, or with as many other pictures."""
        if isinstance(other, Tensor):
            return self.with_originals(preds, other)
        return self.with_captions(preds, other)

    def _images(self, pictures: Tensor) -> Tensor:
        pixels = [to_pixels(picture) for picture in pictures]
        prepared = self._processor.image_processor(pixels, return_tensors="pt")
        inner = self._model.vision_model(pixel_values=prepared["pixel_values"]).pooler_output
        return torch.as_tensor(self._model.visual_projection(inner))


def _score(a: Tensor, b: Tensor) -> Tensor:
    return 100 * F.cosine_similarity(a, b).clamp(min=0)
