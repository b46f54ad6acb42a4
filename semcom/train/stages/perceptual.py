"""Stage `perceptual`: goes on from a trained decoder, with DISTS for every crop and a projected adversary.

Crops and scenes want different things. A crop has an x0 that is nearly right: LPIPS, DISTS, little adversary.
A scene starts from a colour card, and with LPIPS or DISTS the decoder answers every card with the same
pattern, which they like: L1, most of it at 1/8 of the size, says which colours belong where, and the
adversary alone asks for texture. Its weight grows once its heads can judge.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcom.networks.efficientnet import EfficientNetLite0
from semcom.profile import Profile
from semcom.train.adversary import Adversary, ProjectedHeads, strength
from semcom.train.data.crops import CROP
from semcom.train.data.decoder_data import SCENES
from semcom.train.stages.decoder import (
    CROPS,
    DecoderStage,
    DecoderWithWords,
    FrozenParts,
    decoder_tensors,
    frozen_parts,
    write_decoder,
)
from semcom.train.training_run import TrainingRun, card_of, train_stage

_WINDOW = CROP // 2  # DISTS of a random quarter of every crop costs as much as of a quarter of the crops
_REDUCTION = 8
_L1, _COLOURS, _ADVERSARY = (0.5, 1.0), (0.0, 4.0), (0.02, 0.2)  # weights of (a crop, a scene)


class DecoderWithHeads(nn.Module):
    """Decoder and adversary's heads: one optimiser, one checkpoint.

    Args:
        with_words: trained by the stage `decoder`.
    """

    def __init__(self, with_words: DecoderWithWords) -> None:
        super().__init__()
        self.with_words, self.heads = with_words, ProjectedHeads()


class PerceptualStage(DecoderStage):
    """See the module docstring.

    Args:
        frozen: frozen networks and photographs.
        start: pseudo-words and decoder to go on from.
        backbone: the adversary's, kept frozen.
    """

    name = "perceptual"
    learning_rate = 3e-4

    def __init__(
        self,
        frozen: FrozenParts,
        start: Mapping[str, Tensor],
        backbone: EfficientNetLite0,
    ) -> None:
        super().__init__(frozen)
        self.with_words.load_state_dict(start)
        rivals = DecoderWithHeads(self.with_words)
        self.model = rivals
        self.adversary = Adversary(backbone, rivals.heads)

    def loss(self, batch: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        """Terms per sample, weighted by its kind."""
        output, target, x0 = self.reconstruct(self.with_words, batch)
        y, x = (int(torch.randint(CROP - _WINDOW + 1, ())) for _ in range(2))
        window = (slice(0, CROPS), slice(None), slice(y, y + _WINDOW), slice(x, x + _WINDOW))
        error = output - target
        maker, heads = self.adversary.losses(output, target, x0)
        return {
            "lpips": self.lpips(output[:CROPS], target[:CROPS]).mean(),
            "l1": _weighted(error.abs().mean((1, 2, 3)), _L1),
            "colours": _weighted(F.avg_pool2d(error, _REDUCTION).abs().mean((1, 2, 3)), _COLOURS),
            "dists": self.dists(output[window], target[window]).mean(),
            "adversary": strength(progress) * _weighted(maker, _ADVERSARY),
            "heads": heads,
        }

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """As `DecoderStage`."""
        assert isinstance(model, DecoderWithHeads)
        return super().evaluate(model.with_words)


def _weighted(values: Tensor, weights: tuple[float, float]) -> Tensor:
    """Mean of [B] values, crops weighted by the first weight and scenes by the second."""
    crops, scenes = values.split((CROPS, SCENES))
    return torch.cat((weights[0] * crops, weights[1] * scenes)).mean()


def train(wanted: TrainingRun) -> None:
    """Trains the parts `decoder` and `pseudo_words` further."""
    frozen, profile = frozen_parts(wanted), Profile.open(wanted.profile)
    earlier = profile.card("decoder")
    backbone = profile.build("backbone", EfficientNetLite0)
    stage = PerceptualStage(frozen, decoder_tensors(profile), backbone)
    trained = train_stage(stage, wanted)
    card = card_of(stage, trained, wanted, len(frozen.photos)) | {
        "losses": "crops: LPIPS-Alex, L1, DISTS; scenes: L1, L1 at 1/8; all: projected adversary",
        "earlier_run": earlier,
    }
    assert isinstance(trained.model, DecoderWithHeads)
    write_decoder(wanted, trained.model.with_words, card)
