import numpy as np
import pytest
import torch
from scipy.special import j0

from channels.ofdm.front_end import OfdmFrontEnd
from channels.propagation.factory import build_channel_model
from channels.randomness import derive_seed, seeded_sionna
from channels.spec import ChannelSpec, OfdmSpec

# TR 38.901 Table 7.7.2-3, the first, strongest and last of its 24 taps: normalised delay, power in dB
TDL_C = {0: (0.0, -4.4), 5: (0.6366, 0.0), 23: (8.6523, -22.8)}


@pytest.mark.filterwarnings("ignore:channel model .* ignores speed_kmh")
@pytest.mark.parametrize("model", ["rayleigh", "rician", "tdl-a", "tdl-d", "tdl-c300", "cdl-c", "umi", "inh"])
def test_realisations_depend_on_the_seed_alone_and_extend_in_time(model):
    channel = build_channel_model(ChannelSpec(model=model, speed_kmh=60))
    first, delays = channel.impulse_responses([1], 20, 1e-4)
    both, all_delays = channel.impulse_responses([2, 1], 20, 1e-4)
    longer, same_delays = channel.impulse_responses([1], 40, 1e-4)
    torch.testing.assert_close(longer[..., :20], first, rtol=1e-3, atol=1e-3)
    assert torch.equal(delays, same_delays)
    assert torch.equal(both[1], first[0])
    assert torch.equal(all_delays[-1], delays[0])
    assert (both[0] - first[0]).abs().max() > 0.1


@pytest.mark.parametrize("model", ["rayleigh", "rician", "tdl-a", "tdl-e", "cdl-a"])
def test_mean_power_is_one_per_antenna_pair(model):
    channel = build_channel_model(ChannelSpec(model=model, num_tx_antennas=2, num_rx_antennas=2))
    draws = channel.impulse_responses(range(200), 1, 1.0)[0].abs().square().sum(3).mean((1, 2, 3))
    assert abs(float(draws.mean()) - 1) < 4 * float(draws.std()) / 200**0.5


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "cdl-a", "num_tx_antennas": 3},
        {"model": "cdl-d", "num_tx_antennas": 4, "antenna_pattern": "38.901"},
        {
            "model": "cdl-c",
            "num_tx_antennas": 4,
            "num_rx_antennas": 2,
            "antenna_polarization": "dual",
            "antenna_pattern": "38.901",
        },
    ],
)
def test_power_and_correlation_of_cdl_are_those_of_sionnas_draws(fields):
    model, draws = build_channel_model(ChannelSpec(**fields)), 1500
    with seeded_sionna(5):
        gains = model._gain * model._cdl(draws, 1, 1.0)[0][:, 0, :, 0, ..., 0].to(torch.complex128)
    measured = torch.einsum("brip,brjp->ij", gains.conj(), gains) / draws / gains.shape[1]
    torch.testing.assert_close(measured, model.transmit_correlation(), atol=0.06, rtol=0)
    powers = gains.abs().square().mean(dim=(0, 1, 2))
    torch.testing.assert_close(powers, model.statistics().powers, atol=0.04, rtol=0)


@pytest.mark.parametrize(
    ("model", "tx", "rx", "streams", "tolerance_db"),
    [
        # Without the norm: +12.0, +6.0, +11.6, -2.2, +4.0, +5.8 dB
        ("awgn", 16, 1, 1, 1e-3),
        ("awgn", 4, 2, 2, 1e-3),
        ("tdl-d", 16, 1, 1, 0.6),
        ("rician", 4, 1, 1, 0.6),
        ("tdl-a", 4, 2, 1, 0.4),
        ("cdl-c", 8, 1, 1, 0.6),
        ("cdl-d", 8, 2, 2, 0.6),
    ],
)
def test_received_power_is_one_whatever_the_antennas(model, tx, rx, streams, tolerance_db):
    draws = 300 if model.startswith("cdl") else 1500
    front_end = OfdmFrontEnd(
        ChannelSpec(model=model, num_tx_antennas=tx, num_rx_antennas=rx),
        OfdmSpec(num_subcarriers=24, num_streams=streams),
    )
    h = front_end.sampled_channels(range(draws), [0] * draws, 1, 1, torch.arange(0, 24, 6))
    power = float(h.abs().square().sum(dim=3).mean())
    assert abs(10 * np.log10(power)) < tolerance_db


