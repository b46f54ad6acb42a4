"""Segment Anything (arXiv 2304.02643) in four variants, all of the class `segment_anything.modeling.Sam`.

`vit_b`, `vit_l`, `vit_h` are the published networks, read from a checkpoint path. `tiny` has the shared
EfficientNet-Lite0 as its image encoder, the mask decoder of `segment_anything` at half the published width,
and its prompt encoder with one addition:

    picture 384² ─► EfficientNet-Lite0 ─► neck ─► 128×24×24 ─┐
    points, boxes, a mask ─► prompt encoder ─────────────────┴─► mask decoder ─► masks 96², their IoU
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from segment_anything import sam_model_registry
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn

from semcom.networks.blocks import Bottleneck
from semcom.networks.efficientnet import FEATURE_CHANNELS, EfficientNetLite0, Features

TINY_IMAGE_SIZE = 384
"""Long side that the `tiny` variant resizes a picture to before it pads it to a square."""
_STRIDE = 16
_GRID = TINY_IMAGE_SIZE // _STRIDE
_REACHES = (20.0, 80.0)  # pixels
_VIT_WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
_PUBLISHED_FILES = {
    "vit_b": "sam_vit_b_01ec64.pth",
    "vit_l": "sam_vit_l_0b3195.pth",
    "vit_h": "sam_vit_h_4b8939.pth",
}


class SamError(ValueError):
    """A checkpoint is missing or of another variant; the message names the file and the remedy."""


class Neck(nn.Module):
    """The backbone's four scales as one embedding at stride 16; the finer ones keep their detail as channels.

    Args:
        width: channels of the embedding.
        blocks: bottleneck blocks after the sum.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        strides = (4, 2, 1, 1)
        self.lateral = nn.ModuleList(
            nn.Conv2d(channels, width, step, step)
            for channels, step in zip(FEATURE_CHANNELS, strides, strict=True)
        )
        self.blocks = nn.Sequential(*(Bottleneck(width) for _ in range(blocks)))
        self.norm = LayerNorm2d(width)

    def forward(self, features: Features) -> Tensor:
        """[B,width,24,24] of the features of 384×384 pictures."""
        maps = [lateral(x) for lateral, x in zip(self.lateral, features, strict=True)]
        maps[3] = F.interpolate(maps[3], maps[2].shape[2:], mode="bilinear", align_corners=False)
        return self.norm(self.blocks(torch.stack(maps).sum(0)))


class TinyImageEncoder(nn.Module):
    """Backbone and neck in the place of SAM's vision transformer."""

    def __init__(self, backbone: EfficientNetLite0, neck: Neck) -> None:
        super().__init__()
        self.img_size = TINY_IMAGE_SIZE
        self.backbone, self.neck = backbone, neck

    def forward(self, x: Tensor) -> Tensor:
        """Embedding [B,width,24,24] of padded pictures [B,3,384,384] in [0,1]."""
        embedding: Tensor = self.neck(self.backbone.features(x))
        return embedding


