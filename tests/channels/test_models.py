import numpy as np
import pytest
import torch
from scipy.special import j0

from channels.models import build_channel_model
from channels.randomness import derive_seed, seeded_sionna
from channels.spec import ChannelSpec

# TR 38.901 Table 7.7.2-3, the first, strongest and last of its 24 taps: normalised delay, power in dB
TDL_C = {0: (0.0, -4.4), 5: (0.6366, 0.0), 23: (8.6523, -22.8)}


@pytest.mark.parametrize("model", ["rayleigh", "rician", "tdl-a", "tdl-d", "tdl-c300", "cdl-c", "umi", "inh"])
def test_realisations_depend_on_the_seed_alone_and_extend_in_time(model):
    channel = build_channel_model(ChannelSpec(model=model, speed_kmh=60))
    first, delays = channel.impulse_response(1, 20, 1e-4)
    other, _ = channel.impulse_response(2, 20, 1e-4)
    longer, same_delays = channel.impulse_response(1, 40, 1e-4)
    torch.testing.assert_close(longer[..., :20], first, rtol=1e-3, atol=1e-3)
    assert torch.equal(delays, same_delays)
    assert (other - first).abs().max() > 0.1


@pytest.mark.parametrize("model", ["rayleigh", "rician", "tdl-a", "tdl-e", "cdl-a"])
def test_mean_power_is_one_per_antenna_pair(model):
    channel = build_channel_model(ChannelSpec(model=model, num_tx_antennas=2, num_rx_antennas=2))
    draws = torch.stack(
        [channel.impulse_response(s, 1, 1.0)[0].abs().square().sum(2).mean() for s in range(200)]
    )
    assert abs(float(draws.mean()) - 1) < 4 * float(draws.std()) / 200**0.5


def test_tdl_profile_is_that_of_the_table():
    channel = build_channel_model(ChannelSpec(model="tdl-c", delay_spread_ns=300))
    statistics = channel.statistics()
    powers_db = 10 * torch.log10(statistics.powers)
    for tap, (delay, power) in TDL_C.items():
        assert float(statistics.delays_s[tap]) == pytest.approx(delay * 300e-9, rel=1e-4)
        assert float(powers_db[tap] - powers_db[5]) == pytest.approx(power, abs=1e-3)


def test_tdl_taps_have_the_powers_of_the_profile():
    channel = build_channel_model(ChannelSpec(model="tdl-a"))
    gains = torch.stack([channel.impulse_response(s, 1, 1.0)[0][0, 0, :, 0] for s in range(1500)])
    # |CN(0, p)|^2 has standard deviation p
    ratio = gains.abs().square().mean(0) / channel.statistics().powers
    assert ((ratio - 1).abs() < 4.5 / 1500**0.5).all()


def test_doppler_is_jakes():
    channel = build_channel_model(ChannelSpec(model="tdl-a", speed_kmh=108, carrier_frequency_hz=3e9))
    step, steps = 2e-4, 16
    gains = torch.stack([channel.impulse_response(s, steps, step)[0][0, 0] for s in range(400)])
    power = gains.abs().square().mean(dim=(0, 2), keepdim=True)
    correlation = (gains[..., :1].conj() * gains / power).real.mean(dim=(0, 1))
    # Doppler 300.2 Hz, autocorrelation J0(2 pi f t)
    expected = j0(2 * np.pi * 300.2 * step * np.arange(steps))
    assert np.abs(correlation.numpy() - expected).max() < 0.06


@pytest.mark.parametrize("model", ["tdl-a", "tdl-b", "tdl-c", "cdl-b"])
def test_delay_spread_is_the_one_asked_for(model):
    statistics = build_channel_model(ChannelSpec(model=model, delay_spread_ns=250)).statistics()
    mean = (statistics.powers * statistics.delays_s).sum()
    spread = (statistics.powers * (statistics.delays_s - mean) ** 2).sum().sqrt()
    assert float(spread) == pytest.approx(250e-9, rel=0.03)


def test_awgn_antennas_are_orthogonal():
    gains, _ = build_channel_model(
        ChannelSpec(model="awgn", num_tx_antennas=3, num_rx_antennas=4)
    ).impulse_response(0, 1, 1.0)
    h = gains[:, :, 0, 0]
    torch.testing.assert_close(h.mH @ h, 4 * torch.eye(3, dtype=h.dtype), atol=1e-5, rtol=0)


def test_rician_k_factor():
    channel = build_channel_model(ChannelSpec(model="rician", rician_k_db=3.0))
    power = torch.stack(
        [channel.impulse_response(s, 1, 1.0)[0].abs().square().squeeze() for s in range(4000)]
    )
    # Var(|h|^2) = (2 K + 1) / (K + 1)^2; its estimate's standard error is below 3 % here
    k = 10**0.3
    assert float(power.var()) == pytest.approx((2 * k + 1) / (k + 1) ** 2, rel=0.12)


def test_sionnas_generators_are_put_back():
    from sionna.phy import config

    config.seed = 12
    before = torch.rand(3, generator=config.torch_rng("cpu"))
    config.seed = 12
    with seeded_sionna(99):
        torch.rand(7, generator=config.torch_rng("cpu"))
        config.np_rng.random(5)
    assert torch.equal(torch.rand(3, generator=config.torch_rng("cpu")), before)
    assert config.seed == 12


def test_derived_seeds_differ_by_purpose():
    seeds = {derive_seed(seed, *purpose) for seed in range(50) for purpose in ((0,), (1, 0), (1, 1), (2, 0))}
    assert len(seeds) == 200
