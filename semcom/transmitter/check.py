"""The sender checks its own message: does the receiver's picture still show the faces, words and the class?

Faces by MTCNN, text by PP-OCR where the extra `tasks` is installed, the class by the profile's backbone. What
cannot be checked is said, not passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from semcom.metrics.tasks.original import Original, plain
from semcom.picture.class_names import class_names
from semcom.pretrained import PretrainedError
from semcom.vision import Box, MissingExtraError, ppocr


@dataclass(frozen=True)
class Thing:
    """Something that should be there again: `face` or `text`, its box in pixels, and what a text says."""

    kind: str
    box: Box
    text: str = ""


class Check:
    """Of one picture.

    Args:
        image: the original [3,H,W] in [0,1].
        label: ImageNet's class of such a picture.
    """

    def __init__(self, image: Tensor, label: Callable[[Tensor], int]) -> None:
        self._truth, self._label = Original(image), label
        self.things: list[Thing] = []
        self._unchecked: list[str] = []
        kinds: dict[str, Callable[[], list[Thing]]] = {"face": self._faces, "text": self._lines}
        for kind, look in kinds.items():
            try:
                self.things += look()
            except (PretrainedError, MissingExtraError) as error:
                self._unchecked.append(f"{kind}: not checked, {error}")
        self._class = label(image)

    def lost(self, picture: Tensor) -> list[Thing]:
        """What is not found again in a reconstruction: faces by IoU ≥ 0.5, text read otherwise."""
        faces = [thing for thing in self.things if thing.kind == "face"]
        found = self._truth.faces_found(picture) if faces else []
        missing = [face for face, there in zip(faces, found, strict=True) if not there]
        return missing + [
            thing
            for thing in self.things
            if thing.kind == "text" and _read(picture, thing) != plain(thing.text)
        ]

    def notes(self, picture: Tensor) -> tuple[str, ...]:
        """What was checked and what is lost, in sentences."""
        lost = self.lost(picture)
        said = []
        for kind, name in (("face", "faces"), ("text", "lines of text")):
            of_kind = [thing for thing in self.things if thing.kind == kind]
            missing = [thing for thing in lost if thing.kind == kind]
            if of_kind:
                said.append(f"{len(of_kind) - len(missing)} of {len(of_kind)} {name} found again")
        said += [f"{thing.text!r} is not read right" for thing in lost if thing.kind == "text"]
        names, now = class_names(), self._label(picture)
        if now == self._class:
            said.append(f"class still {names[now]!r}")
        else:
            said.append(f"class {names[self._class]!r} is now {names[now]!r}")
        return (f"checked by the sender, where everything arrives: {', '.join(said)}", *self._unchecked)

    def _faces(self) -> list[Thing]:
        return [Thing("face", box) for box in self._truth.faces]

    def _lines(self) -> list[Thing]:
        return [Thing("text", line.box, line.text) for line in self._truth.lines]


def cells_of(things: list[Thing], height: int, width: int, cell: int) -> Tensor:
    """Key map [⌈H/cell⌉,⌈W/cell⌉] of every cell that a thing, with a margin of half a cell, touches."""
    cells = torch.zeros(-(-height // cell), -(-width // cell), dtype=torch.bool)
    for x0, y0, x1, y1 in (thing.box for thing in things):
        first_row, first_column = (max(int((low - cell / 2) // cell), 0) for low in (y0, x0))
        last_row, last_column = (int((high + cell / 2) // cell) for high in (y1, x1))
        cells[first_row : last_row + 1, first_column : last_column + 1] = True
    return cells


def _read(picture: Tensor, thing: Thing) -> str:
    return plain(ppocr.read_box(picture, thing.box)[0])
