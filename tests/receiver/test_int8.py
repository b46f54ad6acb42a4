"""The integer trunk against the float trunk and against integer arithmetic done by hand."""

import pytest
import torch
import torch.nn.functional as F

from semcom.networks.enhancer import Enhancer
from semcom.networks.rrdb import RRDBNet
from semcom.receiver import integer_conv
from semcom.receiver.int8 import Int8Conv, Int8Trunk, observe, to_codes, with_int8_trunk
from semcom.receiver.integer_conv import IntegerConv


def channels_last(codes):
    return codes.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("path", ["this processor's", "float64"])
@pytest.mark.parametrize(
    ("channels", "out", "height", "width"), [(64, 32, 24, 20), (160, 32, 9, 7), (5, 8, 6, 5)]
)
def test_sums_are_the_exact_integers(monkeypatch, path, channels, out, height, width):
    """At the largest codes, where saturating kernels (AVX2) would cut off sums of neighbours."""
    if path == "float64":
        monkeypatch.setattr(integer_conv, "has_integer_kernels", lambda: False)
    torch.manual_seed(0)
    conv = IntegerConv(torch.randn(out, channels, 3, 3).sign() * torch.rand(out, channels, 3, 3), 43)
    codes = torch.randint(190, 256, (2, channels, height, width), dtype=torch.uint8)
    unfolded = F.unfold(codes.double() - 43, 3, padding=1).long()  # integer products and sums
    expected = (conv.weight.flatten(1).long() @ unfolded).view(2, out, height, width)
    assert expected.abs().max() > 20_000
    assert torch.equal(conv(channels_last(codes)).long(), expected)


def test_neighbours_of_one_sign_sum_to_at_most_128():
    """Recomputed by hand; with a scale of |w|/127 alone they reach 254."""
    torch.manual_seed(0)
    weight = torch.randn(16, 63, 3, 3)
    codes = F.pad(IntegerConv(weight, 43).weight.int(), (0, 0, 0, 0, 0, 1))
    for sign in (1, -1):
        one_sign = (sign * codes).clamp_min(0)
        assert 127 <= (one_sign[:, ::2] + one_sign[:, 1::2]).max() <= 128


def test_a_scale_that_could_saturate_is_refused_when_the_model_is_loaded(monkeypatch):
    monkeypatch.setattr(integer_conv, "safe_scales", lambda w: w.abs().amax((1, 2, 3)) / 127)
    with pytest.raises(ValueError, match="may saturate"):
        IntegerConv(torch.ones(4, 6, 3, 3), 43)


def test_the_shipped_trunk_runs_on_exact_integers(semantic):
    """Every convolution of the profile, on random codes: oneDNN's sums are float64's."""
    trunk = semantic.with_options(quantization="int8").receiver.enhancer.trunk
    assert isinstance(trunk, Int8Trunk)
    convs = [module for module in trunk.modules() if isinstance(module, IntegerConv)]
    assert len(convs) == 12 * 3 * 5
    generator = torch.Generator().manual_seed(0)
    for conv in [*convs, *(layer.conv.integers for layer in trunk.outer)]:
        codes = torch.randint(0, 256, (1, conv.weight.shape[1], 5, 6), dtype=torch.uint8, generator=generator)
        expected = integer_conv.in_float64(codes, conv.weight, conv.zero_point)
        assert torch.equal(conv(channels_last(codes)), expected)


def test_values_are_the_floats_of_the_integers():
    torch.manual_seed(0)
    weight, bias, zero = torch.randn(8, 5, 3, 3), torch.randn(8), 60
    codes = torch.randint(0, 256, (2, 5, 9, 7), dtype=torch.uint8)
    conv = Int8Conv(weight, bias, [0.1, 0.02], [3, 2], zero)
    steps = torch.tensor([0.1, 0.1, 0.1, 0.02, 0.02]).view(1, -1, 1, 1)
    expected = F.conv2d((codes.float() - zero) * steps, weight, bias, padding=1)
    x = channels_last(torch.randn(2, 8, 9, 7))
    found = conv.added(channels_last(codes), x) - x
    assert (found - expected).abs().max() < 0.02 * expected.abs().max()
    leaky = conv.activated(channels_last(codes), 0.2)
    torch.testing.assert_close(leaky, F.leaky_relu(found, 0.2), rtol=1e-4, atol=1e-4)
    codes_again = conv.codes(channels_last(codes), 0.5, 100, 0.2)
    torch.testing.assert_close(codes_again, to_codes(leaky, 0.5, 100), rtol=0, atol=1)


def test_codes_round_to_nearest_and_saturate():
    x = torch.tensor([-100.0, -0.06, -0.04, 0.0, 0.04, 0.06, 100.0]).view(1, 7, 1, 1)
    assert to_codes(x, 0.1, 60).flatten().tolist() == [0, 59, 60, 60, 60, 61, 255]


def test_codes_are_appended():
    torch.manual_seed(2)
    conv = Int8Conv(torch.randn(4, 3, 3, 3), None, [0.1], [3], 43)
    before = channels_last(torch.randint(0, 256, (2, 3, 6, 7), dtype=torch.uint8))
    codes = conv.codes(before, 0.3, 43, 0.2, after=before)
    assert torch.equal(codes[:, :3], before)
    assert torch.equal(codes[:, 3:], conv.codes(before, 0.3, 43, 0.2))
    assert codes.is_contiguous(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def enhancer() -> Enhancer:
    torch.manual_seed(0)
    network = Enhancer(num_blocks=2).eval().requires_grad_(False)
    torch.nn.init.normal_(network.trunk.amplify.conv.weight, std=0.02)
    return network


def random_crop(height, width):
    return (
        torch.rand(1, 3, height, width),
        torch.tensor([30.0]),
        torch.zeros(1, 9, height, width),
        torch.randn(1, 3, height, width),
    )


def test_trunk_stays_close_to_float(enhancer):
    torch.manual_seed(1)
    crops = [random_crop(24, 20) for _ in range(4)]
    ranges = observe(enhancer, crops)
    assert ranges["dense"].shape == (2, 3, 5, 2)
    integer = with_int8_trunk(enhancer, ranges)
    for crop in crops:
        exact = enhancer(*crop)
        error = (integer(*crop) - exact).square().mean()
        assert error < 1e-3 * exact.square().mean()


def test_a_picture_is_restored_at_its_size(enhancer):
    crop = random_crop(16, 16)
    integer = with_int8_trunk(enhancer, observe(enhancer, [crop]))
    assert isinstance(enhancer.trunk, RRDBNet)  # the float model is left as it was
    detail, texture = torch.zeros(9, 21, 34), torch.zeros(3, 21, 34)
    picture = integer.restore(torch.rand(3, 21, 34), 30, detail, texture)
    assert picture.shape == (3, 84, 136)
