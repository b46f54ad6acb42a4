import pytest
import torch
from sionna.phy.ofdm import LSChannelEstimator, PilotPattern, ResourceGrid

from channels.estimation import LeastSquaresEstimator
from channels.ofdm import OfdmFrontEnd
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
    h, _ = front_end._estimator(front_end._pilot_estimates(y), no)
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
    h, variance = estimator(1 + noise, torch.full((slots,), no))
    measured = (h[:, 0] - 1).abs().square()
    # The mean of 4000 exponential variables is within 5 standard errors of its expectation
    assert ((measured.mean(0) / variance[0] - 1).abs() < 5 / slots**0.5).all()
