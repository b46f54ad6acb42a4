"""Stage `decoder`: MGDD and TASCM learn together, on top of the frozen enhancer (LPIPS + L1 + DISTS).

Each batch has two kinds of samples: restored crops, whose key packets are erased at random rates, and
whole scenes whose HCI is lost, of which only the colour card, the caption and the pseudo-words are
left. Guidance is left out at random. Most samples start from pure noise, which one step must resolve;
the others from any noise level, for refinement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from semcom.metrics.dists import DISTSNetwork
from semcom.metrics.lpips import LPIPSNetwork
from semcom.models.caption_vocabulary import Vocabulary
from semcom.models.key_transform import KeyTransform
from semcom.models.pseudo_words import PseudoWordEncoder
from semcom.receiver.decoder import Guidance, MultimodalDecoder, schedule, to_diffusion
from semcom.receiver.enhancer import Enhancer
from semcom.train.enhancer import refine
from semcom.train.guided import GuidedCrops
from semcom.transmitter.features import FeatureExtractor

_NUM_WORDS = (16, 16, 16, 8, 4, 32, 64, 0)
_SCENES = 3  # of a batch of 8
_DISTS_SAMPLES = 2
_NOISIEST, _NOISIEST_SHARE = 999, 0.6
_WORDS_RATE = 0.8


class Guided(nn.Module):
    """Both ends of the pseudo-words in one trainable model.

    Args:
        vocabulary: number of caption tokens.
    """

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.words, self.decoder = PseudoWordEncoder(), MultimodalDecoder(vocabulary)


class DecoderStage:
    """See the module docstring.

    Args:
        photos, validation: training and validation photographs.
        enhancer: trained, kept frozen.
        transform: of the key latents, kept frozen.
        vocabulary: of captions.
        extractor: of the backbone's features, kept frozen.
    """

    name = "decoder"
    batch_size = 8
    learning_rate = 4e-4
    ema_decay = 0.99

    def __init__(
        self,
        photos: Sequence[Path],
        validation: Sequence[Path],
        enhancer: Enhancer,
        transform: KeyTransform,
        vocabulary: Vocabulary,
        extractor: FeatureExtractor,
    ) -> None:
        self.photos, self.validation = photos, validation
        self.vocabulary, self.extractor = vocabulary, extractor
        torch.manual_seed(0)  # of the initial weights
        self.guided = Guided(len(vocabulary)).to(memory_format=torch.channels_last)
        self.model: nn.Module = self.guided
        self.enhancer, self.transform = enhancer, transform
        self.scheduler = schedule()
        self.lpips = LPIPSNetwork().to(memory_format=torch.channels_last)
        self.dists = DISTSNetwork().to(memory_format=torch.channels_last)

    def dataset(self, seed: int) -> Dataset[dict[str, Tensor]]:
        """Coded crops and their scenes."""
        return GuidedCrops(self.photos, self.vocabulary, self.extractor, seed)

    def loss(self, batch: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        """DISTS is the dearest term, so a quarter of each batch pays for it."""
        num_words = _NUM_WORDS[int(torch.randint(len(_NUM_WORDS), ()))]
        x0, target, guidance = self.mixed(self.guided, batch, num_words)
        clean = to_diffusion(target - x0)
        level = torch.randint(_NOISIEST + 1, (len(x0),))
        level = torch.where(torch.rand(len(x0)) < _NOISIEST_SHARE, _NOISIEST, level)
        noisy = self.scheduler.add_noise(clean, torch.randn_like(clean), cast(torch.IntTensor, level))
        output = x0 + self.guided.decoder(noisy, level, x0, guidance)
        few = slice(0, _DISTS_SAMPLES)
        return {
            "lpips": self.lpips(output, target).mean(),
            "l1": (output - target).abs().mean(),
            "dists": self.dists(output[few], target[few]).mean(),
        }

    def mixed(
        self, model: Guided, batch: Mapping[str, Tensor], num_words: int
    ) -> tuple[Tensor, Tensor, Guidance]:
        """x0 and target [B,3,128,128] and the guidance: the last samples of the batch are scenes."""
        count = len(batch["target"])
        crop = (torch.arange(count) < count - _SCENES).float()
        shown = crop.view(-1, 1, 1, 1)
        with torch.no_grad():
            hci, detail, latents = refine(self.transform, {**batch, "arrived": batch["arrived"] * shown})
            restored = self.enhancer(hci, batch["quality"], detail).clamp(0, 1)
            x0 = torch.where(shown > 0, restored, batch["scene_card"])
            target = torch.where(shown > 0, batch["target"], batch["scene"])
        words = model.words.fsq(model.words(batch["features"], num_words))
        guidance = Guidance(
            hci=hci * shown,
            has_hci=crop,
            latents=latents,
            key_map=batch["key_map"],
            arrived=batch["arrived"] * shown,
            text=batch["text"],
            words=words,
            has_words=(torch.rand(count) < _WORDS_RATE).float(),
        )
        return x0, target, guidance

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """LPIPS of x0 and of one step, on 32 crops and on 32 scenes with and without guidance."""
        samples = GuidedCrops(self.validation, self.vocabulary, self.extractor, seed=1)
        assert isinstance(model, Guided)
        totals: dict[str, float] = {}
        generator = torch.Generator().manual_seed(0)
        for start in range(0, 64, 8):
            items = [samples[i] for i in range(start, start + 8)]
            batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
            for label, num_words in (("", 16), ("_unguided", 0)):
                x0, target, guidance = self.mixed(model, batch, num_words)
                guidance.has_words.fill_(1)
                if not num_words:
                    guidance.text.zero_()
                noise = torch.randn(to_diffusion(x0).shape, generator=generator)
                output = x0 + model.decoder(noise, torch.full((8,), _NOISIEST), x0, guidance)
                for kind, part in (("crop", slice(0, 8 - _SCENES)), ("scene", slice(8 - _SCENES, 8))):
                    for name, picture in (("x0", x0), ("decoder", output.clamp(0, 1))):
                        value = self.lpips(picture[part], target[part]).mean().item() / 8
                        key = f"lpips_{kind}_{name}{label}"
                        totals[key] = totals.get(key, 0.0) + value
        return totals
