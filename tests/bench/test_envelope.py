"""The MCS envelope: packets that just fit, error rates of the real link, and the arithmetic of the choice."""

import numpy as np
import pytest
import torch

from channels.coding.mcs import mcs
from channels.links.abstraction import AbstractLink
from channels.links.digital import DigitalLink, Payload
from channels.spec import ChannelSpec, ClassSpec, LinkSpec
from semcom.bench.envelope import (
    Prediction,
    RateQuality,
    best,
    higher_is_better,
    predict,
    rate_quality,
    with_mcs,
)
from semcom.metrics.psnr import psnr
from semcom.systems import build

AWGN = LinkSpec(channel=ChannelSpec(model="awgn"), classes={"base": ClassSpec(mcs=4)})
CURVE = RateQuality((100, 1000), {"psnr": (20.0, 30.0), "lpips": (0.6, 0.2)}, {"psnr": 10.0, "lpips": 0.9})


@pytest.fixture(scope="module")
def predictions():
    return predict(AWGN, "base", 3000, 6.0, [1, 2])


def test_packets_just_fit(predictions):
    assert len(predictions) == 29
    for prediction in predictions:
        link = AbstractLink(with_mcs(AWGN, {"base": prediction.mcs}))
        assert link.channel_uses([("base", prediction.num_bytes)]) <= 3000
        assert link.channel_uses([("base", prediction.num_bytes + 1)]) > 3000


def test_faster_schemes_carry_more_and_lose_more(predictions):
    efficiency = [mcs(1, prediction.mcs).spectral_efficiency for prediction in predictions]
    assert efficiency == sorted(efficiency)
    sizes, losses = ([getattr(p, name) for p in predictions] for name in ("num_bytes", "bler"))
    assert sizes == sorted(sizes)
    assert np.all(np.diff(losses) > -0.02)
    assert losses[0] < 1e-3
    assert losses[-1] > 0.98


def test_the_bit_exact_link_confirms_the_edge(predictions):
    """The last but one that is predicted safe loses nothing, the first that is predicted hopeless all."""
    safe = [prediction for prediction in predictions if prediction.bler < 1e-3][-2]
    hopeless = next(prediction for prediction in predictions if prediction.bler > 0.98)
    for prediction, lost in ((safe, 0), (hopeless, 6)):
        link = DigitalLink(with_mcs(AWGN, {"base": prediction.mcs}))
        bursts = [[Payload(bytes(prediction.num_bytes), "base")]] * 6
        deliveries = link.send(bursts, 6.0, list(range(6)))
        assert sum(delivery.payloads[0] is None for delivery in deliveries) == lost


def test_expected_quality_by_hand():
    half = Prediction(mcs=3, num_bytes=316, bler=0.5)  # half way between 100 and 1000 on the logarithm
    assert half.expected("psnr", CURVE) == pytest.approx((25 + 10) / 2, abs=0.01)
    assert half.expected("lpips", CURVE) == pytest.approx((0.4 + 0.9) / 2, abs=1e-3)
    assert Prediction(3, 99, 0.0).expected("psnr", CURVE) is None
    assert Prediction(3, 5000, 0.0).expected("psnr", CURVE) == 30


def test_best_weighs_bytes_against_losses():
    offers = [
        Prediction(0, 100, 0.0),
        Prediction(1, 500, 0.05),
        Prediction(2, 1000, 0.9),
        Prediction(9, 50, 0.0),
    ]
    assert best(offers, CURVE, ["psnr"], 1) == {1}
    assert best(offers, CURVE, ["psnr", "lpips"], 2) == {0, 1}
    assert best(offers, CURVE, ["psnr"], 10) == {0, 1, 2}  # 9 leaves too few bytes


def test_best_can_differ_between_metrics():
    curve = RateQuality(
        (100, 1000), {"psnr": (20.0, 21.0), "lpips": (0.6, 0.1)}, {"psnr": 10.0, "lpips": 0.7}
    )
    offers = [Prediction(0, 100, 0.0), Prediction(1, 1000, 0.3)]
    assert best(offers, curve, ["psnr"], 1) == {0}
    assert best(offers, curve, ["lpips"], 1) == {1}


def test_rate_quality_of_a_codec(small_photo):
    curve = rate_quality(build("jpeg"), [small_photo], 400, [10, 600, 3000], {"psnr": psnr})
    assert curve.num_bytes == (400, 600, 3000)
    assert list(curve.quality["psnr"]) == sorted(curve.quality["psnr"])
    grey = psnr(torch.full_like(small_photo, 0.5)[None], small_photo[None]).item()
    assert curve.lost["psnr"] == pytest.approx(grey)


def test_direction_of_metrics():
    assert higher_is_better("psnr")
    assert higher_is_better("vsi") and higher_is_better("semcom.metrics.vsi:METRIC")
    assert not higher_is_better("lpips")
    assert not higher_is_better("dists")
