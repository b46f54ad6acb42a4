import pytest
from pydantic import ValidationError

from channels.spec import ChannelSpec, ClassSpec, LinkSpec, OfdmSpec


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ChannelSpec(model="tdl-z"), r"(?s)model.*'awgn', 'rayleigh'"),
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
