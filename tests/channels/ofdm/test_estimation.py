import warnings

import pytest
import torch
from sionna.phy.ofdm import LSChannelEstimator, PilotPattern, ResourceGrid

from channels.ofdm.correlation import components
from channels.ofdm.estimation import prefix_weights
from channels.ofdm.front_end import OfdmFrontEnd
from channels.propagation.factory import build_channel_model
from channels.spec import ChannelSpec, OfdmSpec


def grid_of(front_end, spec):
    """The front end's pilots as a Sionna resource grid."""
    mask = torch.zeros(1, spec.num_streams, spec.num_ofdm_symbols, spec.num_subcarriers)
    mask[:, :, list(spec.pilot_symbols)] = 1
    pilots = front_end._pilots.flatten(1)[None]
    return ResourceGrid(
        spec.num_ofdm_symbols,
        spec.num_subcarriers,
        spec.subcarrier_spacing_khz * 1e3,
        num_streams_per_tx=spec.num_streams,
        pilot_pattern=PilotPattern(mask.numpy(), pilots.numpy(), device="cpu"),
        device="cpu",
    )


@pytest.mark.parametrize(("csi", "kind"), [("ls-linear", "lin"), ("ls-nearest", "nn")])
@pytest.mark.parametrize("streams", [1, 2])
def test_equals_sionnas_interpolation(csi, kind, streams):
    spec = OfdmSpec(num_subcarriers=48, num_streams=streams, csi=csi)
    channel = ChannelSpec(num_tx_antennas=streams, num_rx_antennas=2)
    front_end = OfdmFrontEnd(channel, spec)
    y = torch.randn(3, 2, 14, 48, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    no = torch.full((3,), 0.1)
    h = front_end._estimator.interpolate(front_end._pilot_estimates(y))
    reference, _ = LSChannelEstimator(grid_of(front_end, spec), kind, device="cpu")(y[:, None], no)
    torch.testing.assert_close(h, reference[:, 0, :, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("csi", ["ls-cp", "ls-linear", "ls-nearest", "lmmse"])
@pytest.mark.parametrize("streams", [1, 4])
def test_error_variance_on_a_flat_channel(csi, streams):
    spec = OfdmSpec(num_subcarriers=24, num_streams=streams, csi=csi)
    channel = ChannelSpec(model="rayleigh", num_tx_antennas=streams, num_rx_antennas=streams)
    estimator, slots, no = OfdmFrontEnd(channel, spec)._estimator, 4000, 0.2
    generator = torch.Generator().manual_seed(0)
    shape = (slots, 1, streams, 2, 24 // streams)
    noise = torch.randn(shape, dtype=torch.complex64, generator=generator) * (no / streams) ** 0.5
    gain = torch.randn(slots, 1, streams, 1, 1, dtype=torch.complex64, generator=generator) / streams**0.5
    h = estimator.estimate(gain + noise, torch.full((slots,), no))
    variance = estimator.error_variance(torch.tensor([no]))[0]
    error = h - gain
    # The mean of 4000 exponential variables is within 5 standard errors of its expectation
    assert ((error[:, 0].abs().square().mean(0) / variance - 1).abs() < 5 / slots**0.5).all()
    # and the error tells nothing of the estimate
    correlation = (error * h.conj())[:, 0].mean(0).abs() / (h.abs() * error.abs())[:, 0].mean(0)
    assert (correlation < 5 / slots**0.5).all()


@pytest.mark.parametrize("csi", ["ls-cp", "ls-linear", "ls-nearest", "lmmse"])
@pytest.mark.parametrize(
    ("model", "speed_kmh", "snr_db"),
    [("tdl-a", 3, 0), ("tdl-a", 120, 20), ("tdl-a", 350, 10), ("tdl-a", 500, 20), ("tdl-d", 350, 15)],
)
def test_noise_variance_is_the_true_one_at_any_speed(csi, model, speed_kmh, snr_db):
    spec, bursts = OfdmSpec(num_subcarriers=24, csi=csi), 300
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of interference between carriers
        front_end = OfdmFrontEnd(ChannelSpec(model=model, speed_kmh=speed_kmh), spec)
    generator = torch.Generator().manual_seed(1)
    quadrants = torch.randint(0, 4, (bursts, 1, front_end.num_data_res, 1), generator=generator)
    x = torch.exp(1j * torch.pi / 2 * quadrants).to(torch.complex64)
    received = front_end.send([*x], [snr_db] * bursts, range(bursts))
    error = torch.stack([r.symbols for r in received]) - x
    believed = torch.stack([r.noise_variance for r in received])
    assert float((error.abs().square() / believed).mean()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("subcarriers", "streams"), [(288, 1), (48, 2), (1152, 1)])
def test_delays_inside_the_prefix_survive_the_projection_and_most_noise_does_not(subcarriers, streams):
    spec = OfdmSpec(num_subcarriers=subcarriers, num_streams=streams)
    frequencies = 30e3 * torch.arange(subcarriers, dtype=torch.float64)
    comb = frequencies[::streams]
    weights = prefix_weights(spec, frequencies, comb)
    delays = torch.linspace(0, spec.cyclic_prefix_s, 40, dtype=torch.float64)
    wanted, known = (torch.exp(-2j * torch.pi * f[:, None] * delays) for f in (frequencies, comb))
    missed = (weights @ known - wanted).abs().square().mean(0)
    assert float(missed.max()) < 10**-3.5
    # White noise keeps a share of (dimensions of the space) / (subcarriers): 7 %, margins, the band's edges
    noise = float(weights.abs().square().sum(1).mean()) / streams
    assert noise < 144 / 2048 * 17 / 16 + 8 / subcarriers


def test_statistics_with_a_line_of_sight_are_those_of_the_draws():
    spec = ChannelSpec(model="tdl-d", speed_kmh=200)
    model = build_channel_model(spec)
    step = OfdmSpec().symbol_duration_s
    gains = model.impulse_responses(range(3000), 14, step)[0][:, 0, 0]
    measured = (gains.sum(1)[:, :1].conj() * gains.sum(1)).mean(0)
    expected = sum(
        part.powers.sum() * part.in_time(step * torch.arange(14)) for part in components(model.statistics())
    )
    torch.testing.assert_close(measured, expected.to(torch.complex64), atol=0.03, rtol=0)


@pytest.mark.parametrize("streams", [1, 2])
def test_lmmse_error_is_the_predicted_one_and_below_least_squares(streams):
    channel = ChannelSpec(
        model="tdl-c", delay_spread_ns=300, speed_kmh=200, num_tx_antennas=streams, num_rx_antennas=streams
    )
    errors = {}
    for csi in ("lmmse", "ls-linear"):
        spec = OfdmSpec(num_subcarriers=48, num_streams=streams, csi=csi)
        front_end, slots = OfdmFrontEnd(channel, spec), 400
        no = torch.full((slots,), 0.1)
        h = torch.cat([front_end.channel(seed, 1) for seed in range(slots)])
        generator = torch.Generator().manual_seed(0)
        sounded = h[:, :, :, list(spec.pilot_symbols)]
        ls = torch.stack([sounded[:, :, s, :, s::streams] for s in range(streams)], dim=2)
        ls = ls + torch.randn(ls.shape, dtype=ls.dtype, generator=generator) * (0.1 / streams) ** 0.5
        measured = (front_end._estimator.estimate(ls, no) - h).abs().square().mean(dim=(0, 1))
        errors[csi] = measured, front_end.error_variance(no)[0]
    measured, predicted = errors["lmmse"]
    assert float(measured.mean()) == pytest.approx(float(predicted.mean()), rel=0.08)
    # On the data symbols farthest from a pilot, too
    assert float(measured[:, 6].mean()) == pytest.approx(float(predicted[:, 6].mean()), rel=0.1)
    assert float(measured.mean()) < 0.7 * float(errors["ls-linear"][0].mean())


def test_lmmse_with_little_noise_returns_what_was_sounded():
    spec = OfdmSpec(num_subcarriers=24, csi="lmmse")
    front_end = OfdmFrontEnd(ChannelSpec(model="tdl-a", speed_kmh=30), spec)
    h = front_end.channel(5, 1)
    ls = h[:, :, :, list(spec.pilot_symbols)]
    estimate = front_end._estimator.estimate(ls, torch.tensor([1e-7]))
    torch.testing.assert_close(estimate[:, :, :, list(spec.pilot_symbols)], ls, atol=2e-3, rtol=0)
