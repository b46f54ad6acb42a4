"""What a link is made of: channel, OFDM grid, protection classes. Frozen, validated, serialisable.

Every error names the field and the allowed range before any work is done.

SNR convention: `snr_db` everywhere is Es/N0 *per resource element and receive antenna*, with symbols of unit
mean energy (all streams together) and a channel whose mean power is one. It is neither Eb/N0 nor an SNR after
path loss. Feeding an un-normalised channel is the most common way of getting a wrong SNR from Sionna.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from channels.coding.mcs import mcs_table_size
from channels.impairments.spec import RadioSpec
from channels.propagation.registry import entry

SceneName = Literal[
    "box",
    "box_knife",
    "box_one_screen",
    "box_two_screens",
    "double_reflector",
    "etoile",
    "floor_wall",
    "florence",
    "munich",
    "san_francisco",
    "simple_reflector",
    "simple_street_canyon",
    "simple_street_canyon_with_cars",
    "simple_wedge",
    "triple_reflector",
]
CsiKind = Literal["ls-cp", "ls-linear", "ls-nearest", "lmmse", "perfect"]
SUBCARRIERS_PER_PRB = 12
# In subcarrier spacings; beyond it one coefficient a symbol describes nothing any more
MOST_DOPPLER = 1 / 4
_ALWAYS_READ = ("model", "carrier_frequency_hz", "num_tx_antennas", "num_rx_antennas")
_SPEED_OF_LIGHT = 299_792_458.0


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RayTracingSpec(_Spec):
    """What Sionna RT's path solver is given (model rt): a scene it ships and two places in it."""

    scene: SceneName | Path = Field(
        default="simple_street_canyon", description="one that Sionna RT ships, or the .xml file of your own"
    )
    tx_position_m: tuple[float, float, float] = (-33.0, 0.0, 10.0)
    rx_position_m: tuple[float, float, float] = (20.0, 2.0, 1.5)
    max_depth: int = Field(default=3, ge=0, le=10, description="reflections and refractions a path")
    paths_folder: Path | None = Field(
        default=None, description="where solved paths are kept; None: ray_tracing in the cache of semcom"
    )

    @model_validator(mode="after")
    def _check_scene(self) -> Self:
        if isinstance(self.scene, Path) and (self.scene.suffix != ".xml" or not self.scene.is_file()):
            raise ValueError(
                f"scene must be an existing .xml file (Mitsuba, as Sionna RT loads it) or one of "
                f"{', '.join(get_args(SceneName))}, not {str(self.scene)!r}"
            )
        return self


class DatasetSpec(_Spec):
    """Where the responses of model cir are; see `channels.propagation.dataset` for what the file holds."""

    file: Path | None = Field(
        default=None,
        description=".npz, HDF5 (.h5, .hdf5) or a folder in the layout of DeepMIMO 4; None: the corridor "
        "that comes with semcom",
    )
    motion: Literal["recorded", "static"] = Field(
        default="recorded", description="static: a burst sees one instant of its record"
    )

    @property
    def state(self) -> tuple[int, ...]:
        """Changes when the file does."""
        if self.file is None or not self.file.is_file():
            return ()
        stat = self.file.stat()
        return stat.st_mtime_ns, stat.st_size


