"""One options object: ranges, conversions, and that everyone reads it."""

import pytest
import torch

from semcom.options import DrawnMask, SemanticOptions
from semcom.profile import Profile
from semcom.semantic import SemanticSystem
from semcom.systems import build


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"key_share": 5}, "key_share"),
        ({"key_share": -3}, "key_share"),
        ({"key_area": 1.1}, "key_area"),
        ({"num_words": 65}, "num_words"),
        ({"steps": 0}, "steps"),
        ({"quantization": "int7"}, "quantization"),
        ({"caption": "a" * 501}, "500 are the limit"),
        ({"key_class": "unicornzz"}, "unicornzz"),
        ({"points": [[1, 2, 3]]}, "points"),
        ({"boxes": [[5, 5, 1, 1]]}, "upper left"),
        ({"mask": "nowhere.png"}, "nowhere.png"),
        ({"mask": torch.ones(8, 8), "key_class": "dog"}, "exclude each other"),
        ({"captoin": "auto"}, "captoin"),
    ],
)
def test_wrong_options_are_named(wrong, named):
    """From Python and from scenario files alike: `key_share: 5` was accepted from YAML."""
    for make in (SemanticOptions, lambda **options: build("semantic", **options)):
        with pytest.raises(ValueError, match=named):
            make(**wrong)


def test_options_are_values():
    mask = torch.zeros(20, 33, dtype=torch.bool)
    mask[3:7, 5:30] = True
    one, other = SemanticOptions(mask=mask, steps=2), SemanticOptions(mask=mask.clone(), steps=2)
    assert one == other
    assert hash(one) == hash(other)
    assert one.updated(steps=3) != one
    assert one.updated(steps=3).mask == one.mask
    assert torch.equal(one.key_mask, mask)


def test_drawn_masks_are_pixel_maps():
    with pytest.raises(ValueError, match=r"\[H,W\]"):
        DrawnMask.of(torch.ones(3, 8, 8))


def test_points_may_be_text_or_numbers():
    assert SemanticOptions(points=["3,4;5,6"]) == SemanticOptions(points=[[3, 4], [5, 6]])


def test_pictures_that_prompts_do_not_fit():
    with pytest.raises(ValueError, match="outside the picture"):
        SemanticOptions(points=[[99, 1]]).check_picture(64, 64)
    with pytest.raises(ValueError, match="8x8"):
        SemanticOptions(mask=torch.ones(8, 8)).check_picture(64, 64)


def test_other_options_share_the_networks(semantic):
    other = semantic.with_options(steps=2, caption="none")
    assert other.options.steps == 2
    assert semantic.options.steps == 1
    assert other.transmitter.extractor is semantic.transmitter.extractor
    assert other.receiver.decoder is semantic.receiver.decoder


def test_every_network_of_the_transmitter_is_built_once(monkeypatch):
    built, build_part = [], Profile.build

    def build_and_note(profile, part, factory):
        built.append(part)
        return build_part(profile, part, factory)

    monkeypatch.setattr(Profile, "build", build_and_note)
    assert SemanticSystem().transmitter
    assert "backbone" in built
    assert len(built) == len(set(built))


def test_an_end_is_built_when_it_is_needed():
    system = SemanticSystem()
    assert {"transmitter", "receiver"}.isdisjoint(vars(system))
