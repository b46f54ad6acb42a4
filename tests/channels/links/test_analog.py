import pytest
import torch

from channels.links.analog import AnalogLink
from channels.spec import ChannelSpec, LinkSpec, OfdmSpec

SMALL = OfdmSpec(num_subcarriers=12, num_ofdm_symbols=3, pilot_symbols=(0,))


@pytest.mark.parametrize("csi", ["ls-linear", "perfect", "lmmse"])
@pytest.mark.parametrize("streams", [1, 2])
def test_gradients_through_ofdm_and_tdl(csi, streams):
    channel = ChannelSpec(model="tdl-a", num_tx_antennas=streams, num_rx_antennas=streams)
    link = AnalogLink(
        LinkSpec(channel=channel, ofdm=SMALL.model_copy(update={"csi": csi, "num_streams": streams}))
    )
    values = torch.randn(
        20, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    assert torch.autograd.gradcheck(lambda x: link.send([x], 10.0, [3])[0].values, (values,))


@pytest.mark.parametrize("csi", ["perfect", "lmmse"])
@pytest.mark.parametrize("antennas", [1, 2])
def test_error_variance_is_what_lmmse_theory_predicts(csi, antennas):
    spec = LinkSpec(
        channel=ChannelSpec(model="tdl-a", num_tx_antennas=antennas, num_rx_antennas=antennas),
        ofdm=OfdmSpec(num_subcarriers=48, num_streams=antennas, csi=csi),
    )
    bursts = [torch.randn(4000, generator=torch.Generator().manual_seed(i)) for i in range(60)]
    deliveries = AnalogLink(spec).send(bursts, 12.0, range(60))
    measured = sum(float((d.values - x).square().mean()) for d, x in zip(deliveries, bursts, strict=True))
    predicted = sum(float(d.error_variance.mean()) for d in deliveries)
    # A realisation's channel-estimation error is common to many of its symbols, so it averages out slower
    assert measured / predicted == pytest.approx(1, abs=0.02 if csi == "perfect" else 0.08)


def test_noiseless_awgn_returns_the_tensor():
    values = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    link = AnalogLink(LinkSpec(channel=ChannelSpec(model="awgn"), ofdm=OfdmSpec(csi="perfect")))
    (delivery,) = link.send([values * 40], 80.0, [0])
    torch.testing.assert_close(delivery.values, values * 40, atol=0.05, rtol=1e-3)


def test_channel_uses_equal_a_hand_count():
    link = AnalogLink(LinkSpec())
    # 8001 real values are 4001 resource elements: two slots, whose pilots are 2 * 576
    assert link.channel_uses(8001) == 4001 + 2 * 576
    (delivery,) = link.send([torch.ones(8001)], 10.0, [0])
    assert (delivery.channel_uses, delivery.pilot_uses) == (4001 + 1152, 1152)


def test_a_burst_is_the_same_alone_and_in_a_batch():
    link = AnalogLink(LinkSpec())
    bursts = [torch.randn(500 + 900 * i, generator=torch.Generator().manual_seed(i)) for i in range(4)]
    batch = link.send(bursts, [0.0, 5.0, 10.0, 15.0], [4, 3, 2, 1])
    for i, burst in enumerate(bursts):
        (alone,) = link.send([burst], 5.0 * i, [4 - i])
        torch.testing.assert_close(alone.values, batch[i].values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("values", "snr_db", "message"),
    [
        (torch.zeros(4), 10.0, "no power to normalise"),
        (torch.zeros(0), 10.0, "at least 1"),
        (torch.ones(4), float("nan"), "snr_db must be a number from -50 to 100 dB, not nan"),
    ],
)
def test_bad_arguments(values, snr_db, message):
    with pytest.raises(ValueError, match=message):
        AnalogLink(LinkSpec()).send([values], snr_db, [0])


@pytest.mark.parametrize("csi", ["ls-cp", "ls-linear"])
@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 10.0])
def test_least_squares_error_variance_is_the_true_one(csi, snr_db):
    # It said 0.70 where the error was 0.96 (-5 dB), 0.61 where it was 0.78 (0 dB)
    link = AnalogLink(LinkSpec(ofdm=OfdmSpec(num_subcarriers=96, csi=csi)))
    bursts = [torch.randn(2000, generator=torch.Generator().manual_seed(i)) for i in range(80)]
    deliveries = link.send(bursts, snr_db, range(80))
    believed = sum(float(d.error_variance.mean()) for d in deliveries)
    assert believed / sum(d.mean_square_error for d in deliveries) == pytest.approx(1, abs=0.05)
    measured = float((deliveries[3].values - bursts[3]).square().mean())
    assert deliveries[3].mean_square_error == pytest.approx(measured, rel=1e-5)


@pytest.mark.parametrize("csi", ["ls-cp", "lmmse", "perfect"])
def test_capacity_at_the_lowest_snr_is_a_number(csi):
    link = AnalogLink(LinkSpec(channel=ChannelSpec(model="rayleigh"), ofdm=OfdmSpec(csi=csi)))
    for delivery in link.send([torch.ones(100)] * 5, -50.0, range(5)):
        assert -120 < delivery.effective_sinr_db < -35
