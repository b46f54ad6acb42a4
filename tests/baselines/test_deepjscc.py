"""DeepJSCC: uncoded values over the link's channel, more of them for a larger budget, and no cliff."""

import itertools
import json

import pytest
import torch

from channels.links.digital import DigitalLink
from channels.spec import ChannelSpec, LinkSpec, OfdmSpec
from semcom.adaptation import Adapted
from semcom.contracts import Budget, BudgetError
from semcom.link import ChannelLink, PerfectLink, transmit
from semcom.message import AnalogStream, Message, Protection, ReceivedAnalogStream, Stream
from semcom.metrics.psnr import psnr
from semcom.packets import bpp, packet_sizes
from semcom.picture import images
from semcom.report import write_report
from semcom.systems import build
from semcom.train.stages.deepjscc import through_noise

SNRS_DB = (-5.0, 0.0, 5.0, 10.0, 15.0, 20.0)


@pytest.fixture(scope="module")
def system():
    return build("deepjscc")


@pytest.fixture(scope="module")
def awgn():
    return ChannelLink(DigitalLink(LinkSpec(channel=ChannelSpec(model="awgn"))))


@pytest.fixture(scope="module")
def photo(sample_photo):
    return images.load(str(sample_photo))[:, 40:340, 100:500].contiguous()


def budget(cbr, photo, link):
    return Budget.of_cbr(cbr, photo.shape[2], photo.shape[1], link)


def quality(system, link, photo, cbr, snr_db, seeds=(1, 2)):
    allowed = budget(cbr, photo, link)
    pictures = [transmit(photo, system, link, allowed, snr_db, s).reconstruction.image for s in seeds]
    return sum(psnr(picture[None], photo[None]).item() for picture in pictures) / len(seeds)


@pytest.fixture(scope="module")
def by_snr(system, awgn, photo):
    return [quality(system, awgn, photo, 1 / 48, snr_db) for snr_db in SNRS_DB]


def test_quality_rises_with_the_snr(by_snr):
    assert by_snr == sorted(by_snr)
    assert by_snr[-1] > by_snr[0] + 3


def test_no_cliff(system, awgn, photo):
    scores = [quality(system, awgn, photo, 1 / 48, snr_db) for snr_db in (3.0, 4.0, 5.0, 6.0)]
    assert all(0 < after - before < 0.8 for before, after in itertools.pairwise(scores))


def test_quality_rises_with_the_budget(system, awgn, photo):
    scores = [quality(system, awgn, photo, cbr, 10.0) for cbr in (1 / 200, 1 / 100, 1 / 48)]
    assert scores == sorted(scores)
    assert scores[-1] > scores[0] + 0.5


@pytest.mark.parametrize("model", ["awgn", "tdl-a"])
def test_spends_its_budget_and_no_more(system, photo, model):
    link = ChannelLink(DigitalLink(LinkSpec(channel=ChannelSpec(model=model))))
    allowed = budget(1 / 60, photo, link)
    result = transmit(photo, system, link, allowed, 8.0, 3)
    spent = result.received.report.channel_uses
    assert spent == allowed.cost(packet_sizes(result.message))
    assert 0.7 * allowed.limit < spent <= allowed.limit  # a further slot would begin with its pilots
    assert bpp(result.message) == 0
    assert result.reconstruction.image.shape == photo.shape


def test_sends_unit_power(system, awgn, photo):
    (stream,) = system.encode(photo, budget(1 / 70, photo, awgn)).streams
    assert stream.protection is Protection.ANALOG
    assert stream.values.square().mean().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (50, 33), (17, 160)])
def test_any_size(system, photo, height, width):
    small = photo[:, :height, :width].contiguous()
    message = system.encode(small, Budget(1 << 30, PerfectLink().channel_uses, "channel uses"))
    (received,) = PerfectLink().send([message], 0.0, [0])
    picture = system.decode(received).image
    assert picture.shape == small.shape
    assert psnr(picture[None], small[None]).item() > 17


def test_a_budget_too_small_names_the_smallest(system, awgn, photo):
    with pytest.raises(BudgetError, match="channel uses") as caught:
        system.encode(photo, Budget.of_channel_uses(10, awgn))
    system.encode(photo, Budget.of_channel_uses(caught.value.smallest, awgn))
    with pytest.raises(BudgetError):
        system.encode(photo, Budget.of_channel_uses(caught.value.smallest - 1, awgn))


