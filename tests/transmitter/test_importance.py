"""Blobs, size prior and the importance of masks, on maps made by hand."""

import pytest
import torch

from semcom.transmitter.importance import blobs_of, of_masks, refined, size_prior
from semcom.transmitter.segmenter import Masks


def discs(*circles, size=(100, 120)):
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    values = torch.zeros(size)
    for cy, cx, radius, level in circles:
        values[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = level
    return values


class Drawer:
    """A segmenter that fills every box."""

    def __init__(self, quality):
        self._quality = quality
        self.asked = False

    def from_boxes(self, view, boxes):
        self.asked = True
        masks = torch.zeros(len(boxes), 100, 120)
        for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
            mask[y0:y1, x0:x1] = 1
        return Masks(masks, torch.full((len(boxes),), self._quality))


def test_blobs_are_the_largest_regions_with_their_boxes():
    values = discs((30, 30, 10, 0.9), (70, 80, 20, 0.7), (90, 5, 0, 1.0), (10, 100, 5, 0.3))
    blobs = blobs_of(values)
    assert blobs.boxes == [(60, 50, 101, 91), (20, 20, 41, 41)]
    torch.testing.assert_close(blobs.maps.sum(0), torch.where((values == 0.9) | (values == 0.7), values, 0.0))
    assert not blobs_of(torch.full((20, 20), 0.49)).boxes
    assert blobs_of(torch.full((20, 20), 0.49)).maps.shape == (0, 20, 20)


def test_size_prior_prefers_objects_to_specks_and_backgrounds():
    prior = size_prior(torch.tensor([0.0, 0.001, 0.1, 0.4, 0.9, 1.0]))
    assert prior.tolist() == pytest.approx([0.5, 0.5, 1, 1, 0.6, 0.5])


def test_masks_weigh_by_quality_and_size():
    large, small = discs((50, 60, 30, 1.0)), discs((5, 5, 1, 1.0))
    found = of_masks(Masks(torch.stack((large, small)), torch.tensor([0.9, 0.6])))
    torch.testing.assert_close(found.membership, torch.maximum(large, small))
    assert found.rank[50, 60].item() == pytest.approx(0.9)
    assert found.rank[5, 5].item() == pytest.approx(0.3, abs=0.01)
    assert found.rank[0, 110] == 0


def test_a_trusted_mask_moves_the_saliency_and_another_does_not():
    saliency = discs((50, 60, 20, 0.8))
    trusted = refined(saliency, Drawer(0.9), None)
    corner = 32, 42  # in the box, outside the disc
    assert saliency[corner] == 0
    assert trusted.membership[corner] > 0
    assert trusted.membership[50, 60] > 0.8
    assert trusted.membership[0, 0] == 0
    doubted = refined(saliency, Drawer(0.2), None)
    torch.testing.assert_close(doubted.membership, saliency)
    assert doubted.rank[50, 60] < trusted.rank[50, 60]


def test_nothing_salient_stays_nothing():
    saliency = torch.full((60, 60), 0.2)
    drawer = Drawer(0.9)
    assert torch.equal(refined(saliency, drawer, None).membership, saliency)
    assert not drawer.asked
