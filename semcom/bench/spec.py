"""What a benchmark is: a short YAML file, checked before any work.

name: link_kodak
images: [../shared/data/kodak]
systems:
  semantic: {}
  avif: {}
  avif-fixed: {system: avif, mcs: fixed}    # at the MCS of `link`, to show the cliff
  deepjscc: {mcs: none}                     # analog
link: {channel: {model: tdl-a, delay_spread_ns: 100, speed_kmh: 3}}
budgets: {cbr: [0.0026, 0.0104]}
snr_db: [-5, 0, 5, 10, 15, 20]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from semcom.metrics.registry import default_metrics
from semcom.sweep.grid import Axis
from semcom.sweep.parts import PERFECT
from semcom.sweep.problems import Problem, ScenarioError, from_validation, key_paths, read_source
from semcom.sweep.scenario import NAME

__all__ = ["AUTO", "PERFECT", "BenchSpec", "BenchSystem", "Budgets", "load"]
AUTO = "auto"

Positive = Annotated[float, Field(gt=0)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BenchSystem(_Model):
    """One system. Its label is its key in `systems`."""

    system: str | None = Field(default=None, description="registered name; the label if left out")
    options: dict[str, Any] = {}
    mcs: Literal["envelope", "auto", "fixed", "none"] = Field(
        default="envelope",
        description="the best of the table at each SNR, what the sender chooses for each picture as "
        "`semcom send` does, what `link` says, or none for an analog system",
    )


class Budgets(_Model):
    """What one picture may spend: a list of CBR, or of bits per pixel on the wire."""

    cbr: tuple[Positive, ...] = ()
    bpp: tuple[Positive, ...] = ()

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if bool(self.cbr) == bool(self.bpp):
            raise ValueError("give a list of either cbr or bpp")
        return self

    @property
    def unit(self) -> str:
        """`cbr` or `bpp`."""
        return "cbr" if self.cbr else "bpp"

    @property
    def values(self) -> tuple[float, ...]:
        """The budgets in that unit."""
        return self.cbr or self.bpp


class BenchSpec(_Model):
    """A whole benchmark."""

    name: str = Field(pattern=NAME)
    description: str = ""
    images: Annotated[tuple[str, ...], Field(min_length=1)]
    systems: Annotated[dict[str, BenchSystem], Field(min_length=1)]
    link: dict[str, Any] | None = Field(
        default={}, description="fields of the digital link; null for no channel at all"
    )
    budgets: Budgets
    snr_db: Axis | None = Field(default=None, description="list or range; left out without a channel")
    metrics: tuple[str, ...] = Field(default_factory=default_metrics)
    trials: int = Field(default=1, ge=1, description="channel realisations per image and point")
    seed: int = Field(default=0, ge=0)
    pictures: int = Field(default=2, ge=0, description="images whose reconstructions are kept")
    confirm: int = Field(
        default=2, ge=1, description="MCSs per metric that are sent bit by bit, the predicted best first"
    )
    adapt_to: tuple[str, ...] = Field(
        default=(), description="metrics that MCSs are chosen for; all of `metrics` if left out"
    )
    realisations: int = Field(default=100, ge=1, description="of the channel, for predicting error rates")
    probes: int = Field(default=2, ge=1, description="images that a codec's quality by bytes is taken from")
    targets: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(0.01, 0.1, 0.3),
        description="error rates to plan for, systems with several classes",
    )

    @model_validator(mode="after")
    def _check_metrics(self) -> Self:
        unknown = [name for name in self.adapt_to if name not in self.metrics]
        if unknown:
            raise ValueError(f"adapt_to names what is not in metrics: {', '.join(unknown)}")
        return self

    @model_validator(mode="after")
    def _check_channel(self) -> Self:
        if (self.link is None) != (self.snr_db is None):
            raise ValueError("give snr_db with a link, and none with `link: null`")
        if self.link is not None and "mcs" in self.link:
            raise ValueError(
                "link.mcs is for sweeps: a benchmark chooses the MCS of each system, `mcs: fixed` not"
            )
        if self.link is not None and self.budgets.unit == "bpp" and self.adaptive:
            raise ValueError(
                "a budget in bpp leaves nothing to an MCS to trade: give cbr, or `mcs: fixed` for "
                + ", ".join(self.adaptive)
            )
        return self

    @property
    def adaptive(self) -> list[str]:
        """Labels of the systems whose MCS follows the SNR."""
        return [
            label
            for label, system in self.systems.items()
            if system.mcs == "envelope" and self.link is not None
        ]

    @property
    def snrs_db(self) -> tuple[float, ...]:
        """SNRs of the grid; one that means nothing without a channel."""
        return (0.0,) if self.snr_db is None else tuple(float(value) for value in self.snr_db.values)


def load(path: str | Path) -> BenchSpec:
    """A checked benchmark.

    Raises:
        ScenarioError: with file, line, key and nearest valid key of everything that is wrong.
    """
    source = read_source(path)
    if "budget" in source.data and "budgets" not in source.data:
        raise ScenarioError([Problem((), f"{path}: this is a sweep scenario: semcom sweep run {path}")])
    try:
        return BenchSpec.model_validate(source.data)
    except ValidationError as error:
        raise ScenarioError(from_validation(error, key_paths(BenchSpec)), source) from error
