"""Caption similarity: CIDEr (arXiv 1411.5726) of received captions against those sent, or people's.

CIDEr weighs n-grams by how rare they are among the references of all pictures, so it is a property of a set
of pictures: a set of one has none. The library is `pycocoevalcap`, as the captioning literature uses it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_WORD = re.compile(r"[a-z0-9']+")


def caption_similarity(preds: Sequence[str], target: Sequence[Sequence[str]]) -> Tensor:
    """CIDEr per caption.

    Args:
        preds: captions, "" for one that was lost.
        target: reference captions of each picture, at least one.

    Returns:
        [B] float64, from 0 to 10; higher is better. Upper and lower case and punctuation play no part.

    Raises:
        ValueError: fewer than two pictures, numbers that differ, or a picture without reference.
    """
    from pycocoevalcap.cider.cider import Cider

    if len(preds) != len(target) or len(preds) < 2 or not all(target):
        raise ValueError(
            "caption similarity needs two pictures or more and a reference for each, not "
            f"{len(preds)} captions and {len(target)} lists of references"
        )
    results = {i: [_words(caption)] for i, caption in enumerate(preds)}
    truths = {i: [_words(caption) for caption in references] for i, references in enumerate(target)}
    _, scores = Cider().compute_score(truths, results)
    return torch.from_numpy(np.asarray(scores, np.float64))


def _words(caption: str) -> str:
    return " ".join(_WORD.findall(caption.lower()))
