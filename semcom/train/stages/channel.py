"""Stage `channel`: LoRA adapters on the frozen decoder learn what a channel does to a message.

Every sample meets a channel of its own: each stream loses its packets at a rate of its own, and the key
latents that arrive are noisy, as analog symbols are after equalisation, at an SNR of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from semcom.networks.mgdd import Guidance
from semcom.profile import Profile, write_part
from semcom.receiver import adapters
from semcom.receiver.concealment import GREY
from semcom.streams.key import PHASES
from semcom.train.data.decoder_data import BATCH
from semcom.train.stages.decoder import (
    DecoderStage,
    DecoderWithWords,
    FrozenParts,
    decoder_tensors,
    frozen_parts,
)
from semcom.train.training_run import TrainingRun, card_of, train_stage

RANK = 8
_SNR_DB = (0.0, 25.0)
_NOISELESS = 0.5  # share of samples whose latents came as bits
_LATENT_POWER = 0.5  # of key latents in busy cells, in squared quantiser steps


class ChannelStage(DecoderStage):
    """See the module docstring.

    Args:
        frozen: frozen networks and photographs.
        start: pseudo-words and decoder, kept frozen.
    """

    name = "channel"
    learning_rate = 2e-4

    def __init__(self, frozen: FrozenParts, start: Mapping[str, Tensor]) -> None:
        super().__init__(frozen)
        self.with_words.load_state_dict(start)
        self.with_words.words.requires_grad_(False)
        adapters.attach(self.with_words.decoder, RANK)

    def mixed(
        self, model: DecoderWithWords, batch: Mapping[str, Tensor], num_words: int
    ) -> tuple[Tensor, Tensor, Guidance]:
        """As `DecoderStage`, of what arrived."""
        return super().mixed(model, erased(batch), num_words)

    def refined(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """As `DecoderStage`, with noise on the latents that arrived."""
        _, _, latents = super().refined(batch)
        snr_db = torch.empty(BATCH, 1, 1, 1).uniform_(*_SNR_DB)
        power = _LATENT_POWER * 10 ** (-snr_db / 10) * (torch.rand(BATCH, 1, 1, 1) > _NOISELESS)
        noisy = latents + power.sqrt() * torch.randn_like(latents) * batch["arrived"]
        return *self.transform.refine(batch["hci"], noisy, batch["arrived"]), noisy


def erased(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The batch without the packets that were lost, each stream's at a random rate per sample."""
    count = len(batch["key_map"])

    def arrives(*packets: int) -> Tensor:
        rate = torch.rand(count, *(1 for _ in packets)) ** 2  # most channels are good ones
        return (torch.rand(count, *packets) >= rate).float()

    rows, columns = (torch.arange(side) % 2 for side in batch["key_map"].shape[-2:])
    phase = 2 * rows[:, None] + columns
    card = arrives(1, 1, 1)
    return {
        **batch,
        "arrived": batch["key_map"] * arrives(PHASES)[:, phase][:, None],
        "text": batch["text"] * arrives(1).long(),
        "has_words": batch["has_words"] * arrives(1)[:, 0],
        "scene_card": GREY + card * (batch["scene_card"] - GREY),
    }


def train(wanted: TrainingRun) -> None:
    """Trains the part `decoder_adapters`."""
    frozen = frozen_parts(wanted)
    stage = ChannelStage(frozen, decoder_tensors(Profile.open(wanted.profile)))
    trained = train_stage(stage, wanted)
    card = card_of(stage, trained, wanted, len(frozen.photos)) | {
        "started_from": "nothing; beside the frozen part `decoder`",
        "losses": "LPIPS-Alex + L1 + DISTS (2 of 8), of samples that lost packets and were sent with noise",
        "rank": RANK,
    }
    assert isinstance(trained.model, DecoderWithWords)
    write_part(wanted.profile, "decoder_adapters", {}, adapters.tensors(trained.model.decoder), card)
