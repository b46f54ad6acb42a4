"""Prompts and answers of the segmenter's training, on pictures whose segments are known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from semcom.train.data.segmenter_data import (
    PromptedCrops,
    bounding_box,
    innermost_point,
    list_masked,
    segments,
)
from semcom.train.stages.segmenter import dice_loss, iou


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three photos: red discs (1) and blue bars (2) on green; the last has two annotators."""
    target = tmp_path_factory.mktemp("masked")
    y, x = np.mgrid[:120, :160]
    for i in range(3):
        labels = np.zeros((120, 160), np.uint8)
        labels[(y - 60) ** 2 + (x - 50 - 10 * i) ** 2 < 900] = 1
        labels[:, 120:150] = 2
        colours = np.array([[0, 180, 0], [200, 0, 0], [0, 0, 220]], np.uint8)
        Image.fromarray(colours[labels]).save(target / f"{i}.webp", lossless=True)
        for name in [f"{i}.png"] if i < 2 else ["2_0.png", "2_1.png"]:
            Image.fromarray(labels).save(target / name)
    Image.new("RGB", (64, 64)).save(target / "unlabelled.webp")
    return target


def test_photos_with_masks_are_found(folder):
    found = list_masked(folder)
    assert [len(entry.labels) for entry in found] == [1, 1, 2]
    with pytest.raises(ValueError, match="no photo with a mask"):
        list_masked(folder.parent / "nowhere")


def test_segments_leave_out_the_unlabelled_and_the_small():
    labels = np.zeros((10, 10), np.uint8)
    labels[:5], labels[9, 9] = 4, 7
    assert [int(mask.sum()) for mask in segments(labels, 0.0)] == [50, 1]
    assert [int(mask.sum()) for mask in segments(labels, 0.02)] == [50]


def test_innermost_point_of_known_shapes():
    mask = np.zeros((40, 60), bool)
    mask[10:31, 20:41] = True
    assert innermost_point(mask) == (30, 20)
    assert innermost_point(np.ones((21, 41), bool))[1] == 10
    ring = np.zeros((61, 61), bool)
    y, x = np.mgrid[:61, :61]
    radius = np.hypot(y - 30, x - 30)
    ring[(radius < 28) & (radius > 18)] = True
    px, py = innermost_point(ring)
    assert ring[py, px]  # where a centre of mass would fall into the hole


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31))
def test_boxes_hold_their_mask_and_points_lie_on_it(seed):
    mask = np.random.default_rng(seed).random((12, 17)) < 0.1
    if mask.any():
        x0, y0, x1, y1 = bounding_box(mask)
        assert mask[y0 : y1 + 1, x0 : x1 + 1].sum() == mask.sum()
        assert mask[y0].any() and mask[y1].any() and mask[:, x0].any() and mask[:, x1].any()
        x, y = innermost_point(mask)
        assert mask[y, x]


def test_prompts_point_at_their_answers(folder):
    crops = PromptedCrops([list_masked(folder)], seed=1)
    for index in range(12):
        sample = crops[index]
        answers = sample["masks"]
        assert sample["image"].shape == (3, 384, 384)
        for answer, coords, labels in zip(answers, sample["points"], sample["labels"], strict=False):
            x, y = (coords[0] / 4).long().tolist()
            assert answer[y, x] > 0
            assert labels[0] == 1
        for answer, box in zip(answers[3:], sample["boxes"], strict=True):
            ys, xs = (answer > 0.5).nonzero().unbind(1)
            exact = torch.stack((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)) * 4
            spread = 0.2 * torch.tensor([(exact[2] - exact[0]).item(), (exact[3] - exact[1]).item()] * 2) + 6
            assert ((box - exact).abs() < spread).all()
        coarse = sample["coarse"][0, 0]
        inside, outside = coarse[answers[-1] > 0.5].mean(), coarse[answers[-1] < 0.5].mean()
        assert inside > outside


def test_crops_show_what_their_answers_say(folder):
    """In a disc's answer the picture is red, in a bar's blue, whatever the crop, flip and contrast."""
    crops = PromptedCrops([list_masked(folder)], seed=2)
    for index in range(8):
        sample = crops[index]
        small = torch.nn.functional.avg_pool2d(sample["image"], 4)
        for answer in sample["masks"]:
            colour = small[:, answer > 0.99].mean(1)
            assert int(colour.argmax()) in (0, 2)


def test_samples_depend_on_seed_and_index_alone(folder):
    first, again = (PromptedCrops([list_masked(folder)], seed=5) for _ in range(2))
    [first[i] for i in (3, 1)]
    for name, value in first[7].items():
        torch.testing.assert_close(value, again[7][name])


def test_losses_of_known_masks():
    truth = torch.zeros(1, 8, 8)
    truth[:, :4] = 1
    sure = 40 * (truth - 0.5)
    assert dice_loss(sure, truth).item() == pytest.approx(0, abs=1e-3)
    assert iou(sure, truth).item() == 1
    assert iou(-sure, truth).item() == 0
    half = torch.full((1, 8, 8), 20.0)
    assert iou(half, truth).item() == 0.5
    assert dice_loss(half, truth).item() == pytest.approx(1 - (2 * 32 + 1) / (64 + 32 + 1), abs=1e-3)
    nothing = torch.zeros(1, 8, 8)
    assert iou(nothing - 1, nothing).item() == 1
