"""Impairments on the grid: closed forms of what carriers suffer, and what the links make of it."""

import math

import pytest
import torch

from channels.describe import describe
from channels.impairments.amplifier import bussgang, evm, rapp
from channels.impairments.chain import RadioChain
from channels.impairments.spec import RadioSpec
from channels.links.abstraction import AbstractLink
from channels.links.analog import AnalogLink
from channels.links.digital import DigitalLink, Payload
from channels.ofdm.front_end import OfdmFrontEnd, _subcarrier_frequencies
from channels.spec import ChannelSpec, ClassSpec, LinkSpec, OfdmSpec

# Every bin in use, so that interference between carriers comes from both sides everywhere
FULL = OfdmSpec(num_subcarriers=252, fft_size=256, subcarrier_spacing_khz=120)


def chain_of(ofdm=FULL, **radio):
    return RadioChain(RadioSpec(**radio), ofdm, 140e9, _subcarrier_frequencies(ofdm))


def symbols(slots, rows, ofdm=FULL, seed=0):
    shape = (slots, rows, ofdm.num_ofdm_symbols, ofdm.num_subcarriers)
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def test_a_grid_modulated_is_the_grid_again_at_any_rate():
    grid, chain = symbols(2, 1), chain_of(adc_bits=8)
    for size in (256, 1024):
        wave = chain.modulate(grid, size)
        assert float(wave.abs().square().mean()) == pytest.approx(float(grid.abs().square().mean()), rel=1e-4)
        torch.testing.assert_close(chain.demodulate(wave, size), grid, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
def test_a_frequency_offset_leaks_as_the_sinc_says(share):
    """sinc^2 of the offset stays on the carrier (Moose, IEEE Trans. Commun. 42(10), 1994), the rest leaks."""
    got = chain_of(cfo_hz=share * 120e3).receive(symbols(4, 1), [1] * 4, range(4))
    kept = (math.sin(math.pi * share) / (math.pi * share)) ** 2
    assert float(got.gain.abs().square().mean()) == pytest.approx(kept, rel=0.01)
    assert float(got.evm_squared.mean()) == pytest.approx((1 - kept) / kept, rel=0.06)


def test_the_common_phase_of_a_frequency_offset_turns_with_time():
    got = chain_of(cfo_hz=1000.0).receive(symbols(1, 1), [1], [0])
    turn = got.gain[0, 1:] * got.gain[0, :-1].conj()
    expected = 2 * math.pi * 1000 * FULL.symbol_duration_s
    # The window begins at a whole sample, and other carriers leak into the estimate
    assert torch.allclose(turn.angle(), torch.full((13,), expected), atol=0.1 * expected)


def test_an_amplifiers_distortion_in_the_band_is_less_than_all_of_it():
    got = chain_of(pa_backoff_db=3.0, pa_smoothness=2.0).transmit(symbols(4, 1))
    gain, power = bussgang(lambda x: rapp(x, 3.0, 2.0))
    assert float(got.gain.abs().mean()) == pytest.approx(gain / power**0.5, rel=0.01)
    assert 0.5 * evm(gain, power) < float(got.evm_squared.mean()) ** 0.5 < evm(gain, power)


def test_ofdms_peaks_are_those_of_gaussian_samples_and_dft_s_ofdms_are_lower():
    """The mean of the largest of n exponentials is ln n + 0.577; oversampling sees a little more."""
    quadrants = torch.randint(0, 4, (20, 12 * 252, 1), generator=torch.Generator().manual_seed(0))
    qpsk, papr_db = torch.exp(1j * math.pi / 2 * quadrants).to(torch.complex64), {}
    for waveform in ("cp-ofdm", "dft-s-ofdm"):
        ofdm = FULL.model_copy(update={"waveform": waveform})
        front_end = OfdmFrontEnd(ChannelSpec(model="awgn"), ofdm, radio=RadioSpec(adc_bits=16))
        (received,) = front_end.send([qpsk], [60.0], [1])
        papr_db[waveform] = received.radio.papr_db
    gaussian_db = 10 * math.log10(math.log(252) + 0.577)
    assert gaussian_db < papr_db["cp-ofdm"] < gaussian_db + 1.2
    # Two of fourteen symbols are pilots, which aren't spread
    assert papr_db["dft-s-ofdm"] < papr_db["cp-ofdm"] - 1.5


@pytest.mark.parametrize("csi", ["perfect", "ls-cp"])
def test_dft_s_ofdm_comes_back_and_its_sinr_is_that_of_the_averaged_equaliser(csi):
    ofdm = OfdmSpec(waveform="dft-s-ofdm", csi=csi)
    front_end = OfdmFrontEnd(ChannelSpec(model="tdl-c", delay_spread_ns=100, speed_kmh=0), ofdm)
    shape = (4, front_end.num_data_res, 1)
    quadrants = torch.randint(0, 4, shape, generator=torch.Generator().manual_seed(0))
    x = torch.exp(1j * math.pi / 2 * quadrants).to(torch.complex64)
    (clean,) = front_end.send([x], [90.0], [3])
    assert float((clean.symbols - x).abs().square().mean()) < 1e-3
    (noisy,) = front_end.send([x], [8.0], [3])
    error = (noisy.symbols - x).abs().square().mean()
    assert float(error) == pytest.approx(float((1 / noisy.sinr).mean()), rel=0.08)
    assert float(error) == pytest.approx(float(noisy.noise_variance.mean()), rel=0.1)


def link(ofdm=None, **radio):
    return LinkSpec(
        channel=ChannelSpec(model="awgn", carrier_frequency_hz=140e9),
        ofdm=ofdm or OfdmSpec(subcarrier_spacing_khz=480, num_subcarriers=288),
        classes={"base": ClassSpec(mcs=17)},
        radio=RadioSpec(**radio),
    )


def test_phase_tracking_pilots_bring_back_what_phase_noise_takes():
    bursts = [[Payload(bytes([i]) * 200, "base") for i in range(6)]]
    lost = {}
    for name, spacing, mask in (("ideal", 0, None), ("noisy", 0, "set-a"), ("tracked", 2, "set-a")):
        ofdm = OfdmSpec(subcarrier_spacing_khz=480, num_subcarriers=288, ptrs_prb_spacing=spacing)
        sent = DigitalLink(link(ofdm, phase_noise=mask)).send(bursts, 15.0, [1])[0]
        lost[name] = sent.classes["base"].coded_bit_errors
        assert (sent.radio is None) == (mask is None)
    assert lost["noisy"] > 2 * lost["ideal"] and lost["tracked"] < 0.7 * lost["noisy"]


def test_pilots_for_phases_are_counted():
    plain = OfdmFrontEnd(ChannelSpec(model="awgn"), OfdmSpec())
    tracked = OfdmFrontEnd(ChannelSpec(model="awgn"), OfdmSpec(ptrs_prb_spacing=2))
    assert plain.num_data_res - tracked.num_data_res == 12 * 12
    assert tracked.num_data_res + tracked.num_pilot_res == 14 * 288


def test_the_receivers_variances_hold_under_every_impairment_at_once():
    radio = RadioSpec(pa_backoff_db=6, adc_bits=5, iq_gain_db=0.5, iq_phase_deg=2, timing_offset_ns=50)
    front_end = OfdmFrontEnd(ChannelSpec(model="awgn"), OfdmSpec(), radio=radio)
    shape = (6, front_end.num_data_res, 1)
    x = torch.exp(0.5j * math.pi * torch.randint(0, 4, shape, generator=torch.Generator().manual_seed(0)))
    (got,) = front_end.send([x.to(torch.complex64)], [25.0], [1])
    error = float((got.symbols - x).abs().square().mean())
    assert error > 3 * 10**-2.5 * 0.9
    assert error == pytest.approx(float(got.noise_variance.mean()), rel=0.2)
    assert error == pytest.approx(float((1 / got.sinr).mean()), rel=0.2)


@pytest.mark.filterwarnings("error:Converting a tensor")
def test_analog_values_suffer_too_and_stay_differentiable():
    sent = torch.randn(2000, generator=torch.Generator().manual_seed(0)).requires_grad_()
    clean = AnalogLink(link()).send([sent], 30.0, [1])[0]
    bad = AnalogLink(link(pa_backoff_db=2.0)).send([sent], 30.0, [1])[0]
    assert bad.mean_square_error > 3 * clean.mean_square_error and bad.radio.evm > 0.05
    bad.values.sum().backward()
    assert sent.grad is not None and float(sent.grad.abs().sum()) > 0


def test_a_burst_suffers_the_same_alone_and_among_others():
    spec, burst = link(phase_noise="set-a", cfo_hz=500.0), [Payload(b"x" * 300, "base")]
    together = DigitalLink(spec).send([burst] * 3, 14.0, [5, 6, 7])
    assert DigitalLink(spec).send([burst], 14.0, [6])[0] == together[1]


def test_what_is_off_is_off_and_what_cannot_be_is_refused():
    assert DigitalLink(link())._front_end._chain is None
    assert "Radio" not in describe(link())
    assert "Rapp amplifier, saturation 6.0 dB" in describe(link(pa_backoff_db=6))
    with pytest.raises(ValueError, match="the abstraction knows no radio impairments"):
        AbstractLink(link(adc_bits=4))
    with pytest.raises(ValueError, match=r"radio\.timing_offset_ns must be at most half"):
        link(timing_offset_ns=1000)
    with pytest.raises(ValueError, match="power_boost_db must be 0 with"):
        LinkSpec(ofdm=OfdmSpec(waveform="dft-s-ofdm"), classes={"base": ClassSpec(mcs=4, power_boost_db=3.0)})