def test_bytes_buy_no_symbols(system, photo):
    with pytest.raises(ValueError, match="CBR"):
        system.encode(photo, Budget.of_bpp(0.1, photo.shape[2], photo.shape[1]))
    with pytest.raises(ValueError, match=r"\[3,H,W\]"):
        system.encode(photo[:1], Budget(1 << 30, PerfectLink().channel_uses, "channel uses"))


def test_received_messages_differ_by_content(system, awgn, photo):
    message = system.encode(photo, budget(1 / 70, photo, awgn))
    first, again, other = awgn.send([message] * 3, 5.0, [1, 1, 2])
    assert first.chunks("image") == again.chunks("image") != other.chunks("image")
    assert isinstance(first.analog("image"), ReceivedAnalogStream)


def test_packets_and_values_do_not_mix(awgn):
    values = AnalogStream.of("image", torch.ones(4))
    with pytest.raises(ValueError, match="not both"):
        awgn.send([Message((Stream("key", Protection.BASE, (b"x",)), values), 16, 16)], 5.0, [0])


def test_gradients_cross_the_channel(system, photo):
    codec = system._codec
    crop = photo[None, :, :32, :48].clone().requires_grad_(True)
    ones = torch.ones(1)
    torch.manual_seed(0)
    received = through_noise(codec, crop, 8 * ones, 10 * ones, ones)
    received.sum().backward()
    assert crop.grad is not None
    assert torch.isfinite(crop.grad).all()
    assert crop.grad.abs().amax(1).gt(0).float().mean() > 0.9


def test_training_noise_is_that_of_the_link(system, photo):
    """The stage's own channel against `AnalogLink` with perfect CSI, by the quality that comes out."""
    awgn = ChannelLink(DigitalLink(LinkSpec(channel=ChannelSpec(model="awgn"), ofdm=OfdmSpec(csi="perfect"))))
    crop = photo[None, :, :160, :240]
    ones = torch.ones(1)
    with torch.no_grad():
        torch.manual_seed(1)
        trained = [
            psnr(through_noise(system._codec, crop, 8 * ones, 3 * ones, 0 * ones).clamp(0, 1), crop).item()
            for _ in range(6)
        ]
    values = 8 * 10 * 15
    allowed = Budget.of_channel_uses(awgn.channel_uses([("analog", values)]), awgn)
    sent = [
        psnr(transmit(crop[0], system, awgn, allowed, 3.0, s).reconstruction.image[None], crop).item()
        for s in range(6)
    ]
    assert sum(trained) / 6 == pytest.approx(sum(sent) / 6, abs=0.25)


def test_report_of_an_analog_transmission(tmp_path, system, awgn, photo, sample_photo):
    small = photo[:, :96, :128].contiguous()
    allowed = budget(1 / 24, small, awgn)
    result = transmit(small, system, awgn, allowed, 10.0, 1)
    spec = LinkSpec(channel=ChannelSpec(model="awgn"))
    adapted = Adapted(result.message, spec, {}, {}, "values are sent uncoded")
    command = {"seed": 1, "image": str(sample_photo), "system": "deepjscc"}
    report = write_report(tmp_path, small, result, command, system, adapted)
    (analog,) = report["classes"].values()
    assert analog["packets"] == analog["lost"] == report["bpp"] == 0
    assert analog["values"] == result.message.streams[0].values.numel()
    assert 0 < analog["channel_uses"] < report["channel_uses"]
    assert 5 < analog["effective_sinr_db"] < 10.1
    assert json.loads((tmp_path / "report.json").read_text())["classes"]["analog"] == analog
    received = result.received.analog("image")
    error = (received.values - result.message.streams[0].values).square().mean().item()
    assert analog["mean_square_error"] == pytest.approx(error, rel=1e-4)


def test_without_a_channel_both_kinds_of_stream_arrive():
    message = Message(
        (AnalogStream.of("image", torch.ones(4)), Stream("hci", Protection.BASE, (b"ab", b"c"))), 8, 8
    )
    (received,) = PerfectLink().send([message], 0.0, [0])
    assert received.chunks("hci") == (b"ab", b"c")
    assert received.analog("image").values.tolist() == [1, 1, 1, 1]