class DrawingPromptEncoder(PromptEncoder):
    """SAM's prompt encoder that also draws points and boxes into the dense embedding.

    The published one leaves it to attention to find a prompt's place; learning that takes millions of masks.
    """

    def __init__(self, width: int) -> None:
        super().__init__(
            embed_dim=width,
            image_embedding_size=(_GRID, _GRID),
            input_image_size=(TINY_IMAGE_SIZE, TINY_IMAGE_SIZE),
            mask_in_chans=16,
        )
        self.drawn = nn.Conv2d(2 + 2 * len(_REACHES), width, 1, bias=False)

    def forward(
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """See `PromptEncoder.forward`."""
        sparse, dense = super().forward(points, boxes, masks)
        maps = dense.new_zeros(len(dense), self.drawn.in_channels, _GRID, _GRID)
        if boxes is not None:
            maps[:, 0] = _box_coverage(boxes)
            maps[:, 1] = 1 - maps[:, 0]
        if points is not None:
            maps[:, 2:] = _point_hills(*points)
        return sparse, dense + self.drawn(maps)


def _box_coverage(boxes: Tensor) -> Tensor:
    """[N,24,24], the share of each cell that lies in the box (x0, y0, x1, y1) in pixels."""
    edges = torch.arange(_GRID) * float(_STRIDE)

    def overlap(low: Tensor, high: Tensor) -> Tensor:
        inner = torch.minimum(high[:, None], edges + _STRIDE) - torch.maximum(low[:, None], edges)
        return inner.clamp(min=0) / _STRIDE

    x0, y0, x1, y1 = boxes.view(-1, 4).unbind(1)
    return overlap(y0, y1)[:, :, None] * overlap(x0, x1)[:, None, :]


def _point_hills(coordinates: Tensor, labels: Tensor) -> Tensor:
    """[N,4,24,24]: hills of two widths around the points inside, then around those outside."""
    centres = (torch.arange(_GRID) + 0.5) * _STRIDE
    squared = (centres.view(1, 1, 1, -1) - coordinates[..., 0, None, None]) ** 2
    squared = squared + (centres.view(1, 1, -1, 1) - coordinates[..., 1, None, None]) ** 2
    maps = []
    for label in (1, 0):
        of_label = (labels == label).float()[..., None, None]
        maps += [(of_label * torch.exp(-squared / (2 * reach**2))).amax(1) for reach in _REACHES]
    return torch.stack(maps, 1)


class TinySegmenter(nn.Module):
    """Everything of `tiny` SAM that is trained here: what the profile part `segmenter` holds.

    Args:
        width: channels of the embedding and of the prompts.
        blocks: bottleneck blocks of the neck.
        depth: layers of the two-way transformer.
    """

    def __init__(self, width: int = 128, blocks: int = 3, depth: int = 2) -> None:
        super().__init__()
        self.neck = Neck(width, blocks)
        self.prompt_encoder = DrawingPromptEncoder(width)
        self.mask_decoder = MaskDecoder(
            transformer_dim=width,
            transformer=TwoWayTransformer(depth, width, num_heads=4, mlp_dim=4 * width),
            num_multimask_outputs=3,
            activation=nn.ReLU,
            iou_head_hidden_dim=width,
        )

    def sam(self, backbone: EfficientNetLite0) -> Sam:
        """The whole network. Its encoder reads pixels in [0,1], padded with black."""
        encoder: Any = TinyImageEncoder(backbone, self.neck)
        return Sam(encoder, self.prompt_encoder, self.mask_decoder, [0.0] * 3, [255.0] * 3).eval()


def published_sam(checkpoint: str | Path, variant: str | None = None) -> Sam:
    """`vit_b`, `vit_l` or `vit_h` from a checkpoint as Meta publishes it, in evaluation mode.

    Args:
        checkpoint: file, such as `sam_vit_b_01ec64.pth`.
        variant: which it must be; recognised by itself when not given.

    Raises:
        SamError: unknown variant, no such file, or a checkpoint of another variant.
    """
    if variant is not None and variant not in _PUBLISHED_FILES:
        raise SamError(f"unknown SAM variant {variant!r}; published are {', '.join(_PUBLISHED_FILES)}")
    path = Path(checkpoint)
    if not path.is_file():
        published = _PUBLISHED_FILES.get(variant or "", " or ".join(_PUBLISHED_FILES.values()))
        raise SamError(f"{path}: no such file; it is published as {published}")
    state = _read(path)
    patches = state.get("image_encoder.patch_embed.proj.weight")
    found = _VIT_WIDTHS.get(len(patches)) if isinstance(patches, Tensor) and patches.ndim else None
    if found is None or found != (variant or found):
        raise SamError(
            f"{path}: not a checkpoint of {variant or 'SAM'}" + (f" but of {found}" if found else "")
        )
    with torch.device("meta"):  # the largest has 2.4 GB: not to be filled with random numbers first
        sam: Sam = sam_model_registry[found]()
    sam.pixel_mean, sam.pixel_std = (torch.tensor(v).view(3, 1, 1) for v in _PUBLISHED_NORMALISATION)
    try:
        sam.load_state_dict(state, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise SamError(f"{path}: damaged checkpoint of {found}: {reason}") from error
    return sam.requires_grad_(False).eval()


_PUBLISHED_NORMALISATION = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def _read(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a pickle that is none may raise anything
        raise SamError(f"{path}: not a PyTorch checkpoint ({' '.join(str(error).split())[:100]})") from error
    return state if isinstance(state, dict) else {}
