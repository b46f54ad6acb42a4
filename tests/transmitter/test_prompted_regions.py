"""The shipped models follow the user: points, boxes, classes and masks on pictures made or known."""

import pytest
import torch
from typer.testing import CliRunner

from semcom.cli.main import app
from semcom.networks.u2net import U2NetP
from semcom.picture import images
from semcom.profile import Profile
from semcom.semantic import SemanticSystem
from semcom.systems import build
from semcom.transmitter.prompts import PromptError, Prompts
from semcom.transmitter.regions import RegionSelector


@pytest.fixture(scope="module")
def selector():
    return SemanticSystem("tiny").transmitter.selector


def ball(centre, radius, size=(256, 384)):
    y, x = torch.meshgrid(torch.arange(float(size[0])), torch.arange(float(size[1])), indexing="ij")
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2


@pytest.fixture(scope="module")
def scene():
    """A red and a blue ball on a lawn, and where they are."""
    red, blue = ball((120, 90), 55), ball((150, 280), 65)
    image = torch.tensor([0.25, 0.45, 0.2])[:, None, None] + 0.03 * torch.randn(
        3, 256, 384, generator=torch.Generator().manual_seed(0)
    )
    image[:, red] = torch.tensor([0.85, 0.15, 0.1])[:, None]
    image[:, blue] = torch.tensor([0.15, 0.2, 0.85])[:, None]
    return image.clamp(0, 1), red, blue


def iou(found, truth):
    return ((found & truth).sum() / (found | truth).sum()).item()


def cells(mask):
    return torch.nn.functional.avg_pool2d(mask.float()[None], 16)[0] >= 0.5


def test_a_point_takes_its_object_and_not_the_other(selector, scene):
    image, red, blue = scene
    for wanted, other, point in ((red, blue, (90, 120)), (blue, red, (280, 150))):
        key = selector.select(image, None, prompts=Prompts(points=(point,)))
        assert iou(key, cells(wanted)) > 0.6
        assert iou(key, cells(other)) < 0.2


def test_a_box_takes_what_it_holds(selector, scene):
    image, red, blue = scene
    key = selector.select(image, None, prompts=Prompts(boxes=((215, 85, 345, 215),)))
    assert iou(key, cells(blue)) > 0.75
    both = selector.select(image, None, prompts=Prompts(boxes=((215, 85, 345, 215), (35, 65, 145, 175))))
    assert iou(both, cells(red | blue)) > 0.7


def test_a_class_that_is_there_and_one_that_is_not(selector, sample_photo):
    """The sample photo is a cup of coffee on a wooden table."""
    photo = images.load(sample_photo)
    cup = selector.select(photo, None, prompts=Prompts(key_class="cup"))
    assert 0.05 < cup.float().mean() < 0.75
    assert cup[cup.shape[0] // 2, cup.shape[1] // 2]
    assert not selector.select(photo, None, prompts=Prompts(key_class="zebra")).any()


def test_an_object_smaller_than_a_cell_still_has_one(selector, scene):
    key = selector.select(scene[0], prompts=Prompts(boxes=((100, 40, 104, 44),)))
    assert key.any()


def test_limit_holds_for_prompts(selector, scene):
    prompts = Prompts(boxes=((0, 0, 384, 256),))
    assert selector.select(scene[0], 0.1, prompts=prompts).float().mean() <= 0.1
    assert not selector.select(scene[0], 0, prompts=prompts).any()


def test_prompts_outside_the_picture_are_named(selector, scene):
    with pytest.raises(PromptError, match="point 400,10 is outside the picture of 384x256 pixels"):
        selector.select(scene[0], prompts=Prompts(points=((400, 10),)))


def test_without_a_segmenter_saliency_decides_and_prompts_are_refused(scene):
    bare = RegionSelector(Profile.open("tiny").build("saliency", U2NetP))
    assert bare.select(scene[0], None).any()
    with pytest.raises(PromptError, match="no segmenter"):
        bare.select(scene[0], prompts=Prompts(points=((40, 10),)))


def test_system_options_of_a_scenario():
    system = build(
        "semantic", points=[[90, 120]], boxes=[[215, 85, 345, 215]], key_class="dog", caption="none"
    )
    assert system.options.prompts == Prompts(((90, 120),), ((215, 85, 345, 215),), "dog")
    with pytest.raises(ValueError, match="points"):
        build("semantic", points=[[1, 2, 3]])
    with pytest.raises(ValueError, match=r"absent\.png"):
        build("semantic", mask="absent.png")
    with pytest.raises(ValueError, match=r"absent\.pth: no such file"):
        build("semantic", sam_checkpoint="absent.pth")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--points", "1"], "point 1: expected x,y in pixels"),
        (["--boxes", "5,5,1,1"], "upper left corner"),
        (["--key-class", "xyzzy"], "no class named 'xyzzy'"),
        (["--mask", "absent.png"], "absent.png: no such file"),
        (["--points", "9999,3", "--caption", "none"], "point 9999,3 is outside the picture"),
    ],
)
def test_command_line_refuses_in_one_line(sample_photo, tmp_path, arguments, reason):
    run = CliRunner().invoke(app, ["send", str(sample_photo), "--out", str(tmp_path), *arguments])
    assert run.exit_code == 2
    assert reason in run.output
    assert "Traceback" not in run.output
