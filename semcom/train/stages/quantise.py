"""Second half of stage `quantise`: adapters on NF4 networks learn to do what the exact ones do.

The adapters start from what rounding lost of each weight; then both networks together, enhancer and decoder,
are taught by the exact ones on the decoder's own samples. Weights are held as the float32 values that NF4
stands for, so that what is trained is what runs.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from semcom.networks.enhancer import Enhancer
from semcom.networks.key_transform import KeyTransform
from semcom.networks.mgdd import MultimodalDecoder, to_diffusion
from semcom.profile import Profile, write_part
from semcom.provenance import provenance
from semcom.receiver import adapters
from semcom.receiver.int8 import observe
from semcom.receiver.quantization import round_to_nf4
from semcom.train.data.crops import KeyCrops, list_photos
from semcom.train.data.decoder_data import BATCH
from semcom.train.stages.decoder import (
    CROPS,
    NOISIEST,
    DecoderStage,
    FrozenParts,
    decoder_tensors,
    frozen_parts,
)
from semcom.train.stages.enhancer import refine, texture_planes
from semcom.train.training_run import DATA_TERMS, TrainingRun, card_of, train_stage

Network = TypeVar("Network", bound=nn.Module)
_ENHANCER_RANK, _DECODER_RANK = 4, 8
_WORDS = 16
_L1 = 10.0
_VALIDATION_BATCHES = 4


class Adapted(nn.Module):
    """Both networks, rounded, with adapters.

    Args:
        enhancer, decoder: exact; copied.
    """

    def __init__(self, enhancer: Enhancer, decoder: MultimodalDecoder) -> None:
        super().__init__()
        self.enhancer = _adapted(enhancer, _ENHANCER_RANK, nn.Conv2d)
        self.decoder = _adapted(decoder, _DECODER_RANK, nn.Conv2d, nn.Linear)


class Nf4AdapterStage(DecoderStage):
    """See the module docstring.

    Args:
        frozen: frozen networks and photographs; the enhancer in float32.
        start: pseudo-words and decoder.
        channel: adapters of the stage `channel`, if there are any; the exact decoder has them merged.
    """

    name = "quantise"
    learning_rate = 1e-4
    ema_decay = 0.95

    def __init__(
        self,
        frozen: FrozenParts,
        start: Mapping[str, Tensor],
        channel: Mapping[str, Tensor] | None,
    ) -> None:
        super().__init__(frozen)
        self.with_words.load_state_dict(start)
        if channel is not None:
            adapters.load(self.with_words.decoder, channel)
        self.with_words.requires_grad_(False)
        self.model = Adapted(frozen.enhancer, self.with_words.decoder)

    def loss(self, batch: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        """Distance from the exact networks' picture."""
        assert isinstance(self.model, Adapted)
        output, exact = self._both(self.model, batch)
        return {"l1": _L1 * (output - exact).abs().mean(), "lpips": self.lpips(output, exact).mean()}

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Mean distances from the exact networks' pictures, with and without adapters."""
        assert isinstance(model, Adapted)
        totals: dict[str, float] = {}
        for number, batch in enumerate(self.validation_batches(_VALIDATION_BATCHES)):
            for suffix, adapted in (("", True), ("_without_adapters", False)):
                for layer in adapters.layers(model).values():
                    layer.enable_adapters(adapted)
                torch.manual_seed(number)
                output, exact = self._both(model, batch)
                distances = {"l1": (output - exact).abs().mean(), "lpips": self.lpips(output, exact).mean()}
                for name, value in distances.items():
                    key = f"{name}_from_exact{suffix}"
                    totals[key] = totals.get(key, 0.0) + value.item() / _VALIDATION_BATCHES
        return totals

    def _both(self, model: Adapted, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The rounded networks' pictures and the exact ones', of one step from the same noise."""
        with torch.no_grad():
            x0, _, guidance = self.mixed(self.with_words, batch, _WORDS)
            noise, level = torch.randn_like(to_diffusion(x0)), torch.full((BATCH,), NOISIEST)
            exact = x0 + self.with_words.decoder(noise, level, x0, guidance)
            hci, detail, _ = self.refined({**batch, "arrived": guidance.arrived})
            fine = texture_planes(batch)
        quality = batch["quality"][:CROPS]
        restored = model.enhancer(hci[:CROPS], quality, detail[:CROPS], fine[:CROPS])
        begun = torch.cat((restored, x0[CROPS:]))
        return begun + model.decoder(noise, level, begun, guidance), exact


def _adapted(network: Network, rank: int, *kinds: type[nn.Conv2d | nn.Linear]) -> Network:
    """A rounded copy, its adapters set to what rounding lost."""
    rounded = copy.deepcopy(network)
    round_to_nf4(rounded, *kinds)
    adapters.attach(rounded, rank)
    adapters.start_from_error(rounded, network.state_dict())
    return rounded


_CALIBRATION_CROPS = 48


def train(wanted: TrainingRun) -> None:
    """Ranges for int8, then adapters for NF4."""
    _observe_ranges(wanted)
    _recover(wanted)


def _recover(wanted: TrainingRun) -> None:
    profile = Profile.open(wanted.profile)
    frozen = replace(frozen_parts(wanted), enhancer=profile.build("enhancer", Enhancer))
    channel = profile.tensors("decoder_adapters") if "decoder_adapters" in profile else None
    stage = Nf4AdapterStage(frozen, decoder_tensors(profile), channel)
    trained = train_stage(stage, wanted)
    card = card_of(stage, trained, wanted, len(frozen.photos)) | {
        "started_from": "singular vectors of what NF4 loses of the weights",
        "losses": "10·L1 + LPIPS-Alex to the exact networks' pictures",
    }
    assert isinstance(trained.model, Adapted)
    write_part(wanted.profile, "enhancer_adapters_nf4", {}, adapters.tensors(trained.model.enhancer), card)
    write_part(wanted.profile, "decoder_adapters_nf4", {}, adapters.tensors(trained.model.decoder), card)


def _observe_ranges(wanted: TrainingRun) -> None:
    profile, photos = Profile.open(wanted.profile), list_photos(wanted.data)
    crops = KeyCrops(photos, wanted.seed)
    transform, inputs = profile.build("key_transform", KeyTransform), []
    for i in range(_CALIBRATION_CROPS):
        sample = default_collate([crops[i]])
        hci, detail, _ = refine(transform, sample)
        inputs.append((hci, sample["quality"], detail, texture_planes(sample)))
    ranges = observe(profile.build("enhancer", Enhancer), inputs)
    card = {
        "stage": "quantise",
        "data": list(wanted.data),
        "data_terms": DATA_TERMS,
        "crops": _CALIBRATION_CROPS,
        "seed": wanted.seed,
    } | provenance()
    write_part(wanted.profile, "enhancer_ranges", {}, ranges, card)
