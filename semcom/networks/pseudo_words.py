"""TASCM, the task-aware self-attention compressor (MTGC, arXiv 2512.06344): a picture as pseudo-words.

    backbone features, 8×8 cells ─┐
    learned queries ──────────────┴─► self-attention × 2 ─► queries ─► FSQ ─► 14 bits a word

Trained through the decoder's loss alone, so that the words carry what the decoder misses. Queries are
ordered: training keeps random prefixes, so that any number of words is a legal message.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semcom.limits import MAX_WORDS
from semcom.networks.efficientnet import FEATURE_CHANNELS
from semcom.streams.coding.fsq import FSQ, LEVELS

GRID = 8


class PseudoWordEncoder(nn.Module):
    """Transmitter's half.

    Args:
        width: of the tokens.
        num_layers: self-attention layers.
    """

    def __init__(self, width: int = 128, num_layers: int = 2) -> None:
        super().__init__()
        self.project = nn.Linear(FEATURE_CHANNELS[-1], width)
        self.queries = nn.Parameter(torch.randn(MAX_WORDS, width) / 8)
        self.places = nn.Parameter(torch.randn(GRID * GRID, width) / 8)
        layer = nn.TransformerEncoderLayer(
            width, nhead=4, dim_feedforward=2 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.attention = nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)
        self.to_word = nn.Linear(width, len(LEVELS))
        self.fsq = FSQ()

    def forward(self, features: Tensor, num_words: int) -> Tensor:
        """Continuous words.

        Args:
            features: [B,320,8,8] of the backbone at stride 32, averaged to the grid.
            num_words: 0 to 64.

        Returns:
            [B,num_words,5], to be quantised by `FSQ`.
        """
        cells = self.project(features.flatten(2).transpose(1, 2)) + self.places
        queries = self.queries[:num_words].expand(len(cells), -1, -1)
        mixed = self.attention(torch.cat((queries, cells), 1))
        words: Tensor = self.to_word(mixed[:, :num_words])
        return words


class PseudoWordReader(nn.Module):
    """Receiver's half: quantised words [B,N,5] → tokens [B,N,width].

    Args:
        width: of the decoder's guidance tokens.
    """

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(len(LEVELS), width), nn.SiLU(), nn.Linear(width, width))
        self.places = nn.Parameter(torch.randn(MAX_WORDS, width) / 8)

    def forward(self, words: Tensor) -> Tensor:
        """[B,N,5] values in [-1,1] → [B,N,width]."""
        tokens: Tensor = self.embed(words) + self.places[: words.shape[1]]
        return tokens
