"""Pictures without bits: values straight onto the subcarriers, restored by the enhancer."""

import pytest
import torch

from channels.links.digital import DigitalLink
from channels.spec import ChannelSpec, LinkSpec
from semcom.contracts import Budget
from semcom.link import ChannelLink, transmit
from semcom.message import LinkReport, ReceivedAnalogStream, ReceivedMessage
from semcom.metrics.dists import dists
from semcom.receiver import analog
from semcom.systems import build


@pytest.fixture(scope="module")
def wished(semantic):
    return semantic.with_options(mode="analog")


@pytest.fixture(scope="module")
def link():
    return ChannelLink(DigitalLink(LinkSpec(channel=ChannelSpec(model="tdl-a"))))


def test_sharper_than_the_codec_alone_at_equal_cost(wished, link, small_photo):
    budget = Budget.of_cbr(1 / 30, 200, 150, link)
    ours, codec = (
        transmit(small_photo, system, link, budget, 0.0, 3) for system in (wished, build("deepjscc"))
    )
    assert ours.received.report.channel_uses == codec.received.report.channel_uses <= budget.limit
    assert ours.reconstruction.image.shape == small_photo.shape
    assert ours.reconstruction.notes == ()
    scores = [dists(r.reconstruction.image[None], small_photo[None]).item() for r in (ours, codec)]
    assert scores[0] < scores[1] - 0.03


def test_bytes_buy_no_values(wished, small_photo):
    with pytest.raises(ValueError, match="channel uses"):
        wished.encode(small_photo, Budget.of_bpp(0.1, 200, 150))


@pytest.mark.parametrize(
    ("name", "values"),
    [("analog", torch.zeros(9999)), ("analog", torch.full((64,), torch.nan)), ("other", torch.zeros(64))],
)
def test_values_of_no_picture_are_a_grey_one(wished, name, values):
    stream = ReceivedAnalogStream.of(name, values, torch.ones_like(values))
    result = wished.decode(ReceivedMessage((stream,), 64, 48, LinkReport(None, 0, {})))
    assert result.image.shape == (3, 48, 64)
    assert result.notes == (analog.DAMAGED,)
    assert float(result.image.std()) == 0


def test_more_that_arrives_is_told_as_more():
    error = 10 ** -torch.tensor([0.0, 0.5, 1.0, 2.0])[:, None].expand(4, 6144)
    told = analog.quality(error, 768 * 512)
    assert told[0] == 0
    assert torch.equal(told, told.sort().values)
    assert 0 < told[1] < told[3] <= analog.MAX_QUALITY
