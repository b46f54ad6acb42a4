"""Integer tables that the streams are coded with: the profile's part `stream_tables`.

Learned from photographs by the stages `card`, `mask` and `texture`. Part of the wire format: both ends need
the same, another profile may have others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

PART = "stream_tables"
Frequencies = list[list[int]]


@dataclass(frozen=True)
class StreamTables:
    """Learned tables of three streams.

    Attributes:
        card_luma, card_chroma: frequencies of level differences, each summing to 2**12.
        mask: (zeros, ones) in each of the 1024 contexts of a cell, in sixteenths of a cell.
        texture: [contexts,symbols] frequencies of surprises, each context summing to 2**12.
    """

    card_luma: list[int]
    card_chroma: list[int]
    mask: Frequencies
    texture: Frequencies

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> StreamTables:
        """Inverse of `tensors`."""
        return cls(**{name: tensors[name].tolist() for name in cls.__dataclass_fields__})

    def tensors(self) -> dict[str, Tensor]:
        """What the profile stores."""
        return {
            name: torch.tensor(getattr(self, name), dtype=torch.int32) for name in self.__dataclass_fields__
        }

    @cached_property
    def card_edges(self) -> tuple[list[int], list[int]]:
        """Cumulative frequencies of luma and of chroma differences."""
        return _edges(self.card_luma), _edges(self.card_chroma)

    @cached_property
    def texture_edges(self) -> Frequencies:
        """Cumulative frequencies per context."""
        return [_edges(table) for table in self.texture]


def _edges(frequencies: list[int]) -> list[int]:
    edges = [0]
    for frequency in frequencies:
        edges.append(edges[-1] + frequency)
    return edges