@pytest.mark.parametrize(("model", "antennas"), [("tdl-c", (2, 3)), ("tdl-e", (1, 1)), ("tdl-d30", (1, 1))])
def test_tdl_draws_what_sionnas_does(model, antennas):
    from sionna.phy.channel.tr38901 import TDL

    num_tx, num_rx = antennas
    spec = ChannelSpec(model=model, speed_kmh=300, num_tx_antennas=num_tx, num_rx_antennas=num_rx)
    gains, delays = build_channel_model(spec).impulse_responses([7, 8], 30, 1e-4)
    profile, speed = model.removeprefix("tdl-").upper(), 300 / 3.6
    spread = 100e-9 if len(profile) == 1 else None
    counts = {"num_rx_ant": num_rx, "num_tx_ant": num_tx}
    tdl = TDL(profile, spread, 3.5e9, min_speed=speed, max_speed=speed, **counts, device="cpu")
    with seeded_sionna(8):
        expected, expected_delays = tdl(1, 30, 1e4)
    torch.testing.assert_close(gains[1], expected[0, 0, :, 0], atol=1e-4, rtol=0)
    torch.testing.assert_close(delays[0], expected_delays[0, 0, 0])


def test_tdl_profile_is_that_of_the_table():
    channel = build_channel_model(ChannelSpec(model="tdl-c", delay_spread_ns=300))
    statistics = channel.statistics()
    powers_db = 10 * torch.log10(statistics.powers)
    for tap, (delay, power) in TDL_C.items():
        assert float(statistics.delays_s[tap]) == pytest.approx(delay * 300e-9, rel=1e-4)
        assert float(powers_db[tap] - powers_db[5]) == pytest.approx(power, abs=1e-3)


def test_tdl_taps_have_the_powers_of_the_profile():
    channel = build_channel_model(ChannelSpec(model="tdl-a"))
    gains = channel.impulse_responses(range(1500), 1, 1.0)[0][:, 0, 0, :, 0]
    # |CN(0, p)|^2 has standard deviation p
    ratio = gains.abs().square().mean(0) / channel.statistics().powers
    assert ((ratio - 1).abs() < 4.5 / 1500**0.5).all()


def test_doppler_is_jakes():
    channel = build_channel_model(ChannelSpec(model="tdl-a", speed_kmh=108, carrier_frequency_hz=3e9))
    step, steps = 2e-4, 16
    gains = channel.impulse_responses(range(400), steps, step)[0][:, 0, 0]
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
    ).impulse_responses([0], 1, 1.0)
    h = gains[0, :, :, 0, 0]
    torch.testing.assert_close(h.mH @ h, 4 * torch.eye(3, dtype=h.dtype), atol=1e-5, rtol=0)


def test_rician_k_factor():
    channel = build_channel_model(ChannelSpec(model="rician", rician_k_db=3.0))
    power = channel.impulse_responses(range(4000), 1, 1.0)[0].abs().square().squeeze()
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


def test_a_scenarios_statistics_are_drawn_once_and_stored(tmp_path, monkeypatch):
    from channels.propagation import drops

    monkeypatch.setenv("SEMCOM_CACHE", str(tmp_path))
    monkeypatch.setattr(drops, "_DRAWS", 8)
    monkeypatch.setattr(drops, "_BATCH", 4)
    # A carrier that isn't shipped
    spec = ChannelSpec(model="inh", carrier_frequency_hz=3.1e9, num_tx_antennas=2)
    first = drops.Scenario(spec)
    assert len(list((tmp_path / "drops").glob("inh-*.json"))) == 1
    monkeypatch.setattr(drops.Scenario, "_calibrate", None)
    again = drops.Scenario(spec.model_copy(update={"speed_kmh": 60.0}))
    assert again._gain == first._gain
    assert again.statistics().max_doppler_hz == pytest.approx(20 * first.statistics().max_doppler_hz)
    correlation = again.transmit_correlation()
    assert float(correlation.diagonal().real.mean()) == pytest.approx(1)
    torch.testing.assert_close(correlation, correlation.mH)
