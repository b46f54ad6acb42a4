"""What there is to find in an original, and what of it a reconstruction still shows."""

from __future__ import annotations

import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from hashlib import sha256

import torch
from torch import Tensor

from semcom.vision import Box, face_identity, iou, lite2, mtcnn, ppocr, ssd_mobilenet

OVERLAP = 0.5
_SEEN_AGAIN = 0.3  # score of an object in the reconstruction: found in the original with 0.5
_WIDEST_UNKNOWN = 24  # pixels: smaller faces have no identity
_SURE_TEXT, _SHORTEST = 0.8, 3  # of a line that counts: the recogniser's score, letters and figures
_KEPT = 8  # originals


class Original:
    """An original and what networks see in it, looked at once.

    Args:
        image: [3,H,W] in [0,1].

    Methods take a reconstruction of the same shape and give one value for each thing there is to find.
    """

    def __init__(self, image: Tensor) -> None:
        self.image = image

    @cached_property
    def objects(self) -> list[ssd_mobilenet.Found]:
        """Of SSD-MobileNet-v2, with a score of 0.5 at least."""
        return ssd_mobilenet.detect(self.image)

    @cached_property
    def faces(self) -> list[Box]:
        """Of MTCNN."""
        return mtcnn.detect(self.image)

    @cached_property
    def known_faces(self) -> list[tuple[Box, face_identity.Face]]:
        """Faces of 24 pixels' width at least."""
        boxes = [box for box in self.faces if box[2] - box[0] >= _WIDEST_UNKNOWN]
        return [(box, face_identity.look(self.image, box)) for box in boxes]

    @cached_property
    def lines(self) -> list[ppocr.Line]:
        """Of text that the recogniser is sure of, three letters or figures at least."""
        lines = ppocr.read(self.image)
        return [line for line in lines if line.score >= _SURE_TEXT and len(plain(line.text)) >= _SHORTEST]

    @cached_property
    def label(self) -> int:
        """ImageNet's class, by EfficientNet-Lite2."""
        return int(lite2.probabilities(self.image[None]).argmax())

    def objects_found(self, picture: Tensor) -> list[float]:
        """1 for each object that is found again: its class, IoU ≥ 0.5."""
        if not self.objects:
            return []
        seen = ssd_mobilenet.detect(picture, _SEEN_AGAIN)
        wanted = [(thing.name, thing.box) for thing in self.objects]
        return _matched(wanted, [(thing.name, thing.box) for thing in seen])

    def faces_found(self, picture: Tensor) -> list[float]:
        """1 for each face that is found again."""
        if not self.faces:
            return []
        return _matched([("", box) for box in self.faces], [("", box) for box in mtcnn.detect(picture)])

    def identity_distance(self, picture: Tensor) -> list[float]:
        """Of each face that is large enough, in the original's box."""
        return [known.distance(face_identity.look(picture, box)) for box, known in self.known_faces]

    def landmark_error(self, picture: Tensor) -> list[float]:
        """Of the same faces, in distances between the eyes."""
        return [known.landmark_error(face_identity.look(picture, box)) for box, known in self.known_faces]

    def text_error(self, picture: Tensor) -> list[float]:
        """Character error rate of each line, 0 to 1, in the original's box."""
        return [
            character_error_rate(plain(ppocr.read_box(picture, line.box)[0]), plain(line.text))
            for line in self.lines
        ]

    def text_found(self, picture: Tensor) -> list[float]:
        """1 for each line that is read without error."""
        return [float(error == 0) for error in self.text_error(picture)]

    def same_person(self, picture: Tensor) -> list[float]:
        """1 for each face that is nearer than 0.6."""
        return [float(d < face_identity.SAME_PERSON) for d in self.identity_distance(picture)]

    def top1(self, picture: Tensor) -> list[float]:
        """1 where the original's class is the reconstruction's."""
        return self._top(picture, 1)

    def top5(self, picture: Tensor) -> list[float]:
        """1 where the original's class is among the reconstruction's first five."""
        return self._top(picture, 5)

    def _top(self, picture: Tensor, k: int) -> list[float]:
        return [float(self.label in lite2.probabilities(picture[None])[0].topk(k).indices)]


_originals: OrderedDict[bytes, Original] = OrderedDict()


def original(image: Tensor) -> Original:
    """The last originals are remembered, so that several metrics and systems look at each once."""
    key = sha256(image.contiguous().numpy().tobytes()).digest()
    found = _originals.pop(key, None) or Original(image)
    _originals[key] = found
    if len(_originals) > _KEPT:
        _originals.popitem(last=False)
    return found


def mean_of(method: Callable[[Original, Tensor], Sequence[float]]) -> Callable[[Tensor, Tensor], Tensor]:
    """A metric of batches [B,3,H,W]: the mean over what there is to find; NaN where there is nothing."""
    return partial(_mean, method)


def _mean(method: Callable[[Original, Tensor], Sequence[float]], preds: Tensor, target: Tensor) -> Tensor:
    values = [
        method(original(truth.cpu()), picture.cpu()) for picture, truth in zip(preds, target, strict=True)
    ]
    return torch.tensor(
        [sum(each) / len(each) if each else float("nan") for each in values], dtype=preds.dtype
    )


def plain(text: str) -> str:
    """Letters and figures only, without case and accents."""
    split = unicodedata.normalize("NFKD", text.lower())
    return "".join(letter for letter in split if letter.isalnum())


def character_error_rate(read: str, truth: str) -> float:
    """Edits (Levenshtein) from what is read to the truth, by the truth's length, at most 1."""
    row = list(range(len(truth) + 1))
    for i, letter in enumerate(read, 1):
        above, row[0] = row[0], i
        for j, wanted in enumerate(truth, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (letter != wanted))
    return min(row[-1] / max(len(truth), 1), 1.0)


def _matched(wanted: Sequence[tuple[str, Box]], seen: Sequence[tuple[str, Box]]) -> list[float]:
    """1 for each that has a partner of the same name; the best pairs first, nobody has two."""
    pairs = sorted(
        (
            (iou(a, b), i, j)
            for i, (name, a) in enumerate(wanted)
            for j, (other, b) in enumerate(seen)
            if name == other
        ),
        reverse=True,
    )
    found, taken = [0.0] * len(wanted), set()
    for overlap, i, j in pairs:
        if overlap >= OVERLAP and not found[i] and j not in taken:
            found[i] = 1.0
            taken.add(j)
    return found
