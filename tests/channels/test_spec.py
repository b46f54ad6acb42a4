import warnings

import pytest
import torch
from pydantic import ValidationError

from channels.spec import ChannelSpec, ClassSpec, LinkSpec, OfdmSpec


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ChannelSpec(model="tdl-z"), r"(?s)unknown channel model 'tdl-z'; did you mean 'tdl-"),
        (
            lambda: ChannelSpec(carrier_frequency_hz=1e8),
            r"(?s)carrier_frequency_hz.*greater than or equal to 5",
        ),
        (lambda: ChannelSpec(speed_kmh=501), r"(?s)speed_kmh.*less than or equal to 500"),
        (lambda: ChannelSpec(delay_spread_ns=float("nan")), r"(?s)delay_spread_ns.*finite"),
        (lambda: ChannelSpec(tap=3), r"(?s)tap.*[Ee]xtra"),
        (lambda: OfdmSpec(num_subcarriers=11), r"(?s)num_subcarriers.*greater than or equal to 12"),
        (lambda: OfdmSpec(subcarrier_spacing_khz=45), r"(?s)subcarrier_spacing_khz.*15, 30, 60"),
        (lambda: OfdmSpec(pilot_symbols=(2, 14)), r"pilot_symbols must be increasing indices from 0 to 13"),
        (lambda: OfdmSpec(pilot_symbols=(11, 2)), r"pilot_symbols must be increasing"),
        (lambda: OfdmSpec(num_ofdm_symbols=2, pilot_symbols=(0, 1)), r"at least one of num_ofdm_symbols"),
        (
            lambda: OfdmSpec(num_subcarriers=50, num_streams=4),
            r"num_subcarriers must be a multiple of num_streams",
        ),
        (lambda: ClassSpec(mcs=29), r"(?s)mcs.*less than or equal to 28"),
        (lambda: ClassSpec(mcs=1, harq_rounds=5), r"(?s)harq_rounds.*less than or equal to 4"),
        (
            lambda: LinkSpec(mcs_table=2, classes={"base": ClassSpec(mcs=28)}),
            r"classes\.base\.mcs must be from 0 to 27 in mcs_table 2, not 28",
        ),
        (
            lambda: LinkSpec(ofdm=OfdmSpec(num_streams=2)),
            r"ofdm\.num_streams must be at most 1.*channel\.num_tx_antennas",
        ),
    ],
)
def test_bad_specs_name_the_field_and_the_range(build, message):
    with pytest.raises(ValidationError, match=message):
        build()


def test_specs_round_trip_through_json():
    spec = LinkSpec(channel=ChannelSpec(model="tdl-c", speed_kmh=120), classes={"only": ClassSpec(mcs=5)})
    assert LinkSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(("scs", "slot_ms"), [(15, 1.0), (30, 0.5), (120, 0.125), (960, 1 / 64)])
def test_slots_last_as_long_as_in_ts_38_211(scs, slot_ms):
    assert OfdmSpec(subcarrier_spacing_khz=scs).slot_duration_s == pytest.approx(slot_ms * 1e-3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: ChannelSpec(model="rma", carrier_frequency_hz=60e9),
            "carrier_frequency_hz must be from 0.5e9 to 30e9",
        ),
        (
            lambda: ChannelSpec(model="umi", carrier_frequency_hz=140e9),
            "from 0.5e9 to 100e9 for model 'umi'",
        ),
        (
            lambda: ChannelSpec(model="rician", carrier_frequency_hz=151e9),
            r"(?s)carrier_frequency_hz.*less than or equal",
        ),
        (
            lambda: ChannelSpec(antenna_polarization="dual"),
            r"num_tx_antennas and num_rx_antennas must be even",
        ),
        (lambda: OfdmSpec(fft_size=256), r"fft_size must be at least 288"),
        (lambda: OfdmSpec(fft_size=288, dc_null=True), r"fft_size must be at least 289"),
        (
            lambda: OfdmSpec(cyclic_prefix="extended"),
            r"cyclic_prefix 'extended' exists at subcarrier_spacing_khz 60",
        ),
    ],
)
def test_more_bad_specs(build, message):
    with pytest.raises(ValidationError, match=message):
        build()


def test_a_channel_that_changes_within_a_symbol_is_refused():
    # 500 km/h at 150 GHz: 69.5 kHz
    with pytest.raises(ValidationError, match=r"Doppler shift of 69493 Hz, more than a quarter of ofdm\.sub"):
        LinkSpec(
            channel=ChannelSpec(speed_kmh=500, carrier_frequency_hz=150e9),
            ofdm=OfdmSpec(subcarrier_spacing_khz=240),
        )
    # Block fading knows no speed
    with pytest.warns(UserWarning, match="ignores speed_kmh"):
        LinkSpec(channel=ChannelSpec(model="rician", speed_kmh=500, carrier_frequency_hz=150e9))


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"model": "awgn", "speed_kmh": 30}, "speed_kmh"),
        ({"model": "rayleigh", "delay_spread_ns": 30, "rician_k_db": 3}, "delay_spread_ns, rician_k_db"),
        ({"model": "tdl-c300", "delay_spread_ns": 30}, "delay_spread_ns"),
        ({"model": "tdl-a", "los": True, "antenna_pattern": "38.901"}, "antenna_pattern, los"),
        ({"model": "umi", "delay_spread_ns": 30}, "delay_spread_ns"),
        ({"model": "cdl-a", "ray_tracing": {"scene": "munich"}}, "ray_tracing"),
    ],
)
def test_a_field_that_the_model_ignores_is_named(fields, ignored):
    with pytest.warns(UserWarning, match=f"channel model '{fields['model']}' ignores {ignored}; it reads"):
        ChannelSpec(**fields)


def test_a_field_left_at_its_default_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ChannelSpec(model="awgn", speed_kmh=3, delay_spread_ns=100)


def test_guards_and_dc_follow_sionnas_grid():
    from sionna.phy.ofdm import ResourceGrid

    from channels.ofdm.front_end import _subcarrier_frequencies

    spec = OfdmSpec(num_subcarriers=50, fft_size=64, dc_null=True, subcarrier_spacing_khz=15)
    grid = ResourceGrid(14, 64, 15e3, num_guard_carriers=spec.guard_carriers, dc_null=True, device="cpu")
    index = (_subcarrier_frequencies(spec) / 15e3).long() + 32
    assert torch.equal(index, torch.as_tensor(grid.effective_subcarrier_ind).cpu().long())
