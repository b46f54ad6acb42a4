"""Captioner: a GPT-2 decoder of `transformers` that looks at the backbone's feature map by cross-attention.

    shared features, 7×7 cells ─► 1280 channels ─► 49 + 1 (their mean) vectors ─► words, one by one

A cell that is not visible is neither looked at nor part of the mean: that is how a caption describes the
background alone.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from semcom.networks.efficientnet import EfficientNetLite0
from semcom.vocabulary import END

GRID = 7
CELL_FEATURES = 1280
MAX_TOKENS = 20
_HEADS = 4
_NO_REPEAT = 2  # no two tokens twice: "a red shirt and a red shirt"; CIDEr on validation +0.013
_SEARCH = {"length_penalty": 0.7, "early_stopping": True}  # shorter captions: CIDEr +0.005, fewer steps
_TIED = "decoder.lm_head.weight"


class Captioner(nn.Module):
    """Feature map to words.

    Args:
        vocabulary_size: tokens.
        width: of the decoder, a multiple of 4.
        layers: of the decoder.
        dropout: while training.
    """

    def __init__(self, vocabulary_size: int, width: int = 256, layers: int = 3, dropout: float = 0.0) -> None:
        super().__init__()
        self.adapt = nn.Sequential(nn.Linear(CELL_FEATURES, width), nn.LayerNorm(width), nn.Dropout(dropout))
        self.place = nn.Parameter(torch.zeros(GRID * GRID + 1, width))
        config = GPT2Config(
            vocab_size=vocabulary_size,
            n_positions=MAX_TOKENS + 1,
            n_embd=width,
            n_layer=layers,
            n_head=_HEADS,
            add_cross_attention=True,
            activation_function="gelu_pytorch_tanh",  # GPT-2's own in one kernel
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=0.0,
            bos_token_id=END,
            eos_token_id=END,
        )
        self.decoder = GPT2LMHeadModel(config)
        self.register_load_state_dict_pre_hook(_tie)

    def weights(self) -> dict[str, Tensor]:
        """The state without the output layer, which is the embedding."""
        return {name: value for name, value in self.state_dict().items() if name != _TIED}

    def look(self, cells: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """What the decoder attends to.

        Args:
            cells: [B,49,1280] features.
            visible: [B,49] bool, at least one a picture.

        Returns:
            Vectors [B,50,width], and which of them may be looked at [B,50] bool.
        """
        weights = visible[..., None].to(cells.dtype)
        mean = (cells * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True)
        vectors = self.adapt(torch.cat([mean, cells], 1)) + self.place
        return vectors, torch.cat([torch.ones_like(visible[:, :1]), visible], 1)

    def forward(self, tokens: Tensor, vectors: Tensor, attended: Tensor) -> Tensor:
        """Logits [B,N,T,vocabulary] of the token after each of `tokens` [B,N,T], N captions of a picture.

        The captions lie side by side in one sequence and do not see each other, so that what they read of
        the picture is computed once.
        """
        captions, length = tokens.shape[1:]
        causal = torch.ones(length, length).tril()
        unseen = torch.where(torch.block_diag(*[causal] * captions) > 0, 0.0, -torch.inf)
        logits = self.decoder(
            tokens.flatten(1),
            attention_mask=unseen.expand(len(tokens), 1, -1, -1),
            position_ids=torch.arange(length).repeat(captions)[None],
            encoder_hidden_states=vectors,
            encoder_attention_mask=attended.long(),
            use_cache=False,
        ).logits
        return logits.unflatten(1, (captions, length))

    def write(self, cells: Tensor, visible: Tensor, beams: int = 3) -> list[list[int]]:
        """Token ids per picture, END left out: beam search, greedy with one beam.

        No two neighbouring tokens come a second time.
        """
        return [ranked[0] for ranked in self.candidates(cells, visible, beams, 1)]

    @torch.no_grad()
    def candidates(self, cells: Tensor, visible: Tensor, beams: int, count: int) -> list[list[list[int]]]:
        """The `count` best captions per picture of a search as `write` makes it, the best first."""
        vectors, attended = self.look(cells, visible)
        start = torch.full((len(cells), 1), END, dtype=torch.long)
        written = cast(Any, self.decoder).generate(  # a mixin whose annotations hide it
            start,
            attention_mask=torch.ones_like(start),
            encoder_hidden_states=vectors,
            encoder_attention_mask=attended.long(),
            num_beams=beams,
            num_return_sequences=count,
            **(_SEARCH if beams > 1 else {}),
            no_repeat_ngram_size=_NO_REPEAT,
            do_sample=False,
            pad_token_id=END,
            max_new_tokens=MAX_TOKENS,
        )
        rows = [[token for token in row if token != END] for row in written.tolist()]
        return [rows[first : first + count] for first in range(0, len(rows), count)]


def cell_features(backbone: EfficientNetLite0, stride32: Tensor) -> Tensor:
    """[B,49,1280] of the backbone's stride-32 features [B,320,7,7]: what its classifier averages."""
    return F.relu6(backbone.head(stride32)).flatten(2).transpose(1, 2)


def _tie(model: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    state.setdefault(prefix + _TIED, state[f"{prefix}decoder.transformer.wte.weight"])
