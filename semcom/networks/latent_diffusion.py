"""A published latent-diffusion model as the receiver's generator (arXiv 2112.10752): works as it comes.

    first picture ─► VAE ─► latents ─(+ noise, as much as is missing)─► UNet ×1…n ─► VAE ─► picture
    caption ─► CLIP ─┐                                      ▲   ▲
    pseudo-words ────┴─ cross-attention ────────────────────┘   └── ControlNet ◄─ first picture, what arrived

Image to image (SDEdit, arXiv 2108.01073): the less of the picture arrived, the more noise it starts from.
Where key latents arrived, the start is trusted. ControlNet, the reader of the pseudo-words and LoRA adapters
take part where the profile has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcom.networks.pseudo_words import PseudoWordReader
from semcom.picture.grid import CELL
from semcom.picture.tiles import Span, blend

_TILE, _OVERLAP = 96, 16  # latents: 768 pixels, the largest that SD 2.1 was trained at
_FINEST_QUALITY = 63
_LAST_LEVEL = 999


@dataclass(frozen=True)
class Known:
    """What arrived of a picture.

    Attributes:
        start: [1,3,H,W] in [0,1], the first picture; H and W whole key cells.
        arrived: [1,1,H/16,W/16] 1 where key latents arrived.
        text: the caption.
        words: [1,N,5] quantised pseudo-words, N = 0 where none arrived.
        quality: of the HCI, 0–63; None where it was lost.
        reduction: of the HCI's size.
    """

    start: Tensor
    arrived: Tensor
    text: str | None
    words: Tensor
    quality: int | None
    reduction: int


@dataclass(frozen=True)
class Sampling:
    """How pictures are made; see `semcom.latent.spec.LatentSpec`.

    Attributes:
        prediction: `epsilon`, `v_prediction` or `sample`.
        levels: the only time steps that the UNet knows; any where empty.
        steps: where no other number is wished.
        guidance_scale: 1 is none.
        negative_prompt: for the guidance.
        finest, coarsest, blind: noise to start from, as a share of the schedule.
        trust: share of the start that stays where key latents arrived.
        from_hci: whether the start is the HCI scaled up, not the enhancer's picture.
    """

    prediction: str
    levels: Sequence[int] = ()
    steps: int = 1
    guidance_scale: float = 1.0
    negative_prompt: str = ""
    finest: float = 0.15
    coarsest: float = 0.5
    blind: float = 1.0
    trust: float = 0.5
    from_hci: bool = False

    def strength(self, quality: int | None, reduction: int) -> float:
        """How much of the schedule is left to the generator: all of it where no HCI arrived."""
        if quality is None:
            return self.blind
        share = quality / _FINEST_QUALITY if reduction == 1 else 0.0
        return self.coarsest + share * (self.finest - self.coarsest)

    def schedule(self, strength: float, steps: int) -> list[int]:
        """Time steps from the noisiest down; fewer than wished where the UNet knows no more."""
        first = max(1, round(strength * _LAST_LEVEL))
        if not self.levels:
            return [round(first * (steps - i) / steps) for i in range(steps)]
        nearest = min(self.levels, key=lambda level: abs(level - first))
        below = sorted((level for level in self.levels if level <= nearest), reverse=True)
        count = min(steps, len(below))
        return [below[i * len(below) // count] for i in range(count)]


class LatentGenerator(nn.Module):
    """See the module docstring.

    Args:
        unet: a `UNet2DConditionModel`.
        vae: an `AutoencoderKL`.
        text_encoder: a `CLIPTextModel`.
        tokenizer: a `CLIPTokenizer`.
        alphas: [1000] products of the schedule's alphas.
        sampling: see `Sampling`.
        controlnet: a `ControlNetModel`.
        reader: of pseudo-words, at the width of the cross-attention.
    """

    alphas: Tensor

    def __init__(
        self,
        unet: Any,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        alphas: Tensor,
        sampling: Sampling,
        controlnet: Any = None,
        reader: PseudoWordReader | None = None,
    ) -> None:
        super().__init__()
        self.unet, self.vae, self.text_encoder, self.tokenizer = unet, vae, text_encoder, tokenizer
        self.controlnet, self.reader, self.sampling = controlnet, reader, sampling
        self.register_buffer("alphas", alphas.float(), persistent=False)
        self.scale = 2 ** (len(vae.config.block_out_channels) - 1)
        self._stride = self.scale * 2 ** (len(unet.config.block_out_channels) - 1)

    @property
    def device(self) -> torch.device:
        """That latents are on."""
        return self.alphas.device

    @torch.inference_mode()
    def generate(self, known: Known, steps: int, seed: int) -> Tensor:
        """A picture of any size.

        Args:
            known: what arrived.
            steps: of the generator; 1 is the profile's own number.
            seed: of the noise.

        Returns:
            [1,3,H,W] float32 in [0,1], on the CPU.
        """
        height, width = known.start.shape[-2:]
        below, right = -height % self._stride, -width % self._stride
        picture = F.pad(known.start, (0, right, 0, below), mode="replicate").to(self.device)
        cells = F.interpolate(known.arrived.float(), scale_factor=float(CELL))
        arrived = F.pad(cells, (0, right, 0, below)).to(self.device)
        tokens = self.tokens([known.text or ""], known.words)
        start, condition = self.encode(picture), self.condition(picture, arrived)
        noise = torch.randn(start.shape, generator=torch.Generator().manual_seed(seed)).to(start)
        strength = self.sampling.strength(known.quality, known.reduction)
        levels = self.sampling.schedule(strength, steps if steps > 1 else self.sampling.steps)

        def tile(rows: Span, columns: Span) -> Tensor:
            def cut(x: Tensor, scale: int) -> Tensor:
                inside = [slice(scale * first, scale * last) for first, last in (rows, columns)]
                return x[..., inside[0], inside[1]]

            seen = None if condition is None else cut(condition, self.scale)
            return self._denoised(self.noised(cut(start, 1), cut(noise, 1), levels[0]), levels, tokens, seen)

        made = blend(start, _TILE, _OVERLAP, tile)
        kept = self.sampling.trust * F.avg_pool2d(arrived, self.scale)
        return self.decode(torch.lerp(made, start, kept))[..., :height, :width].cpu()

    def tokens(self, texts: Sequence[str], words: Tensor) -> Tensor:
        """[B,T+N,width] of captions and pseudo-words [B,N,5]; without a reader the words say nothing."""
        ids = self.tokenizer(
            list(texts),
            padding="max_length",
            truncation=True,
            max_length=self.text_encoder.config.max_position_embeddings,
            return_tensors="pt",
        ).input_ids
        text: Tensor = self.text_encoder(input_ids=ids.to(self.device)).last_hidden_state
        if self.reader is None or words.shape[1] == 0:
            return text
        embedded = self.reader(words.to(self.device, next(self.reader.parameters()).dtype))
        return torch.cat((text, embedded.to(text.dtype)), 1)

    def encode(self, picture: Tensor) -> Tensor:
        """Pictures [B,3,H,W] in [0,1] → latents of about unit strength, the likeliest ones."""
        latents: Tensor = self.vae.encode(2 * picture.to(self.vae.dtype) - 1).latent_dist.mode()
        return latents.float() * self.vae.config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        """Inverse of `encode`, clipped."""
        picture: Tensor = self.vae.decode(
            (latents / self.vae.config.scaling_factor).to(self.vae.dtype)
        ).sample
        return (picture.float() / 2 + 0.5).clamp(0, 1)

    def condition(self, picture: Tensor, arrived: Tensor) -> Tensor | None:
        """What the ControlNet looks at, in pixels; None where there is none."""
        if self.controlnet is None:
            return None
        return torch.cat((picture, arrived), 1)[:, : self.controlnet.config.conditioning_channels]

    def noised(self, latents: Tensor, noise: Tensor, level: int | Tensor) -> Tensor:
        """Latents at a time step, [B] or one for all."""
        alpha = self.alphas[level].view(-1, 1, 1, 1)
        return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise

    def predict(
        self, noisy: Tensor, level: Tensor, tokens: Tensor, condition: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Clean latents and noise that noisy ones [B,C,h,w] at time steps [B] are made of."""
        more: dict[str, Any] = {}
        sample, tokens = noisy.to(self.unet.dtype), tokens.to(self.unet.dtype)
        if self.controlnet is not None and condition is not None:
            down, middle = self.controlnet(
                sample, level, tokens, controlnet_cond=condition.to(sample.dtype), return_dict=False
            )
            more = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        (output,) = self.unet(sample, level, tokens, return_dict=False, **more)
        return clean_and_noise(noisy, output.float(), self.alphas[level], self.sampling.prediction)

    def _denoised(
        self, noisy: Tensor, levels: Sequence[int], tokens: Tensor, condition: Tensor | None
    ) -> Tensor:
        """Deterministic DDIM steps (arXiv 2010.02502) down the levels to clean latents."""
        clean = noisy
        for level, following in zip(levels, [*levels[1:], None], strict=True):
            now = torch.full((1,), level, device=noisy.device)
            clean, noise = self._guided(noisy, now, tokens, condition)
            if following is not None:
                noisy = self.noised(clean, noise, following)
        return clean

    def _guided(
        self, noisy: Tensor, level: Tensor, tokens: Tensor, condition: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        clean, noise = self.predict(noisy, level, tokens, condition)
        scale = self.sampling.guidance_scale
        if scale == 1:
            return clean, noise
        blank = self.tokens([self.sampling.negative_prompt], tokens.new_zeros(1, 0, 5))
        other_clean, other_noise = self.predict(noisy, level, blank, condition)
        return torch.lerp(other_clean, clean, scale), torch.lerp(other_noise, noise, scale)


def clean_and_noise(noisy: Tensor, output: Tensor, alpha: Tensor, prediction: str) -> tuple[Tensor, Tensor]:
    """What a UNet's output says of noisy latents: the clean ones and the noise.

    Args:
        noisy: [B,C,h,w].
        output: of the UNet, of that shape.
        alpha: [B] product of alphas at the time step.
        prediction: `epsilon`, `v_prediction` (arXiv 2202.00512) or `sample`.
    """
    signal, noise = (part.sqrt().view(-1, 1, 1, 1) for part in (alpha, 1 - alpha))
    if prediction == "v_prediction":
        return signal * noisy - noise * output, noise * noisy + signal * output
    if prediction == "sample":
        return output, (noisy - signal * output) / noise
    return (noisy - noise * output) / signal, output