class ChannelSpec(_Spec):
    """The physical channel between the antennas."""

    model: str = Field(
        default="tdl-a",
        description="a name of `semcom channels list`, those of installed packages included; module:factory "
        "where imports are allowed",
    )
    carrier_frequency_hz: float = Field(default=3.5e9, ge=0.5e9, le=150e9)
    delay_spread_ns: float = Field(
        default=100.0, ge=0.0, le=10_000.0, description="RMS delay spread of tdl-a..e and cdl-a..e"
    )
    speed_kmh: float = Field(
        default=3.0, ge=0.0, le=500.0, description="speed of the terminal; sets the Doppler"
    )
    num_tx_antennas: int = Field(default=1, ge=1, le=16)
    num_rx_antennas: int = Field(default=1, ge=1, le=16)
    rician_k_db: float = Field(default=10.0, ge=-20.0, le=40.0, description="K factor of model rician")
    antenna_polarization: Literal["single", "dual"] = Field(
        default="single", description="of cdl, umi, uma, rma, inh and rt; dual is cross-polarised pairs"
    )
    antenna_pattern: Literal["omni", "38.901"] = "omni"
    los: bool | None = Field(
        default=None, description="line of sight of umi, uma, rma and inh; None draws it as TR 38.901 says"
    )
    ray_tracing: RayTracingSpec = Field(
        default=RayTracingSpec(), description="of rt: the scene and the places of both ends"
    )
    dataset: DatasetSpec = Field(default=DatasetSpec(), description="of cir: the file of responses")
    options: dict[str, Any] = Field(default={}, description="of a model of your own: whatever it reads")

    def __hash__(self) -> int:
        # `options` may hold what has no hash
        return hash(self.model_dump_json())

    @field_validator("model")
    @classmethod
    def _check_name(cls, name: str) -> str:
        entry(name)
        return name

    @model_validator(mode="after")
    def _check_model(self) -> Self:
        model = entry(self.model)
        lowest, highest = model.carrier_range_hz
        if not lowest <= self.carrier_frequency_hz <= highest:
            source = f" ({model.carrier_source})" if model.carrier_source else ""
            raise ValueError(
                f"carrier_frequency_hz must be from {lowest / 1e9:g}e9 to {highest / 1e9:g}e9 for model "
                f"{self.model!r}{source}, not {self.carrier_frequency_hz:g}"
            )
        if self.antenna_polarization == "dual" and (self.num_tx_antennas % 2 or self.num_rx_antennas % 2):
            raise ValueError(
                "num_tx_antennas and num_rx_antennas must be even with antenna_polarization 'dual', "
                f"not {self.num_tx_antennas} and {self.num_rx_antennas}"
            )
        return self

    @model_validator(mode="after")
    def _warn_of_fields_without_effect(self) -> Self:
        fields, reads = type(self).model_fields, {*_ALWAYS_READ, *entry(self.model).reads}
        idle = [name for name in fields if name not in reads and getattr(self, name) != fields[name].default]
        if idle:
            warnings.warn(
                f"channel model {self.model!r} ignores {', '.join(idle)}; it reads "
                f"{', '.join(name for name in fields if name in reads and name != 'model')}",
                stacklevel=2,
            )
        return self

    @property
    def max_doppler_hz(self) -> float:
        """Largest Doppler shift in Hz: speed over wavelength; zero for models that know no speed."""
        if "speed_kmh" not in entry(self.model).reads:
            return 0.0
        return self.speed_kmh / 3.6 * self.carrier_frequency_hz / _SPEED_OF_LIGHT


