"""The differentiable stand-in for the eight-bit enhancer, against the real one."""

import pytest
import torch

from semcom.networks.enhancer import Enhancer
from semcom.picture import images
from semcom.picture.pixels import to_tensor
from semcom.receiver.int8 import observe, to_codes, unit_of, with_int8_trunk, zero_point_of
from semcom.train.fake_quant import Rounding, fake_quantised
from semcom.transmitter import hci


@pytest.fixture(scope="module")
def seen():
    """What the enhancer takes: a piece of the sample photo at a quarter of its size."""
    thumb = to_tensor(hci.thumbnail(images.load("semcom/samples/coffee.png")[:, :384, :384]))[None]
    return thumb, torch.tensor([40.0]), torch.zeros(1, 9, 96, 96), torch.zeros(1, 3, 96, 96)


@pytest.fixture(scope="module")
def enhancer():
    torch.manual_seed(0)
    return Enhancer(1).requires_grad_(True)


def rounded(enhancer, ranges, seen):
    with fake_quantised(enhancer, ranges):
        return enhancer(*seen)


def test_values_are_those_of_the_integer_kernels_codes():
    torch.manual_seed(0)
    spans = torch.tensor([[-1.0, 4.0], [-0.3, 2.5]])
    x = 3 * torch.randn(1, 8, 5, 7).contiguous(memory_format=torch.channels_last)
    zero, expected = zero_point_of(spans), []
    for part, span in zip(x.split([5, 3], 1), spans, strict=True):
        codes = to_codes(part.contiguous(memory_format=torch.channels_last), unit_of(span, zero), zero)
        expected.append((codes.float() - zero) * unit_of(span, zero))
    rounding = Rounding(spans, [5, 3])
    assert torch.allclose(rounding(None, (x,)), torch.cat(expected, 1), atol=1e-5)
    assert torch.allclose(rounding(None, (x[:, :5],)), expected[0], atol=1e-5)


def test_it_errs_as_the_integers_do(enhancer, seen):
    """Not in every pixel: they round weights too."""
    ranges = observe(enhancer, [seen])
    with torch.no_grad():
        exact, stand_in = enhancer(*seen), rounded(enhancer, ranges, seen)
        real = with_int8_trunk(enhancer, ranges)(*seen)
    own, integers = (stand_in - exact).flatten(), (real - exact).flatten()
    assert torch.corrcoef(torch.stack((own, integers)))[0, 1] > 0.3
    assert 0.5 < own.std() / integers.std() < 1.1


def test_what_is_out_of_range_saturates(enhancer, seen):
    ranges = observe(enhancer, [seen])
    with torch.no_grad():
        exact, usual = enhancer(*seen), rounded(enhancer, ranges, seen)
        narrow = rounded(enhancer, {name: spans / 4 for name, spans in ranges.items()}, seen)
    assert (narrow - exact).abs().mean() > 4 * (usual - exact).abs().mean()


def test_the_enhancer_is_exact_again_afterwards(enhancer, seen):
    ranges = observe(enhancer, [seen])
    with torch.no_grad():
        exact = enhancer(*seen)
        assert not torch.equal(rounded(enhancer, ranges, seen), exact)
        assert torch.equal(enhancer(*seen), exact)


def test_gradients_pass_as_if_nothing_were_rounded(enhancer, seen):
    ranges = observe(enhancer, [seen])
    gradients = []
    for picture in (enhancer(*seen), rounded(enhancer, ranges, seen)):
        enhancer.zero_grad()
        picture.square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in enhancer.parameters() if p.grad is not None]))
    exact, close = gradients
    assert len(exact) == len(close)
    assert torch.cosine_similarity(exact, close, 0) > 0.99
