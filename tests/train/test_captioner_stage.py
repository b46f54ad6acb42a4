"""Stage `captioner`: captions as they are read, samples by seed and index alone, learning that learns."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from semcom.networks.efficientnet import EfficientNetLite0
from semcom.profile import Profile
from semcom.train.data.caption_data import cached_features, plain, read_captions
from semcom.train.stages.captioner import (
    CaptionerStage,
    CaptionSamples,
    caption_scores,
    learn_coder,
    learn_vocabulary,
)
from semcom.transmitter.features import FeatureExtractor
from semcom.vocabulary import END, Vocabulary


@pytest.fixture(scope="module")
def captioned(tmp_path_factory):
    """Two pictures, told apart by colour."""
    folder = tmp_path_factory.mktemp("captions")
    (folder / "train").mkdir()
    lines = []
    for name, colour, text in (
        ("r", (220, 30, 30), "A red wall ."),
        ("b", (30, 30, 220), "Blue sky , far away"),
    ):
        Image.new("RGB", (80, 60), colour).save(folder / "train" / f"{name}.png")
        lines.append(json.dumps({"image": f"{name}.png", "captions": [text] * 3}))
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "train.jsonl"


@pytest.fixture(scope="module")
def extractor():
    return FeatureExtractor(Profile.open("tiny").build("backbone", EfficientNetLite0))


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("A black dog , with a red ball .", "a black dog, with a red ball"),
        ('A sign reads " Stop "', "a sign reads stop"),
        ("The boy 's   hat", "the boy's hat"),
        (" . ", ""),
    ],
)
def test_normal_form(said, kept):
    assert plain(said) == kept


def test_captions_are_read_with_their_photos(captioned):
    data = read_captions([captioned])
    assert [photo.name for photo in data.photos] == ["r.png", "b.png"]
    assert data.captions == [["a red wall"] * 3, ["blue sky, far away"] * 3]


@pytest.mark.parametrize(
    ("line", "error", "named"),
    [
        ('{"image": "gone.png", "captions": []}', ValueError, "gone.png"),
        ('{"image": "r.png"}', ValueError, "line 1: needs image and captions"),
        ("not json", ValueError, "line 1: needs image and captions"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, error, named):
    path = tmp_path / "captions.jsonl"
    path.write_text(line)
    with pytest.raises(error, match=named):
        read_captions([path])


def test_features_are_computed_once(captioned, extractor, tmp_path):
    photos = read_captions([captioned]).photos
    features = cached_features(extractor, photos, tmp_path)
    assert features.shape == (2, 49, 320)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    np.testing.assert_array_equal(cached_features(extractor, photos, tmp_path), features)
    assert file.stat().st_mtime_ns == written
    cached_features(extractor, photos[:1], tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_mirroring_turns_rows_of_cells_and_nothing_else():
    features = np.arange(49, dtype=np.float16)[None, :, None] * np.ones((1, 49, 320), np.float16)
    samples = CaptionSamples(features, [[[2]]], 0)
    plain_rows = torch.arange(49.0).view(7, 7)
    seen = {tuple(samples[i]["features"][:, 0].tolist()) for i in range(20)}
    assert seen == {tuple(rows.flatten().tolist()) for rows in (plain_rows, plain_rows.flip(1))}


def test_every_epoch_shows_every_photo_once():
    features = np.arange(5, dtype=np.float16)[:, None, None] * np.ones((1, 49, 320), np.float16)
    tokens = [[[2 + i] * 30, [9, 9]] for i in range(5)]
    samples, again = CaptionSamples(features, tokens, 7), CaptionSamples(features, tokens, 7)
    for epoch in range(2):
        shown = [samples[5 * epoch + i] for i in range(5)]
        assert sorted(int(s["features"][0, 0]) for s in shown) == [0, 1, 2, 3, 4]
    for name, value in again[3].items():
        torch.testing.assert_close(value, samples[3][name])
    rows = samples[0]["tokens"]
    assert rows.shape == (5, 18)
    for row in rows.tolist():
        assert row[:4] == [9, 9, END, -100] or len(set(row)) == 1
    assert samples[0]["visible"].any()


def test_two_pictures_are_told_apart_after_a_few_steps(captioned, extractor, tmp_path):
    data = read_captions([captioned])
    vocabulary = learn_vocabulary(data)
    stage = CaptionerStage(extractor, vocabulary, data, data, tmp_path, seed=0)
    optimizer = torch.optim.AdamW(stage.model.parameters(), 2e-3)
    samples = stage.dataset(0)
    for step in range(25):
        batch = torch.utils.data.default_collate([samples[2 * step], samples[2 * step + 1]])
        (loss,) = stage.loss(batch, 0.0).values()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model = stage.model.eval()
    assert stage.write_training_captions(model) == ["a red wall", "blue sky, far away"]
    assert stage.evaluate(model)["bleu4"] == pytest.approx(1)
    coder = learn_coder(vocabulary, data, stage.write_training_captions(model))
    assert len(coder.encode("a red wall")) <= 2
    assert isinstance(coder.vocabulary, Vocabulary)


def test_scores_against_known_values():
    """BLEU-4 by hand: precisions 5/6, 3/5, 1/4 and smoothing-free 0 or 1/3 of the second pair alone."""
    references = [["the cat is on the mat"], ["a dog runs in the park today"]]
    assert caption_scores([r[0] for r in references], references)["bleu4"] == pytest.approx(1)
    assert caption_scores([r[0] for r in references], references)["cider"] == pytest.approx(10)
    scores = caption_scores(["the cat the cat on the mat", "a dog runs in a park"], references)
    matches, totals = (5 + 5, 3 + 3, 1 + 2, 0 + 1), (7 + 6, 6 + 5, 5 + 4, 4 + 3)
    expected = np.prod([m / t for m, t in zip(matches, totals, strict=True)]) ** 0.25
    assert scores["bleu4"] == pytest.approx(expected, rel=1e-3)
