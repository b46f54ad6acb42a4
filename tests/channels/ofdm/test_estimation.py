import pytest
import torch
from sionna.phy.ofdm import LSChannelEstimator, PilotPattern, ResourceGrid

from channels.ofdm.estimation import LeastSquaresEstimator
from channels.ofdm.front_end import OfdmFrontEnd
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
    h = front_end._estimator.estimate(front_end._pilot_estimates(y), no)
    reference, _ = LSChannelEstimator(grid_of(front_end, spec), kind, device="cpu")(y[:, None], no)
    torch.testing.assert_close(h, reference[:, 0, :, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("csi", ["ls-linear", "ls-nearest"])
@pytest.mark.parametrize("streams", [1, 4])
def test_error_variance_on_a_constant_channel(csi, streams):
    spec = OfdmSpec(num_subcarriers=24, num_streams=streams, csi=csi)
    estimator, slots, no = LeastSquaresEstimator(spec), 4000, 0.2
    generator = torch.Generator().manual_seed(0)
    shape = (slots, 1, streams, 2, 24 // streams)
    noise = torch.randn(shape, dtype=torch.complex64, generator=generator) * (no / streams) ** 0.5
    no_of_slots = torch.full((slots,), no)
    h, variance = estimator.estimate(1 + noise, no_of_slots), estimator.error_variance(no_of_slots)
    measured = (h[:, 0] - 1).abs().square()
    # The mean of 4000 exponential variables is within 5 standard errors of its expectation
    assert ((measured.mean(0) / variance[0] - 1).abs() < 5 / slots**0.5).all()


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