class OfdmSpec(_Spec):
    """The OFDM resource grid of one slot and how the receiver learns the channel from its pilots."""

    subcarrier_spacing_khz: Literal[15, 30, 60, 120, 240, 480, 960] = 30
    num_subcarriers: int = Field(default=24 * SUBCARRIERS_PER_PRB, ge=SUBCARRIERS_PER_PRB, le=3300)
    fft_size: int | None = Field(
        default=None, ge=SUBCARRIERS_PER_PRB, le=4096, description="None: the power of two that fits"
    )
    dc_null: bool = Field(default=False, description="leave the subcarrier at the carrier frequency empty")
    cyclic_prefix: Literal["normal", "extended"] = "normal"
    num_ofdm_symbols: int = Field(default=14, ge=2, le=14, description="OFDM symbols a slot")
    pilot_symbols: tuple[int, ...] = Field(default=(2, 11), min_length=1)
    num_streams: int = Field(default=1, ge=1, le=4, description="spatially multiplexed layers")
    csi: CsiKind = "ls-cp"
    waveform: Literal["cp-ofdm", "dft-s-ofdm"] = "cp-ofdm"
    ptrs_prb_spacing: Literal[0, 2, 4] = Field(
        default=0,
        description="a subcarrier of phase-tracking pilots (PT-RS) in every so many PRBs of data symbols, by "
        "which the common phase error of each symbol is corrected; 0 for none",
    )

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

    @model_validator(mode="after")
    def _check_waveform(self) -> Self:
        if self.waveform == "dft-s-ofdm" and (self.num_streams > 1 or self.ptrs_prb_spacing):
            raise ValueError(
                "waveform 'dft-s-ofdm' has one layer (num_streams 1, TS 38.211 §6.3.1.3) and here no PT-RS "
                "(ptrs_prb_spacing 0)"
            )
        return self

    @model_validator(mode="after")
    def _check_grid(self) -> Self:
        if self.fft_size is not None and self.fft_size < self.num_subcarriers + self.dc_null:
            raise ValueError(
                f"fft_size must be at least {self.num_subcarriers + self.dc_null} to hold num_subcarriers"
                f"{' and the empty one at DC' if self.dc_null else ''}, not {self.fft_size}"
            )
        if self.cyclic_prefix == "extended" and (self.subcarrier_spacing_khz, self.num_ofdm_symbols) != (
            60,
            12,
        ):
            raise ValueError(
                "cyclic_prefix 'extended' exists at subcarrier_spacing_khz 60 with num_ofdm_symbols 12 only "
                f"(TS 38.211 Table 4.2-1), not at {self.subcarrier_spacing_khz} with {self.num_ofdm_symbols}"
            )
        return self

    @property
    def effective_fft_size(self) -> int:
        """`fft_size`, or the smallest power of two that holds the subcarriers."""
        return self.fft_size or 1 << (self.num_subcarriers + self.dc_null - 1).bit_length()

    @property
    def guard_carriers(self) -> tuple[int, int]:
        """Empty subcarriers below and above the used ones."""
        unused = self.effective_fft_size - self.num_subcarriers - self.dc_null
        return (unused + 1) // 2, unused // 2

    @property
    def cyclic_prefix_s(self) -> float:
        """Duration of the cyclic prefix in seconds (TS 38.211 §5.3.1; the longer ones aren't counted on)."""
        fraction = 144 / 2048 if self.cyclic_prefix == "normal" else 512 / 2048
        return fraction / (self.subcarrier_spacing_khz * 1e3)

    @property
    def slot_duration_s(self) -> float:
        """Duration of a slot in seconds; the mean cyclic prefix is included (TS 38.211 §4.3.2)."""
        return self.num_ofdm_symbols * self.symbol_duration_s

    @property
    def symbol_duration_s(self) -> float:
        """Mean duration of an OFDM symbol with its cyclic prefix: 1 ms / 14 at 15 kHz, in seconds."""
        symbols_a_slot = 14 if self.cyclic_prefix == "normal" else 12
        return 15.0 / self.subcarrier_spacing_khz * 1e-3 / symbols_a_slot


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
    radio: RadioSpec = RadioSpec()
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
    def _check_doppler(self) -> Self:
        doppler_hz, spacing_khz = self.channel.max_doppler_hz, self.ofdm.subcarrier_spacing_khz
        if doppler_hz > MOST_DOPPLER * spacing_khz * 1e3:
            raise ValueError(
                f"channel.speed_kmh {self.channel.speed_kmh:g} at channel.carrier_frequency_hz "
                f"{self.channel.carrier_frequency_hz:g} is a Doppler shift of {doppler_hz:.0f} Hz, more than "
                f"a quarter of ofdm.subcarrier_spacing_khz ({spacing_khz}): the channel would change within "
                "an OFDM symbol. Lower one of the first two, or widen the spacing"
            )
        return self

    @model_validator(mode="after")
    def _check_radio(self) -> Self:
        prefix_ns = self.ofdm.cyclic_prefix_s * 1e9
        if self.radio.timing_offset_ns > prefix_ns / 2:
            raise ValueError(
                f"radio.timing_offset_ns must be at most half of the cyclic prefix ({prefix_ns / 2:.0f} ns), "
                f"not {self.radio.timing_offset_ns:g}"
            )
        spacing_hz = self.ofdm.subcarrier_spacing_khz * 1e3
        if abs(self.radio.cfo_hz) > MOST_DOPPLER * spacing_hz:
            raise ValueError(
                f"radio.cfo_hz must be at most a quarter of the subcarrier spacing ({spacing_hz / 4:g} Hz), "
                f"not {self.radio.cfo_hz:g}"
            )
        boosted = [name for name, c in self.classes.items() if c.power_boost_db]
        if self.ofdm.waveform == "dft-s-ofdm" and boosted:
            raise ValueError(
                f"classes.{boosted[0]}.power_boost_db must be 0 with ofdm.waveform 'dft-s-ofdm', whose DFT "
                "mixes the packets of a symbol"
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
