"""Stage `segmenter`: `tiny` SAM's neck, prompt encoder and mask decoder learn points, boxes, coarse masks.

The ImageNet backbone stays frozen. Loss as in the paper (arXiv 2304.02643, A.3): 20·focal + dice, and a
squared error of the predicted IoU. For one point the best of three masks learns; the single-mask output
learns from every prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision.ops import sigmoid_focal_loss

from semcom.networks.efficientnet import EfficientNetLite0
from semcom.networks.sam import TinySegmenter
from semcom.profile import Profile, write_part
from semcom.train.data.segmenter_data import POINTS, MaskedPhoto, PromptedCrops, list_masked
from semcom.train.training_run import TrainingRun, card_of, train_stage

_FOCAL = 20.0
_INITIAL_SEED = 0
_VALIDATION_CROPS = 96


class SegmenterStage:
    """See the module docstring.

    Args:
        groups: training photos per data set.
        validation: the same, held out.
        backbone: frozen.
    """

    name = "segmenter"
    batch_size = 4
    learning_rate = 1e-3
    ema_decay = 0.997

    def __init__(
        self,
        groups: Sequence[Sequence[MaskedPhoto]],
        validation: Sequence[Sequence[MaskedPhoto]],
        backbone: EfficientNetLite0,
    ) -> None:
        self.groups, self.validation = groups, validation
        self.backbone = backbone.requires_grad_(False).to(memory_format=torch.channels_last)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_INITIAL_SEED)
            self.model: nn.Module = TinySegmenter()

    def dataset(self, seed: int) -> Dataset[dict[str, Tensor]]:
        """Crops with prompts."""
        return PromptedCrops(self.groups, seed)

    def loss(self, batch: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        """Mean over the prompts of a batch."""
        logits, quality = self._predict(self.model, batch)
        masks = batch["masks"]
        answers = masks[:, :, None].expand_as(logits)
        focal = sigmoid_focal_loss(logits, answers, alpha=-1).mean((-1, -2))
        dice = dice_loss(logits, answers)
        each = _FOCAL * focal + dice  # [B,P,4]
        best = each[:, :POINTS, 1:].amin(-1)
        error = (quality - iou(logits.detach(), answers)).square()
        return {
            "single": each[..., 0].mean(),
            "best_of_3": best.mean(),
            "iou": error.mean(),
        }

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """IoU at mask resolution on fixed held-out crops, per kind of prompt."""
        crops = PromptedCrops(self.validation, seed=1)
        totals: dict[str, float] = {}
        for i in range(_VALIDATION_CROPS):
            batch = {name: value[None] for name, value in crops[i].items()}
            logits, quality = self._predict(model, batch)
            found = iou(logits, batch["masks"][:, :, None].expand_as(logits))[0]
            chosen = found.gather(1, 1 + quality[0, :, 1:].argmax(-1, keepdim=True))[:, 0]
            values = {
                "iou_point": chosen[:POINTS].mean(),
                "iou_point_single": found[:POINTS, 0].mean(),
                "iou_box": found[POINTS:-1, 0].mean(),
                "iou_box_and_mask": found[-1, 0],
            }
            for name, value in values.items():
                totals[name] = totals.get(name, 0.0) + value.item() / _VALIDATION_CROPS
        return {name: round(value, 4) for name, value in totals.items()}

    def _predict(self, model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Logits [B,P,4,96,96] and predicted IoU [B,P,4]; the first output is the single mask."""
        assert isinstance(model, TinySegmenter)
        images = batch["image"].contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            features = self.backbone.features(images)
        embeddings = model.neck(features)
        position = model.prompt_encoder.get_dense_pe()
        logits, quality = [], []
        for i, embedding in enumerate(embeddings):
            for sparse, dense in _prompts(model, {name: value[i] for name, value in batch.items()}):
                found = model.mask_decoder.predict_masks(embedding[None], position, sparse, dense)
                logits.append(found[0])
                quality.append(found[1])
        shape = batch["masks"].shape[:2]
        return torch.cat(logits).unflatten(0, shape), torch.cat(quality).unflatten(0, shape)


def _prompts(model: TinySegmenter, sample: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Sparse and dense embeddings: of the points, and of the boxes, whose last has a coarse mask."""
    encode = model.prompt_encoder
    count = 2 if sample["labels"][0, 1] >= 0 else 1
    by_point = encode((sample["points"][:, :count], sample["labels"][:, :count]), None, None)
    boxes = sample["boxes"]
    plain, masked = encode(None, boxes[:-1], None), encode(None, boxes[-1:], sample["coarse"])
    return [by_point, (torch.cat((plain[0], masked[0])), torch.cat((plain[1], masked[1])))]


def dice_loss(logits: Tensor, answers: Tensor) -> Tensor:
    """1 − 2·|A∩B| / (|A|+|B|) over the last two dimensions, with probabilities for the first set."""
    probability = logits.sigmoid()
    common = (probability * answers).sum((-1, -2))
    return 1 - (2 * common + 1) / (probability.sum((-1, -2)) + answers.sum((-1, -2)) + 1)


def iou(logits: Tensor, answers: Tensor) -> Tensor:
    """|A∩B| / |A∪B| of the masks over the last two dimensions; 1 where both are empty."""
    found, truth = logits > 0, answers >= 0.5
    common = (found & truth).sum((-1, -2))
    either = (found | truth).sum((-1, -2))
    return torch.where(either > 0, common / either.clamp(min=1), 1.0)


def train(wanted: TrainingRun) -> None:
    """Trains the part `segmenter`."""
    groups = [list_masked(source) for source in wanted.data]
    validation = [list_masked(source) for source in wanted.validation]
    backbone = Profile.open(wanted.profile).build("backbone", EfficientNetLite0)
    stage = SegmenterStage(groups, validation, backbone)
    trained = train_stage(stage, wanted)
    card = card_of(stage, trained, wanted, sum(map(len, groups))) | {
        "started_from": "EfficientNet-Lite0 (Apache-2.0), the frozen part `backbone`; the rest from scratch",
        "losses": "20·focal + dice, single mask and best of three; squared error of the predicted IoU",
    }
    write_part(wanted.profile, "segmenter", {}, trained.model.state_dict(), card)
