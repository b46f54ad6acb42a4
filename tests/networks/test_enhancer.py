"""Tiling and borders of the enhancer."""

import pytest
import torch

from semcom.networks import enhancer as enhancer_module
from semcom.networks.enhancer import Enhancer, pad_reflect


@pytest.mark.parametrize(("height", "width", "margin"), [(8, 9, 3), (3, 5, 8), (1, 4, 2), (2, 2, 8)])
def test_reflection_of_any_size(height, width, margin):
    x = torch.arange(height * width, dtype=torch.float32).view(1, 1, height, width)
    padded = pad_reflect(x, margin)
    assert padded.shape == (1, 1, height + 2 * margin, width + 2 * margin)
    torch.testing.assert_close(padded[..., margin:-margin, margin:-margin], x)


def test_reflection_mirrors_at_the_border():
    x = torch.arange(12.0).view(1, 1, 3, 4)
    padded = pad_reflect(x, 2)
    torch.testing.assert_close(padded[0, 0, 2, :2], torch.tensor([2.0, 1.0]))


def test_tiles_of_the_enhancer_meet_without_a_seam(monkeypatch):
    """A network whose reach is shorter than the margin gives the same picture in one tile or in many."""
    torch.manual_seed(0)
    net = Enhancer(num_blocks=1)
    for block in net.trunk.body:
        block.dense = torch.nn.Identity()  # leaves the outer convolutions, whose reach is a few pixels
    torch.nn.init.normal_(net.trunk.amplify.conv.weight, std=0.02)
    picture, detail = torch.rand(3, 50, 37), (torch.rand(9, 50, 37) < 0.5).float()
    fine = torch.randn(3, 50, 37)
    whole = net.restore(picture, 30, detail, fine)
    monkeypatch.setattr(enhancer_module, "_TILE", 16)
    torch.testing.assert_close(net.restore(picture, 30, detail, fine), whole, rtol=0, atol=1e-5)
    assert whole.shape == (3, 200, 148)
