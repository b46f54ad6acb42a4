import numpy as np
import pytest
import torch
from sionna.phy.mimo import StreamManagement
from sionna.phy.ofdm import LMMSEEqualizer, PilotPattern, ResourceGrid

from channels.ofdm.front_end import OfdmFrontEnd, _data_order
from channels.ofdm.receiver import equalise
from channels.spec import ChannelSpec, OfdmSpec


def qpsk(bursts, front_end):
    """Bursts of one slot."""
    generator = torch.Generator().manual_seed(1)
    shape = (bursts, 1, front_end.num_data_res, front_end.spec.num_streams)
    quadrants = torch.randint(0, 4, shape, generator=generator)
    return torch.exp(1j * torch.pi / 2 * quadrants).to(torch.complex64)


@pytest.mark.parametrize("streams", [1, 2, 4])
def test_transmitted_energy_is_one_a_resource_element(streams):
    channel = ChannelSpec(model="awgn", num_tx_antennas=streams, num_rx_antennas=streams)
    front_end = OfdmFrontEnd(channel, OfdmSpec(num_subcarriers=48, num_streams=streams))
    generator = torch.Generator().manual_seed(0)
    quadrants = torch.randint(0, 4, (5, front_end.num_data_res, streams), generator=generator)
    grid = front_end._to_grid(torch.exp(1j * torch.pi / 2 * quadrants).to(torch.complex64))
    sent = torch.einsum("al,sltf->satf", front_end._precoder, grid)
    torch.testing.assert_close(sent.abs().square().sum(1), torch.ones(5, 14, 48))


@pytest.mark.parametrize(("tx", "rx", "streams"), [(1, 1, 1), (2, 2, 2), (4, 4, 4), (4, 2, 2)])
def test_equaliser_equals_sionnas(tx, rx, streams):
    spec = OfdmSpec(num_subcarriers=24, num_streams=streams, csi="perfect")
    front_end = OfdmFrontEnd(ChannelSpec(num_tx_antennas=tx, num_rx_antennas=rx), spec)
    h = front_end.channel(3, 2)
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(2, rx, 14, 24, dtype=torch.complex64, generator=generator)
    error, no = torch.full((2, streams, 14, 24), 0.02), torch.tensor([0.1, 0.3])
    noise = (no[:, None, None] + error.sum(1)).flatten(1)[:, front_end._data_index]
    symbols, variance = equalise(
        front_end._on_data(y).transpose(1, 2), front_end._on_data(h).permute(0, 3, 1, 2), noise
    )

    mask = np.zeros((1, streams, 14, 24))
    mask[:, :, [2, 11]] = 1
    pilots = PilotPattern(mask, np.ones((1, streams, 48)), device="cpu")
    grid = ResourceGrid(14, 24, 30e3, num_streams_per_tx=streams, pilot_pattern=pilots, device="cpu")
    reference = LMMSEEqualizer(grid, StreamManagement(np.array([[1]]), streams), device="cpu")
    # [batch, rx, rx_ant, tx, stream, symbol, subcarrier]
    x, no_eff = reference(
        y[:, None], h[:, None, :, None], error[:, None, None, None].expand(2, 1, rx, 1, -1, -1, -1), no
    )
    data = front_end._data_index
    order = torch.argsort(torch.argsort(data))  # ours is interleaved, Sionna's in grid order
    torch.testing.assert_close(symbols.permute(0, 2, 1), x[:, 0][..., order], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(variance.permute(0, 2, 1), no_eff[:, 0][..., order], rtol=1e-3, atol=1e-3)


def test_any_few_symbols_in_a_row_span_the_band():
    spec = OfdmSpec()
    subcarriers = _data_order(spec)[:288] % 288
    assert sorted(subcarriers.tolist()) == list(range(288))
    for start in range(0, 288 - 36):
        blocks = {int(s) // 24 for s in subcarriers[start : start + 36]}
        assert len(blocks) == 12  # 36 symbols reach every twelfth of the band


def test_a_later_slot_of_a_seed_is_the_same_however_it_is_reached():
    front_end = OfdmFrontEnd(ChannelSpec(speed_kmh=120), OfdmSpec(num_subcarriers=12))
    torch.testing.assert_close(front_end.channel(1, 6)[4:], front_end.channel(1, 2, first_slot=4))


def test_sampled_channel_is_the_channel():
    front_end = OfdmFrontEnd(ChannelSpec(speed_kmh=3), OfdmSpec())
    every_seventh = torch.arange(0, 288, 7)
    sampled = front_end.sampled_channels([8, 1], [0, 0], 3, 1, every_seventh)[1]
    torch.testing.assert_close(sampled[:, :, :, 0], front_end.channel(1, 3)[:, :, :, 0][..., every_seventh])


@pytest.mark.parametrize("snr_db", [-20.0, 0.0, 20.0])
@pytest.mark.parametrize("csi", ["ls-cp", "ls-linear", "lmmse"])
def test_sinr_is_what_the_matched_filters_output_has(snr_db, csi):
    # Over AWGN all resource elements meet the same. Where the estimate is mostly noise, |h_hat|^2 would say
    # 15 dB too much
    front_end = OfdmFrontEnd(ChannelSpec(model="awgn"), OfdmSpec(num_subcarriers=96, csi=csi))
    bursts = 400
    x = qpsk(bursts, front_end)
    received = front_end.send([*x], [snr_db] * bursts, range(bursts))
    output = torch.stack([r.symbols / r.noise_variance for r in received]) * x.conj()
    # What the estimate's error does to the amplitude is known to the receiver; half of the noise is imaginary
    measured = float(output.real.mean()) ** 2 / (2 * float(output.imag.square().mean()))
    sinr = float(torch.stack([r.sinr for r in received]).mean())
    assert 10 * np.log10(measured) == pytest.approx(10 * np.log10(sinr), abs=0.5)


def test_amplitudes_are_in_the_noise_variance():
    spec, bursts = OfdmSpec(num_subcarriers=48, csi="ls-linear"), 200
    front_end = OfdmFrontEnd(ChannelSpec(model="tdl-a"), spec)
    x = qpsk(bursts, front_end)
    for boost_db in (-6, 6, 10):
        amplitude = torch.full((1, front_end.num_data_res), 10 ** (boost_db / 20))
        received = front_end.send([*x], [0.0] * bursts, range(bursts), amplitudes=[amplitude] * bursts)
        error = torch.stack([r.symbols for r in received]) - x
        believed = torch.stack([r.noise_variance for r in received])
        assert float((error.abs().square() / believed).mean()) == pytest.approx(1, abs=0.05)


def test_perfect_csi_stays_on_the_device():
    # The meta device refuses to be indexed by, or mixed with, what is on the CPU, as a GPU does
    no = torch.ones(2, device="meta")
    front_end = OfdmFrontEnd(ChannelSpec(model="awgn"), OfdmSpec(csi="perfect"), device="meta")
    assert front_end.error_variance(no).device.type == "meta"
    (received,) = front_end.send(
        [torch.ones(1, front_end.num_data_res, 1, dtype=torch.complex64)], [0.0], [0]
    )
    assert {t.device.type for t in (received.symbols, received.noise_variance, received.sinr)} == {"meta"}
