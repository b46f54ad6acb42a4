"""The user's prompts: read, checked, refused with the reason."""

import numpy as np
import pytest
import torch
from PIL import Image

from semcom.transmitter.prompts import PromptError, Prompts, load_mask, parse_boxes, parse_points


def test_points_and_boxes_are_read():
    assert parse_points(["10,20", "3.5,4;5,6"]) == ((10, 20), (3.5, 4), (5, 6))
    assert parse_boxes(["1,2,30,40 5,6,7,8"]) == ((1, 2, 30, 40), (5, 6, 7, 8))
    assert parse_points([]) == ()


@pytest.mark.parametrize("text", ["10", "1,2,3", "a,b", "nan,1", "1,inf"])
def test_a_point_that_is_none(text):
    with pytest.raises(PromptError, match=r"point .*: expected x,y in pixels"):
        parse_points([text])


def test_a_box_that_is_none():
    with pytest.raises(PromptError, match=r"expected x0,y0,x1,y1"):
        parse_boxes(["1,2,3"])
    with pytest.raises(PromptError, match="upper left corner"):
        Prompts(boxes=((30, 2, 10, 40),))
    with pytest.raises(PromptError, match="upper left corner"):
        Prompts(boxes=((10, 2, 10, 40),))


def test_outside_the_picture():
    Prompts(points=((0, 0), (768, 512)), boxes=((0, 0, 768, 512),)).check(768, 512)
    with pytest.raises(PromptError, match="point 769,3 is outside the picture of 768x512 pixels"):
        Prompts(points=((769.0, 3.0),)).check(768, 512)
    with pytest.raises(PromptError, match="box -1,0,5,5 is outside"):
        Prompts(boxes=((-1.0, 0.0, 5.0, 5.0),)).check(768, 512)


def test_unknown_class_is_refused_at_once():
    with pytest.raises(ValueError, match="no class named"):
        Prompts(key_class="xyzzy")


def test_prompts_are_true_when_there_are_some():
    assert not Prompts()
    assert Prompts(points=((1, 2),))
    assert Prompts(key_class="dog")


def test_mask_is_read_where_it_is_bright(tmp_path):
    drawn = np.zeros((40, 60, 3), np.uint8)
    drawn[10:20, 30:50] = 255
    drawn[0, 0] = 100
    Image.fromarray(drawn).save(tmp_path / "mask.png")
    mask = load_mask(tmp_path / "mask.png")
    assert mask.shape == (40, 60)
    assert mask.dtype == torch.bool
    assert mask.nonzero().min(0).values.tolist() == [10, 30]
    assert int(mask.sum()) == 200


def test_mask_errors_name_the_file(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(PromptError, match=r"text\.png: not a picture"):
        load_mask(tmp_path / "text.png")
    with pytest.raises(PromptError, match=r"absent\.png: No such file"):
        load_mask(tmp_path / "absent.png")
