"""Which impairments a link has; the default is an ideal radio, which costs nothing."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

PhaseNoiseMask = Literal["set-a", "set-b", "tr-38.803"]


class RadioSpec(BaseModel):
    """The radio at both ends. Transmitter: clipping, amplifier. Receiver: oscillator, timing, mixer, ADC."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    pa_backoff_db: float | None = Field(
        default=None, ge=-5.0, le=40.0, description="saturation power of a Rapp amplifier over the mean power"
    )
    pa_smoothness: float = Field(default=3.0, ge=0.5, le=20.0, description="Rapp's p")
    clipping_db: float | None = Field(
        default=None, ge=-5.0, le=20.0, description="envelope is clipped at this level over the mean power"
    )
    phase_noise: PhaseNoiseMask | None = Field(
        default=None, description="mask of both ends' oscillators together, scaled to the carrier"
    )
    cfo_hz: float = Field(default=0.0, description="carrier frequency offset that synchronisation leaves")
    timing_offset_ns: float = Field(default=0.0, ge=0.0, description="receiver's window early by this")
    iq_gain_db: float = Field(
        default=0.0, ge=-6.0, le=6.0, description="receiver's Q branch over its I branch"
    )
    iq_phase_deg: float = Field(default=0.0, ge=-45.0, le=45.0, description="error of its 90 degrees")
    adc_bits: int | None = Field(default=None, ge=1, le=16, description="of each of I and Q")

    @property
    def on(self) -> bool:
        """Whether anything is impaired."""
        return self != RadioSpec(pa_smoothness=self.pa_smoothness)
