"""Task metrics: what counts as found again, with networks that are not there and with published ones."""

import importlib
import subprocess
import sys
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semcom.metrics import registry, tasks
from semcom.metrics.tasks import original as originals
from semcom.metrics.tasks.original import Original, character_error_rate, plain
from semcom.vision import MissingExtraError, extra, iou
from semcom.vision.ssd_mobilenet import Found

TRUTH, PICTURE = torch.zeros(3, 64, 64), torch.ones(3, 64, 64)


@pytest.fixture
def seen(monkeypatch):
    """What networks see in TRUTH and in PICTURE, by the test's own word."""
    told = {"objects": ([], []), "faces": ([], []), "classes": {}}
    which = lambda image: int(bool(image.any()))  # noqa: E731

    monkeypatch.setattr(originals.ssd_mobilenet, "detect", lambda im, least=0.5: told["objects"][which(im)])
    monkeypatch.setattr(originals.mtcnn, "detect", lambda im: told["faces"][which(im)])
    monkeypatch.setattr(
        originals.lite2,
        "probabilities",
        lambda ims: torch.stack([told["classes"][float(im.mean())] for im in ims]),
    )
    monkeypatch.setattr(originals, "extra", extra, raising=False)
    originals._originals.clear()
    yield told
    originals._originals.clear()


def test_an_object_is_found_again_by_class_and_place(seen):
    dog, cat = (
        (lambda x: Found("dog", (x, 0.0, x + 20.0, 20.0), 0.9)),
        Found("cat", (0.0, 0.0, 20.0, 20.0), 0.9),
    )
    seen["objects"] = ([dog(0.0), dog(40.0)], [dog(5.0)])  # IoU 0.6
    assert Original(TRUTH).objects_found(PICTURE) == [1, 0]
    seen["objects"] = ([dog(0.0)], [dog(8.0)])  # IoU 0.43
    assert Original(TRUTH).objects_found(PICTURE) == [0]
    seen["objects"] = ([dog(0.0)], [cat])
    assert Original(TRUTH).objects_found(PICTURE) == [0]


def test_one_face_is_not_found_twice(seen):
    a, b = (0.0, 0.0, 20.0, 20.0), (2.0, 0.0, 22.0, 20.0)
    seen["faces"] = ([a, b], [a])
    assert sum(Original(TRUTH).faces_found(PICTURE)) == 1


def test_nothing_to_find_is_nan_and_does_not_count(seen):
    pair = torch.stack([PICTURE, PICTURE]), torch.stack([TRUTH, TRUTH])
    assert registry.find("faces_found")(*pair).isnan().all()
    metric = tasks.FacesFound()
    metric.update(*pair)
    originals._originals.clear()
    face = (0.0, 0.0, 20.0, 20.0)
    seen["faces"] = ([face], [face])
    metric.update(pair[0][:1], pair[1][:1])
    assert metric.compute() == 1 and metric.pictures == 1


@cache
def distance(a, b):
    """Levenshtein's, as its definition says."""
    if not a or not b:
        return len(a) + len(b)
    same = distance(a[1:], b[1:]) + (a[0] != b[0])
    return min(same, distance(a[1:], b) + 1, distance(a, b[1:]) + 1)


@given(st.text("ab1", max_size=6), st.text("ab1", min_size=1, max_size=6))
def test_character_error_rate_is_levenshteins_distance(read, truth):
    assert character_error_rate(read, truth) == pytest.approx(min(distance(read, truth) / len(truth), 1))


def test_text_is_compared_without_case_accents_and_marks():
    assert plain("Café No. 14,255") == "cafeno14255"


boxes = st.tuples(*[st.floats(0, 50)] * 2, *[st.floats(1, 50)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@given(boxes, boxes)
def test_iou_agrees_with_torchvision(a, b):
    from torchvision.ops import box_iou

    expected = box_iou(torch.tensor([a], dtype=torch.float64), torch.tensor([b], dtype=torch.float64)).item()
    assert iou(a, b) == pytest.approx(expected, abs=1e-6)


def test_class_errors_are_counted_against_the_picture_without_generation(seen, monkeypatch):
    pytest.importorskip("timm", reason="extra tasks")
    seen["classes"] = {0.0: torch.eye(3)[0], 1.0: torch.eye(3)[0], 0.5: torch.eye(3)[1]}
    right, wrong, truth = PICTURE, torch.full_like(TRUTH, 0.5), TRUTH
    metric = tasks.ClassErrors()
    metric.update(
        torch.stack([right, wrong, wrong, right]),
        truth.expand(4, -1, -1, -1),
        torch.stack([wrong, right, wrong, right]),
    )
    assert {k: int(v) for k, v in metric.compute().items()} == {"new": 1, "repaired": 1}


NEEDS = {
    "text_found": "onnxruntime",
    "text_error": "onnxruntime",
    "identity_distance": "dlib",
    "top5_lite2": "timm",
}


@pytest.mark.parametrize(("name", "package"), NEEDS.items())
def test_without_the_extra_one_sentence_says_what_to_install(name, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"semcom.metrics.tasks.{name}", raising=False)
    registry.find.cache_clear()
    with pytest.raises(
        MissingExtraError, match=rf"needs the package {package}: pip install 'semcom\[tasks\]'"
    ):
        registry.find(name)
    with pytest.raises(MissingExtraError):
        extra(package, "this")


def test_task_metrics_have_names_but_are_no_default():
    assert {"objects_found", "faces_found", *NEEDS} <= set(registry.metric_names())
    assert not {"objects_found", "faces_found", *NEEDS} & set(registry.default_metrics())
    for name in ("objects_found", "faces_found"):
        assert importlib.import_module(f"semcom.metrics.tasks.{name}").METRIC.name == name


def test_names_import_no_network():
    code = (
        "import sys; from semcom.metrics.registry import metric_names; metric_names();"
        "assert not {'onnxruntime', 'dlib', 'timm', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
