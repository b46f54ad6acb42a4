import pytest

from channels.describe import describe
from channels.propagation.registry import entry, names
from channels.spec import ChannelSpec, ClassSpec, LinkSpec, OfdmSpec


def test_numbers_are_those_of_the_standard():
    spec = LinkSpec(
        channel=ChannelSpec(model="tdl-c", carrier_frequency_hz=3e9, speed_kmh=108, delay_spread_ns=300),
        ofdm=OfdmSpec(num_subcarriers=600, fft_size=1024, dc_null=True, subcarrier_spacing_khz=15),
        classes={"base": ClassSpec(mcs=9, harq_rounds=3, power_boost_db=1.5)},
    )
    text = describe(spec)
    # 30 m/s over a wavelength of 0.09993 m; 144 samples of 2048 at 15 kHz; 1024 - 600 - 1 guards
    for words in (
        "Doppler up to 300.2 Hz",
        "300 ns RMS",
        "= 9 MHz",
        "1 ms",
        "4688 ns",
        "212 + 211",
        "DC empty",
    ):
        assert words in text
    assert "base: MCS 9, QPSK at rate 0.663, 1.326 bit a symbol, power boost +1.5 dB, HARQ up to 3" in text


@pytest.mark.parametrize("model", sorted(names()))
def test_every_model_is_described(model):
    text = describe(LinkSpec(channel=ChannelSpec(model=model)))
    assert entry(model).summary in text
    assert ("RMS" in text) == (model in {f"{kind}-{letter}" for kind in ("tdl", "cdl") for letter in "abcde"})
    assert ("km/h" in text) == (model not in ("awgn", "rayleigh", "rician", "cir"))
