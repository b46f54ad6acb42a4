"""Realism trades error against sharpness, and at 1 changes nothing."""

import pytest
import torch

from semcom.contracts import Budget
from semcom.link import PerfectLink
from semcom.metrics.psnr import psnr
from semcom.receiver.restraint import restrained


def test_at_one_the_picture_is_the_generated_one():
    picture = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(1))
    assert restrained(picture, torch.zeros(3, 8, 12), 1) is picture


def test_the_trade_is_monotonic_from_the_received_bits_to_the_picture(semantic, small_photo):
    message = semantic.encode(small_photo, Budget.of_bpp(0.08, 200, 150))
    (received,) = PerfectLink().send([message], 0.0, [0])
    usual = semantic.decode(received).image
    pictures = [semantic.with_options(realism=r).decode(received).image for r in (0, 0.5, 1)]
    assert torch.equal(pictures[2], usual)
    errors = [psnr(picture[None], small_photo[None]).item() for picture in pictures]
    assert errors[0] > errors[1] > errors[2]
    detail = [picture.diff(dim=2).abs().mean().item() for picture in pictures]
    assert detail[0] < detail[1] < detail[2]


@pytest.mark.parametrize("realism", [-0.1, 1.1])
def test_realism_is_a_share(semantic, realism):
    with pytest.raises(ValueError, match="realism"):
        semantic.with_options(realism=realism)
