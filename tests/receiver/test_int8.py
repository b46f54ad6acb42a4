"""The integer trunk against the float trunk and against integer arithmetic done by hand."""

import pytest
import torch
import torch.nn.functional as F

from semcom.networks.enhancer import Enhancer
from semcom.networks.rrdb import RRDBNet
from semcom.receiver.int8 import Int8Conv, observe, to_codes, with_int8_trunk


def test_convolution_equals_integer_arithmetic():
    torch.manual_seed(0)
    weight, bias, zero = torch.randn(8, 5, 3, 3), torch.randn(8), 60
    units, widths = [0.1, 0.02], [3, 2]
    codes = torch.randint(0, 256, (2, 5, 9, 7), dtype=torch.uint8)
    conv = Int8Conv(weight, bias, units, widths, zero)
    steps = torch.tensor([0.1, 0.1, 0.1, 0.02, 0.02]).view(1, -1, 1, 1)
    folded = weight * steps
    scale = folded.abs().amax((1, 2, 3), keepdim=True) / 127
    integers = (folded / scale).round().double()
    expected = F.conv2d(codes.double() - zero, integers, padding=1) * scale.view(1, -1, 1, 1) + bias.view(
        1, -1, 1, 1
    )
    result = conv(codes.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(result.double(), expected, rtol=1e-4, atol=1e-3)


def test_codes_round_to_nearest_and_saturate():
    x = torch.tensor([-100.0, -0.06, -0.04, 0.0, 0.04, 0.06, 100.0]).view(1, 7, 1, 1)
    assert to_codes(x, 0.1, 60).flatten().tolist() == [0, 59, 60, 60, 60, 61, 255]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_codes_of_an_activation_are_appended(layout):
    torch.manual_seed(2)
    x = torch.randn(2, 5, 6, 7).contiguous(memory_format=layout)
    before = torch.randint(0, 256, (2, 3, 6, 7), dtype=torch.uint8).contiguous(memory_format=layout)
    codes = to_codes(x, 0.03, 43, 0.2, after=before)
    assert torch.equal(codes[:, :3], before)
    assert codes.is_contiguous(memory_format=torch.channels_last)
    quantised = torch.fake_quantize_per_tensor_affine(F.leaky_relu(x, 0.2), 0.03, 43, 0, 255)
    torch.testing.assert_close((codes[:, 3:].float() - 43) * 0.03, quantised)


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
