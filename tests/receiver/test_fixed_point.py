"""Convolutions in fixed point: close to float, and the same in whatever order the sums are taken."""

import torch
from torch import nn

from semcom.networks.key_transform import KeyTransform
from semcom.receiver.fixed_point import FixedPointConv, in_fixed_point


def test_close_to_what_the_convolution_computes():
    torch.manual_seed(0)
    conv, x = nn.Conv2d(17, 24, 3, padding=1), 3 * torch.randn(1, 17, 8, 9)
    torch.testing.assert_close(FixedPointConv(conv)(x), conv.double()(x.double()), rtol=0, atol=2e-5)


def test_the_order_of_adding_changes_nothing():
    """In float32 and in float64 it does: a sum over permuted channels is another sum of the same terms."""
    torch.manual_seed(0)
    conv, x = nn.Conv2d(64, 24, 3, padding=1), torch.randn(1, 64, 12, 9)
    order = torch.randperm(64)
    permuted = nn.Conv2d(64, 24, 3, padding=1)
    permuted.weight.data, permuted.bias.data = conv.weight.data[:, order], conv.bias.data
    assert torch.equal(FixedPointConv(conv)(x), FixedPointConv(permuted)(x[:, order]))
    assert not torch.equal(conv(x), permuted(x[:, order]))


def test_key_latents_refine_as_trained():
    torch.manual_seed(0)
    transform = KeyTransform()
    hci, latents = torch.rand(1, 3, 16, 24), torch.randint(-3, 4, (1, 32, 4, 6)).float()
    arrived = torch.ones(1, 1, 4, 6)
    fixed = in_fixed_point(transform)
    for one, other in zip(
        fixed.refine(hci, latents, arrived), transform.refine(hci, latents, arrived), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-5)
        assert one.dtype is torch.float32
