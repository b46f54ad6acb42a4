"""The options of the semantic system: one object for the command line, scenario files and Python.

An option is a field here, with its range and what it does, and is read where it acts; `semcom send`, scenario
files and `SemanticSystem(...)` take their list from the fields. Nothing heavy is imported, so that a wrong
option is an error in the first half second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from semcom.limits import MAX_STEPS, MAX_WORDS, check_caption
from semcom.receiver.precision import Quantization
from semcom.transmitter.prompts import Box, Point, Prompts, parse_boxes, parse_points

if TYPE_CHECKING:
    from torch import Tensor

KEY_AREA = 0.12
"""Largest share of the picture in automatic key regions."""
_NAMED_AREA = 0.3
Objective = Literal["balanced", "dists", "lpips", "psnr"]


@dataclass(frozen=True)
class DrawnMask:
    """A key region drawn in Python: comparable and hashable, unlike an array. Made by `of`."""

    width: int
    height: int
    bits: bytes

    @classmethod
    def of(cls, mask: Any) -> DrawnMask:
        """From an array or tensor [H,W] bool. Raises `ValueError` for another shape."""
        pixels = np.asarray(mask).astype(bool)
        if pixels.ndim != 2:
            raise ValueError(f"a mask is [H,W], not {list(pixels.shape)}")
        return cls(pixels.shape[1], pixels.shape[0], np.packbits(pixels).tobytes())

    def pixels(self) -> NDArray[np.bool_]:
        """[H,W] bool."""
        bits = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=self.width * self.height)
        return bits.reshape(self.height, self.width).astype(bool)

    def __str__(self) -> str:
        return f"drawn, {self.width}x{self.height}, SHA-256 {sha256(self.bits).hexdigest()}"


def _to_mask(value: Any) -> Any:
    if value is None or isinstance(value, Path | DrawnMask):
        return value
    return Path(value) if isinstance(value, str) else DrawnMask.of(value)


def _to_points(value: Any) -> Any:
    return parse_points(value) if _is_text(value) else value


def _to_boxes(value: Any) -> Any:
    return parse_boxes(value) if _is_text(value) else value


def _to_settings(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple(f"{name}={setting}" for name, setting in value.items())
    return (value,) if isinstance(value, str) else value


def _is_text(value: Any) -> bool:
    return isinstance(value, Sequence) and bool(value) and all(isinstance(item, str) for item in value)


Mask = Annotated[
    Path | DrawnMask | None,
    BeforeValidator(_to_mask),
    PlainSerializer(lambda mask: None if mask is None else str(mask), when_used="json"),
    WithJsonSchema({"type": ["string", "null"]}),
]


class SemanticOptions(BaseModel):
    """What the user may steer. Frozen; checked once.

    Raises:
        ValueError: names the field and what is allowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    profile: str = Field(default="tiny", description="Profile name or folder.")
    key_area: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description=f"Largest share of the picture in key regions; 0 sends no key stream. {KEY_AREA} where "
        f"nothing is said, about what rates below 0.05 bpp refine well, {_NAMED_AREA} of what you point at.",
    )
    key_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Largest share that the key stream may take from the HCI; by default what the profile "
        "measured to be best at the rate, at least 0.25 of what you point at.",
    )
    points: Annotated[tuple[Point, ...], BeforeValidator(_to_points)] = Field(
        default=(), description="x,y in pixels of an object that is to be key; repeatable."
    )
    boxes: Annotated[tuple[Box, ...], BeforeValidator(_to_boxes)] = Field(
        default=(), description="x0,y0,x1,y1 in pixels around such an object; repeatable."
    )
    key_class: str | None = Field(
        default=None,
        description="What is to be key: an ImageNet class, a word such as dog, or what a detector finds: "
        "face, person, animal, text (extra tasks); several by commas.",
    )
    mask: Mask = Field(default=None, description="Picture of the photo's size, bright where it is to be key.")
    card: bool = Field(default=True, description="Send the colour card that stands in for a lost HCI.")
    mode: Literal["auto", "digital", "analog"] = Field(
        default="auto",
        description="Packets, or values straight onto the subcarriers, which no fade erases whole; auto is "
        "digital, where the budget is in channel uses what the SNR and the channel let expect more of.",
    )
    base: Literal["auto", "off"] | Annotated[int, Field(ge=0, le=4000)] = Field(
        default="auto",
        description="Largest bytes of a base picture, shown where the HCI is lost, which shares one packet "
        "with the header; auto is off, where the budget is in channel uses what pays on the channel.",
    )
    texture: bool = Field(default=True, description="Send how much fine detail there is where.")
    caption: str = Field(
        default="auto", description="auto, none, background (of what is not key), or your own caption."
    )
    captioner: str | None = Field(
        default=None, description="Hub id or folder of an image-to-text model instead of the profile's."
    )
    sam_checkpoint: Path | None = Field(
        default=None, description="A published vit_b, vit_l or vit_h instead of the profile's segmenter."
    )
    num_words: int = Field(default=16, ge=0, le=MAX_WORDS, description="Pseudo-words to send.")
    delivery: Literal["erase", "keep"] = Field(
        default="erase",
        description="Of packets whose CRC failed: keep reads header and pseudo-words, which have fixed "
        "lengths, with their errors (bit-exact link).",
    )
    effort: Literal[0, 1, 2] = Field(
        default=0,
        description="Of the sender's search: 0 sends what tables say, 1 tries settings (about 10 s), 2 "
        "shapes the picture for the receiver (minutes). A result is kept and not searched for again.",
    )
    objective: Objective = Field(
        default="balanced",
        description="What efforts 1 and 2, and the choice of what to send over a channel, ask for.",
    )
    steps: int = Field(default=1, ge=1, le=MAX_STEPS, description="Steps of the diffusion decoder.")
    realism: float = Field(
        default=1,
        ge=0,
        le=1,
        description="How far the receiver may invent: 0 for little error (blurred, 1 dB more PSNR at "
        "0.035 bpp) to 1 for the sharpest picture.",
    )
    decoder_seed: int = Field(default=0, ge=0, description="Of the decoder's noise.")
    quantization: Quantization = Field(
        default=Quantization.AUTO,
        description="Precision of the receiver's networks; auto is what is exact and fast on this machine.",
    )
    device: str = Field(
        default="cpu",
        pattern=r"^(cpu|cuda(:\d+)?|xpu(:\d+)?|mps)$",
        description="Of the receiver's networks: cpu, cuda, cuda:1, …; streams are read on the CPU.",
    )
    set: Annotated[tuple[str, ...], BeforeValidator(_to_settings)] = Field(
        default=(),
        description="NAME=VALUE of a profile with published models, such as models.unet=FOLDER; repeatable.",
    )
    adapters: bool = Field(
        default=True, description="Use the profile's LoRA adapters; without them is for ablations."
    )

    @field_validator("profile", mode="before")
    @classmethod
    def _profile_is_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, Path) else value

    @field_validator("caption")
    @classmethod
    def _caption_can_be_sent(cls, value: str) -> str:
        check_caption(value)
        return value

    @field_validator("mask", "sam_checkpoint")
    @classmethod
    def _file_exists(cls, value: Path | DrawnMask | None) -> Path | DrawnMask | None:
        if isinstance(value, Path) and not value.is_file():
            raise ValueError(f"{value}: {'not a regular file' if value.exists() else 'no such file'}")
        return value

    @model_validator(mode="after")
    def _check_regions(self) -> Self:
        prompts = self.prompts  # that a box or class is none is an error here already
        if self.mask is not None and prompts:
            raise ValueError("mask and points, boxes or key_class exclude each other")
        return self

    @cached_property
    def prompts(self) -> Prompts:
        """What the user points at."""
        return Prompts(self.points, self.boxes, self.key_class)

    @property
    def base_bytes(self) -> int | None:
        """Of the base picture at most; None for separate packets and no base picture."""
        return self.base if isinstance(self.base, int) else None

    @property
    def area(self) -> float:
        """Largest share of the picture in key regions."""
        if self.key_area is not None:
            return self.key_area
        return _NAMED_AREA if self.prompts else KEY_AREA

    @property
    def names_regions(self) -> bool:
        """Whether the user said what is key."""
        return self.mask is not None or bool(self.prompts)

    @cached_property
    def key_mask(self) -> Tensor | None:
        """[H,W] bool of the user's own key region, read when first asked for. Raises `PromptError`."""
        import torch

        from semcom.transmitter.prompts import load_mask

        if isinstance(self.mask, Path):
            return load_mask(self.mask)
        return None if self.mask is None else torch.from_numpy(self.mask.pixels())

    def check_picture(self, width: int, height: int) -> None:
        """Raises `ValueError` where a point, box or mask does not fit a picture of that size."""
        self.prompts.check(width, height)
        if self.key_mask is not None and self.key_mask.shape != (height, width):
            drawn = f"{self.key_mask.shape[1]}x{self.key_mask.shape[0]}"
            raise ValueError(f"mask: {drawn} pixels, the picture has {width}x{height}: give one of its size")

    def updated(self, **changes: Any) -> Self:
        """Options with some changed, checked again."""
        said = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self).model_validate(said | changes)
