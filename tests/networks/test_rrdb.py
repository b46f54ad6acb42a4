"""The restoration trunk against plain PyTorch operations."""

import torch
import torch.nn.functional as F

from semcom.networks.rrdb import Amplify, NearestUpConv, RRDBNet, prune_blocks


def test_up_convolution_equals_nearest_upsampling_then_convolution():
    torch.manual_seed(0)
    layer, x = NearestUpConv(5), torch.randn(2, 5, 6, 9)
    expected = F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_amplify_multiplies_by_what_the_enlarged_planes_ask_for():
    torch.manual_seed(0)
    amplify, features, source = Amplify(2, 5), torch.randn(1, 5, 8, 12), torch.randn(1, 6, 2, 3)
    assert torch.equal(amplify(features, source), features)  # nothing is asked for before training
    torch.nn.init.normal_(amplify.conv.weight)
    wanted = torch.einsum("cp,bphw->bchw", 8 * amplify.conv.weight[:, :, 0, 0], source[:, 4:])
    expected = features * (1 + F.interpolate(wanted, scale_factor=4.0, mode="nearest"))
    torch.testing.assert_close(amplify(features, source), expected)


def test_published_layout():
    """Real-ESRGAN x4plus: 23 blocks of 15 convolutions and six more, 16.7 million parameters."""
    network = RRDBNet(num_blocks=23)
    assert len(network.convolution_shapes()) == 23 * 15 + 6
    assert sum(p.numel() for p in network.parameters()) == 16_697_987


def test_pruning_keeps_the_chosen_blocks():
    torch.manual_seed(0)
    full = RRDBNet(num_blocks=4, channels=8, growth=4)
    pruned = RRDBNet(num_blocks=2, channels=8, growth=4)
    pruned.load_state_dict(prune_blocks(full.state_dict(), [1, 3]))
    full.body = torch.nn.Sequential(full.body[1], full.body[3])
    x = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(pruned(x), full(x))
    assert pruned(x).shape == (1, 3, 32, 32)
