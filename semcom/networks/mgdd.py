"""MGDD, the multimodal-guided diffusion decoder (MTGC, arXiv 2512.06344), in pixel space.

    noisy residual ┐
    x0 ────────────┴► space-to-depth 8 ─► UNet ─► ↑2 ─► ↑2 ─► ↑2 ─► residual ─(+ x0)─► picture
    HCI, key latents, key map, holes ─► ControlNet ─┘ └─ cross-attention ◄─ caption, pseudo-words

`diffusers`' UNet2DConditionModel and ControlNetModel, as a Stable-Diffusion-sized profile has, in a small
configuration. The network predicts the clean picture from any noise level; at the noisiest one, a single
step is the reconstruction, and 2 to 8 steps refine it. The picture grows back through convolutions
at 1/4 and 1/2, so that no 8×8 grid shows. The residual starts at zero: never worse than x0 untrained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from semcom.networks.key_transform import LATENTS
from semcom.networks.pseudo_words import PseudoWordReader
from semcom.picture.grid import CELL, HCI_SCALE
from semcom.picture.tiles import Span, blend
from semcom.vocabulary import Vocabulary

PATCH = 8
_PATCH_VALUES = 3 * PATCH**2
_RESIDUAL_GAIN = 8.0  # residuals are about an eighth of a unit strong; diffusion wants unit strength
TEXT_TOKENS = 40
_UP = 2  # each step from an eighth to full size, and from the HCI to an eighth
_FEATURES = 64  # at a quarter of the size
_MAPS = 1 + LATENTS + 1 + 1 + 2  # planes of `Guidance.maps`
_TILE = 1024  # pixels; bounds memory and the cost of attention at any picture size
_OVERLAP = 128  # pixels that neighbouring tiles share and fade across
_STRIDE = 32  # of the UNet's coarsest scale


@dataclass(frozen=True)
class TextCondition:
    """What words say of pictures.

    Attributes:
        text: [B,40] token ids of the caption, padded with 0; all zero without one.
        words: [B,N,5] quantised pseudo-words.
        has_words: [B] 1 or 0.
    """

    text: Tensor
    words: Tensor
    has_words: Tensor

    def about(self, hci: Tensor, latents: Tensor, key_map: Tensor, arrived: Tensor) -> Guidance:
        """With all that has a place in the picture; see `Guidance`."""
        rows, columns = key_map.shape[-2:]
        return Guidance(
            text_condition=self,
            hci=hci,
            has_hci=torch.ones_like(key_map, dtype=hci.dtype),
            latents=latents,
            key_map=key_map.to(hci.dtype),
            arrived=arrived.to(hci.dtype),
            places=places(rows, columns, hci).expand(len(hci), -1, -1, -1),
        )

    def about_nothing(self, x0: Tensor) -> Guidance:
        """Alone: x0 [B,3,H,W] is a colour card."""
        count, _, height, width = x0.shape
        grid = (height // CELL, width // CELL)
        nothing = x0.new_zeros(count, 1, *grid)
        hci = x0.new_zeros(count, 3, height // HCI_SCALE, width // HCI_SCALE)
        blind = self.about(hci, nothing.expand(-1, LATENTS, -1, -1), nothing, nothing)
        return replace(blind, has_hci=nothing)


@dataclass(frozen=True)
class Guidance:
    """What the decoder knows besides x0; every part may be missing, and was in training.

    Attributes:
        text_condition: caption and pseudo-words.
        hci: [B,3,H/4,W/4] in [0,1], zero where `has_hci` is 0.
        has_hci: [B,1,H/16,W/16] 1 or 0, the same everywhere in a picture.
        latents: [B,32,H/16,W/16] key latents, zero where none arrived.
        key_map, arrived: [B,1,H/16,W/16] key cells, and those whose latents arrived.
        places: [B,2,H/16,W/16] row and column in the whole picture, -1 to 1: pseudo-words speak of places.
    """

    text_condition: TextCondition
    hci: Tensor
    has_hci: Tensor
    latents: Tensor
    key_map: Tensor
    arrived: Tensor
    places: Tensor

    def to(self, device: str) -> Guidance:
        """The same on a device."""
        said = self.text_condition
        words = TextCondition(*(part.to(device) for part in (said.text, said.words, said.has_words)))
        maps = {name: value.to(device) for name, value in self.maps.items()}
        return Guidance(words, self.hci.to(device), **maps)

    @property
    def maps(self) -> dict[str, Tensor]:
        """The parts on the key grid."""
        names = ("has_hci", "latents", "key_map", "arrived", "places")
        return {name: getattr(self, name) for name in names}


def places(rows: int, columns: int, like: Tensor) -> Tensor:
    """[1,2,rows,columns] for `Guidance`, of the kind of a tensor."""
    y, x = (
        2 * (torch.arange(n, device=like.device, dtype=like.dtype) + 0.5) / n - 1 for n in (rows, columns)
    )
    return torch.stack((y[:, None].expand(rows, columns), x.expand(rows, columns)))[None]


class MultimodalDecoder(nn.Module):
    """See the module docstring.

    Args:
        vocabulary: number of caption tokens.
        widths: channels at 1/8, 1/16 and 1/32.
        token_width: of caption and pseudo-word tokens.
    """

    def __init__(
        self, vocabulary: int = 4096, widths: Sequence[int] = (64, 96, 128), token_width: int = 128
    ) -> None:
        super().__init__()
        shared = {
            "block_out_channels": tuple(widths),
            "layers_per_block": 1,
            "cross_attention_dim": token_width,
            "attention_head_dim": 4,
            "norm_num_groups": 16,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        }
        self.unet = UNet2DConditionModel(
            in_channels=2 * _PATCH_VALUES,
            out_channels=_FEATURES * _UP**2,
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            **shared,
        )
        self.control = ControlNetModel(
            in_channels=2 * _PATCH_VALUES,
            conditioning_channels=3 * _UP**2 + _MAPS,
            conditioning_embedding_out_channels=(widths[0],),
            **shared,
        )
        self.text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=vocabulary,
                hidden_size=token_width,
                intermediate_size=2 * token_width,
                num_hidden_layers=2,
                num_attention_heads=4,
                max_position_embeddings=TEXT_TOKENS,
                bos_token_id=0,
                eos_token_id=0,
            )
        )
        self.reader = PseudoWordReader(token_width)
        self.missing = nn.Parameter(torch.randn(2, token_width) / 8)  # no caption, no pseudo-words
        self.at_quarter = nn.Conv2d(_FEATURES, _FEATURES, 3, padding=1)
        self.at_half = nn.Conv2d(_FEATURES // _UP**2, 32, 3, padding=1)
        self.rgb = nn.Conv2d(32, 3 * _UP**2, 3, padding=1)
        nn.init.zeros_(self.rgb.weight)
        nn.init.zeros_(self.rgb.bias)  # type: ignore[arg-type]

    def forward(self, noisy: Tensor, level: Tensor, x0: Tensor, guidance: Guidance) -> Tensor:
        """Clean residual of pictures.

        Args:
            noisy: [B,192,H/8,W/8] noisy residual in diffusion units (see `to_diffusion`).
            level: [B] time step, 0 to 999; 999 is pure noise.
            x0: [B,3,H,W] first pictures, H and W multiples of 32.
            guidance: of the same pictures.

        Returns:
            [B,3,H,W] to be added to x0; not clipped.
        """
        precision = self.rgb.weight.dtype
        tokens = self._tokens(guidance.text_condition)
        sample = torch.cat((noisy, 2 * F.pixel_unshuffle(x0, PATCH) - 1), 1).to(precision)
        down, middle = self.control(
            sample, level, tokens, controlnet_cond=self._condition(guidance).to(precision), return_dict=False
        )
        (features,) = self.unet(
            sample,
            level,
            tokens,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )
        y = F.silu(self.at_quarter(F.pixel_shuffle(features, _UP)))
        y = F.silu(self.at_half(F.pixel_shuffle(y, _UP)))
        return F.pixel_shuffle(self.rgb(y), _UP).float()

    def _condition(self, guidance: Guidance) -> Tensor:
        """[B,49,H/8,W/8]: all that has a place in the picture."""
        maps = guidance.maps
        cells = torch.cat([maps.pop("latents") / 4, *maps.values()], 1)
        return torch.cat((F.pixel_unshuffle(guidance.hci, _UP), F.interpolate(cells, scale_factor=2.0)), 1)

    def _tokens(self, text_condition: TextCondition) -> Tensor:
        """[B,40+max(N,1),token_width]: a learned token stands in for what is missing."""
        none, no_words = self.missing
        has_text = (text_condition.text != 0).any(1)
        text = self.text(input_ids=text_condition.text).last_hidden_state
        text = torch.where(has_text.view(-1, 1, 1), text, none)
        if text_condition.words.shape[1] == 0:
            return torch.cat((text, no_words.expand(len(text), 1, -1)), 1)
        words = self.reader(text_condition.words.to(none.dtype))
        return torch.cat((text, torch.where(text_condition.has_words.view(-1, 1, 1) > 0, words, no_words)), 1)


def caption_tokens(vocabulary: Vocabulary, caption: str) -> Tensor:
    """[40] token ids; what the vocabulary cannot spell is left out, the rest padded with 0."""
    ids = [piece for piece in vocabulary.split(caption) if isinstance(piece, int)][:TEXT_TOKENS]
    return torch.tensor(ids + [0] * (TEXT_TOKENS - len(ids)))


def to_diffusion(residual: Tensor) -> Tensor:
    """[B,3,H,W] residual in pixel units → [B,192,H/8,W/8] of about unit strength."""
    return F.pixel_unshuffle(residual, PATCH) * _RESIDUAL_GAIN


def schedule() -> DDIMScheduler:
    """Noise levels whose last one is pure noise, so that one step from noise is legal (arXiv 2305.08891)."""
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=False,
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )


@torch.inference_mode()
def denoise(model: MultimodalDecoder, x0: Tensor, guidance: Guidance, steps: int, seed: int) -> Tensor:
    """A picture of any size, refined.

    Args:
        model: trained.
        x0: [1,3,H,W] first picture; H and W whole key cells.
        guidance: of the same picture.
        steps: deterministic DDIM steps from noise (arXiv 2010.02502), 1 to 8.
        seed: of the noise.

    Returns:
        [1,3,H,W] in [0,1].
    """
    height, width = x0.shape[-2:]
    x0, guidance = _pad_to_stride(x0, guidance)
    generator = torch.Generator().manual_seed(seed)
    size = (1, _PATCH_VALUES, x0.shape[-2] // PATCH, x0.shape[-1] // PATCH)
    noise = torch.randn(size, generator=generator).to(x0.device)

    def residual(rows: Span, columns: Span) -> Tensor:
        return _denoise_tile(
            model,
            _cut(noise, rows, columns, PATCH),
            _cut(x0, rows, columns, 1),
            _cut_guidance(guidance, rows, columns),
            steps,
        )

    return (x0 + blend(x0, _TILE, _OVERLAP, residual))[..., :height, :width].clamp(0, 1)


def _denoise_tile(
    model: MultimodalDecoder, noisy: Tensor, x0: Tensor, guidance: Guidance, steps: int
) -> Tensor:
    scheduler = schedule()
    scheduler.set_timesteps(steps)
    residual = torch.zeros_like(x0)
    for level in scheduler.timesteps:
        residual = model(noisy, level.to(x0.device).expand(len(x0)), x0, guidance)
        (noisy,) = scheduler.step(to_diffusion(residual), level, noisy, return_dict=False)[:1]
    return residual


def _pad_to_stride(x0: Tensor, guidance: Guidance) -> tuple[Tensor, Guidance]:
    """Sides up to multiples of 32: everything repeats its border, but no latents are there."""
    right, below = (-x0.shape[-1]) % _STRIDE, (-x0.shape[-2]) % _STRIDE

    def padded(x: Tensor, scale: int) -> Tensor:
        return F.pad(x, (0, right // scale, 0, below // scale), mode="replicate")

    maps = {name: padded(value, CELL) for name, value in guidance.maps.items()}
    for name in ("latents", "key_map", "arrived"):
        maps[name] = F.pad(getattr(guidance, name), (0, right // CELL, 0, below // CELL))
    return padded(x0, 1), Guidance(guidance.text_condition, padded(guidance.hci, HCI_SCALE), **maps)


def _cut(x: Tensor, rows: Span, columns: Span, scale: int) -> Tensor:
    return x[..., rows[0] // scale : rows[1] // scale, columns[0] // scale : columns[1] // scale]


def _cut_guidance(guidance: Guidance, rows: Span, columns: Span) -> Guidance:
    maps = {name: _cut(value, rows, columns, CELL) for name, value in guidance.maps.items()}
    return Guidance(guidance.text_condition, _cut(guidance.hci, rows, columns, HCI_SCALE), **maps)
