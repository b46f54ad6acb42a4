"""What the page can set, checked, and the same as a link, as options, as YAML, as Python and as a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from channels.propagation.registry import entry, names
from channels.spec import SUBCARRIERS_PER_PRB, LinkSpec
from semcom.options import KEY_AREA, DrawnMask

if TYPE_CHECKING:
    from semcom.adaptation import Adapted

RIVALS = ("avif", "webp", "jpeg")
"""Codecs to compare with that need no extra package."""
CELL = 16
"""Pixels a side of what one stroke of the brush paints."""
PHOTO, MASK = "photo.png", "mask.png"
"""Names of the files that the texts speak of; the page offers both for saving."""
SWEEP_SNRS_DB = (-5.0, 0.0, 5.0, 10.0, 15.0, 20.0)
SWEEP_TRIALS = 4
_MOST_ROWS = 32
_Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """The controls of the page. Points are shares of width and height; `painted` has a row of 0 and 1 a line
    of cells.

    Raises:
        ValueError: names the control and what is allowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    snr_db: float = Field(default=10.0, ge=-10, le=30)
    channel: str = Field(default="tdl-a", max_length=40)
    delay_spread_ns: float = Field(default=100.0, ge=0, le=2000)
    speed_kmh: float = Field(default=3.0, ge=0, le=250)
    num_prb: int = Field(default=24, ge=4, le=100)
    unit: Literal["bpp", "cbr"] = "bpp"
    amount: float = Field(default=0.06, gt=0, le=2)
    key_area: float = Field(default=KEY_AREA, ge=0, le=0.6)
    points: tuple[tuple[_Share, _Share], ...] = Field(default=(), max_length=8)
    painted: tuple[Annotated[str, Field(max_length=64, pattern="^[01]*$")], ...] = Field(
        default=(), max_length=64
    )
    erased: tuple[Annotated[str, Field(max_length=32)], ...] = Field(default=(), max_length=_MOST_ROWS)
    rival: Literal["avif", "webp", "jpeg"] = "avif"
    seed: int = Field(default=1, ge=0, le=1 << 31)

    @field_validator("channel")
    @classmethod
    def _known(cls, value: str) -> str:
        entry(value)
        return value

    def link_fields(self) -> dict[str, Any]:
        """Of a `LinkSpec`, what differs from the defaults; a model is told only what it reads."""
        reads = entry(self.channel).reads
        channel: dict[str, Any] = {"model": self.channel}
        channel |= {name: getattr(self, name) for name in ("delay_spread_ns", "speed_kmh") if name in reads}
        return {"channel": channel, "ofdm": {"num_subcarriers": self.num_prb * SUBCARRIERS_PER_PRB}}

    def spec(self) -> LinkSpec:
        """The link before its MCSs are chosen. Raises `ValueError`."""
        return LinkSpec.model_validate(self.link_fields())

    def mask(self, width: int, height: int) -> DrawnMask | None:
        """What is painted, in the picture's pixels; None where nothing is.

        Raises:
            ValueError: the cells are not those of a picture of that size.
        """
        import numpy as np

        if not any("1" in row for row in self.painted):
            return None
        shape = -(-height // CELL), -(-width // CELL)
        if len(self.painted) != shape[0] or any(len(row) != shape[1] for row in self.painted):
            raise ValueError("what is painted belongs to another picture: paint again")
        cells = np.array([[letter == "1" for letter in row] for row in self.painted])
        return DrawnMask.of(cells.repeat(CELL, 0).repeat(CELL, 1)[:height, :width])

    def options(self, width: int, height: int) -> dict[str, Any]:
        """Of the semantic system; a painted mask wins over points."""
        options: dict[str, Any] = {"key_area": self.key_area}
        mask = self.mask(width, height)
        if mask is not None:
            return options | {"mask": mask}
        if self.points:
            options["points"] = [[round(x * width, 1), round(y * height, 1)] for x, y in self.points]
        return options


def fixed_link(settings: Settings, adapted: Adapted) -> dict[str, Any]:
    """Link fields with the MCSs that were chosen."""
    classes = {name: {"mcs": chosen.mcs} for name, chosen in adapted.spec.classes.items()}
    return settings.link_fields() | {"classes": classes}


def scenario(
    settings: Settings, adapted: Adapted, channel_uses: int, width: int, height: int
) -> dict[str, Any]:
    """A sweep over the SNR of what the page shows: the same channel uses for both systems, MCSs as chosen."""
    options = settings.options(width, height)
    if "mask" in options:
        options["mask"] = MASK
    return {
        "name": "demo",
        "description": f"semantic and {settings.rival} over {settings.channel}, MCSs of "
        f"{settings.snr_db:g} dB",
        "seed": settings.seed,
        "images": [PHOTO],
        "systems": {"semantic": {"options": options}, settings.rival: {}},
        "link": fixed_link(settings, adapted),
        "budget": {"channel_uses": channel_uses},
        "grid": {"snr_db": list(SWEEP_SNRS_DB)},
        "stop": {"trials": SWEEP_TRIALS},
        "metrics": ["lpips", "psnr"],
    }


def as_yaml(fields: dict[str, Any]) -> str:
    """A scenario file, for `semcom sweep run`."""
    import yaml

    text: str = yaml.safe_dump(fields, sort_keys=False, default_flow_style=None, width=100)
    return f"# semcom sweep run demo.yaml; {PHOTO} beside it\n{text}"


def as_python(settings: Settings, adapted: Adapted, width: int, height: int) -> str:
    """A program that sends the photo as the page does."""
    options = settings.options(width, height)
    if "mask" in options:
        options["mask"] = MASK
    wishes = "".join(f", {name}={value!r}" for name, value in options.items())
    link = fixed_link(settings, adapted)
    budget = (
        f"Budget.of_bpp({settings.amount:g}, photo.shape[2], photo.shape[1])"
        if settings.unit == "bpp"
        else f"Budget.of_cbr({settings.amount:g}, photo.shape[2], photo.shape[1], link)"
    )
    return f"""from channels.links.digital import DigitalLink
from channels.spec import LinkSpec
from semcom import Budget, ChannelLink, SemanticSystem, images, transmit

photo = images.load("{PHOTO}")
system = SemanticSystem("tiny"{wishes})
link = ChannelLink(DigitalLink(LinkSpec.model_validate(
    {link!r}
)))
budget = {budget}
result = transmit(photo, system, link, budget, snr_db={settings.snr_db:g}, seed={settings.seed})
images.save(result.reconstruction.image, "reconstruction.png")
"""


def controls() -> dict[str, Any]:
    """What the page needs to draw the controls: ranges, defaults, and which slider a channel reads."""
    fields = Settings.model_json_schema()["properties"]
    ranged = {
        name: {
            "min": field.get("minimum", 0),
            "max": field["maximum"],
            "value": field["default"],
        }
        for name, field in fields.items()
        if "maximum" in field
    }
    offered = [name for name in names() if name != "rt"]  # needs an extra and a scene
    return {
        "ranges": ranged,
        "channels": {name: {"summary": entry(name).summary, "reads": entry(name).reads} for name in offered},
        "channel": fields["channel"]["default"],
        "rivals": RIVALS,
        "cell": CELL,
    }
