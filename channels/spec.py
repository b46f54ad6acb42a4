"""What a link is made of: channel, OFDM grid, protection classes. Frozen, validated, serialisable.

Every error names the field and the allowed range before any work is done.

SNR convention: `snr_db` everywhere is Es/N0 *per resource element and receive antenna*, with symbols of unit
mean energy (all streams together) and a channel whose mean power is one. It is neither Eb/N0 nor an SNR after
path loss. Feeding an un-normalised channel is the most common way of getting a wrong SNR from Sionna.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from channels.mcs import mcs_table_size

ChannelModelName = Literal["awgn", "rayleigh", "tdl-a", "tdl-b", "tdl-c", "tdl-d", "tdl-e"]
CsiKind = Literal["ls-linear", "ls-nearest", "perfect"]
SUBCARRIERS_PER_PRB = 12


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ChannelSpec(_Spec):
    """The physical channel between the antennas."""

    model: ChannelModelName = "tdl-a"
    carrier_frequency_hz: float = Field(default=3.5e9, ge=0.5e9, le=150e9)
    delay_spread_ns: float = Field(default=100.0, ge=0.0, le=10_000.0, description="RMS delay spread")
    speed_kmh: float = Field(
        default=3.0, ge=0.0, le=500.0, description="speed of the terminal; sets the Doppler"
    )
    num_tx_antennas: int = Field(default=1, ge=1, le=16)
    num_rx_antennas: int = Field(default=1, ge=1, le=16)


class OfdmSpec(_Spec):
    """The OFDM resource grid of one slot and how the receiver learns the channel from its pilots."""

    subcarrier_spacing_khz: Literal[15, 30, 60, 120, 240, 480, 960] = 30
    num_subcarriers: int = Field(default=24 * SUBCARRIERS_PER_PRB, ge=SUBCARRIERS_PER_PRB, le=3300)
    num_ofdm_symbols: int = Field(default=14, ge=2, le=14, description="OFDM symbols a slot")
    pilot_symbols: tuple[int, ...] = Field(default=(2, 11), min_length=1)
    num_streams: int = Field(default=1, ge=1, le=4, description="spatially multiplexed layers")
    csi: CsiKind = "ls-linear"

    @model_validator(mode="after")
    def _check_pilots(self) -> Self:
        last, pilots = self.num_ofdm_symbols - 1, self.pilot_symbols
        if sorted(set(pilots)) != list(pilots) or pilots[0] < 0 or pilots[-1] > last:
            raise ValueError(
                f"pilot_symbols must be increasing indices from 0 to {last} (num_ofdm_symbols - 1), "
                f"not {pilots}"
            )
        if len(self.pilot_symbols) == self.num_ofdm_symbols:
            raise ValueError("pilot_symbols must leave at least one of num_ofdm_symbols for data")
        if self.num_subcarriers % self.num_streams:
            raise ValueError(
                f"num_subcarriers must be a multiple of num_streams ({self.num_streams}) so that every "
                f"stream has the same number of pilots, not {self.num_subcarriers}"
            )
        return self

    @property
    def slot_duration_s(self) -> float:
        """Duration of a slot in seconds; the mean cyclic prefix is included (TS 38.211 §4.3.2)."""
        return self.num_ofdm_symbols * self.symbol_duration_s

    @property
    def symbol_duration_s(self) -> float:
        """Mean duration of an OFDM symbol with its cyclic prefix: 1 ms / 14 at 15 kHz, in seconds."""
        return 15.0 / self.subcarrier_spacing_khz * 1e-3 / 14


class ClassSpec(_Spec):
    """How one protection class is sent: the handle of unequal error protection."""

    mcs: int = Field(ge=0, le=28, description="index in the table of TS 38.214 named by LinkSpec.mcs_table")
    harq_rounds: int = Field(default=1, ge=1, le=4, description="transmissions at most, the first included")
    power_boost_db: float = Field(
        default=0.0,
        ge=-10.0,
        le=10.0,
        description="relative to the other classes; the mean power of a burst stays one",
    )


def _default_classes() -> dict[str, ClassSpec]:
    return {"critical": ClassSpec(mcs=1), "base": ClassSpec(mcs=4), "detail": ClassSpec(mcs=9)}


class LinkSpec(_Spec):
    """A whole link. The defaults are a 5G-like one: TDL-A, 24 PRB at 30 kHz, estimated CSI, three classes."""

    channel: ChannelSpec = ChannelSpec()
    ofdm: OfdmSpec = OfdmSpec()
    mcs_table: Literal[1, 2, 3] = 1
    classes: Annotated[dict[str, ClassSpec], Field(min_length=1)] = Field(default_factory=_default_classes)
    num_ldpc_iterations: int = Field(default=20, ge=1, le=200)
    harq_combining: Literal["incremental-redundancy", "chase"] = "incremental-redundancy"
    harq_round_trip_slots: int = Field(
        default=8, ge=0, le=64, description="slots between a round and the next"
    )

    @model_validator(mode="after")
    def _check_mcs(self) -> Self:
        highest = mcs_table_size(self.mcs_table) - 1
        for name, spec in self.classes.items():
            if spec.mcs > highest:
                raise ValueError(
                    f"classes.{name}.mcs must be from 0 to {highest} in mcs_table {self.mcs_table}, "
                    f"not {spec.mcs}"
                )
        return self

    @model_validator(mode="after")
    def _check_antennas(self) -> Self:
        antennas = min(self.channel.num_tx_antennas, self.channel.num_rx_antennas)
        if self.ofdm.num_streams > antennas:
            raise ValueError(
                f"ofdm.num_streams must be at most {antennas}, the smaller of channel.num_tx_antennas "
                f"({self.channel.num_tx_antennas}) and channel.num_rx_antennas "
                f"({self.channel.num_rx_antennas}), not {self.ofdm.num_streams}"
            )
        return self
