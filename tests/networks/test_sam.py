"""SAM variants: the tiny one against segment_anything's own predictor, checkpoints refused by name."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from segment_anything import SamPredictor, sam_model_registry
from segment_anything.modeling import Sam

from semcom.networks.efficientnet import EfficientNetLite0
from semcom.networks.sam import SamError, TinySegmenter, published_sam
from semcom.picture import images
from semcom.picture.pixels import to_pixels
from semcom.profile import Profile, ProfileError
from semcom.transmitter.features import FeatureExtractor
from semcom.transmitter.segmenter import Segmenter


def _tiny_sam(profile):
    backbone = profile.build("backbone", EfficientNetLite0)
    return profile.build("segmenter", TinySegmenter).sam(backbone)


@pytest.fixture(scope="module")
def photo(sample_photo):
    return images.load(sample_photo)[:, :400, :600].contiguous()


@pytest.fixture(scope="module")
def sam():
    return _tiny_sam(Profile.open("tiny"))


def test_tiny_is_sam(sam):
    assert isinstance(sam, Sam)
    assert not sam.training
    assert sum(p.numel() for p in sam.parameters()) < 7e6


def test_masks_are_those_of_the_published_predictor(sam, photo):
    """`segment_anything` resizes 8-bit pixels with Pillow; ours are floats: equal up to that."""
    predictor = SamPredictor(sam)
    predictor.set_image(to_pixels(photo))
    segmenter = Segmenter(sam)
    view = segmenter.look(photo)
    for point in ((300.0, 200.0), (80.0, 350.0)):
        found = segmenter.from_points(view, [point])
        masks, quality, _ = predictor.predict(np.array([point]), np.array([1]), multimask_output=True)
        pieces, _ = ndimage.label(masks[quality.argmax()])
        _same(found.probability[0] > 0.5, pieces == pieces[int(point[1]), int(point[0])])
        assert found.quality[0].item() == pytest.approx(min(1, quality.max()), abs=0.03)
    box = (150.0, 60.0, 450.0, 380.0)
    masks, _, _ = predictor.predict(box=np.array(box), multimask_output=False)
    masks[0, :60] = masks[0, 381:] = masks[0, :, :150] = masks[0, :, 451:] = False
    _same(segmenter.from_boxes(view, [box]).probability[0] > 0.5, masks[0])


def _same(ours, theirs):
    truth = torch.from_numpy(theirs)
    assert (ours & truth).sum() / (ours | truth).sum().clamp(min=1) > 0.97


def test_shared_features_give_the_same_view(sam, photo):
    own = Segmenter(sam).look(photo)
    shared = Segmenter(sam).look(photo, FeatureExtractor(sam.image_encoder.backbone)(photo))
    torch.testing.assert_close(own.embedding, shared.embedding, atol=2e-3, rtol=2e-3)
    assert (own.size, own.original) == (shared.size, shared.original) == ((256, 384), (400, 600))


def test_prompts_side_by_side_are_prompts_one_by_one(sam, photo):
    segmenter = Segmenter(sam)
    view = segmenter.look(photo)
    points = [(300.0, 200.0), (80.0, 350.0), (10.0, 10.0)]
    together = segmenter.from_points(view, points)
    for i, point in enumerate(points):
        alone = segmenter.from_points(view, [point])
        torch.testing.assert_close(together.probability[i], alone.probability[0], atol=1e-3, rtol=0)


def test_a_profile_without_the_part_is_named():
    with pytest.raises(ProfileError, match="no part 'backbone'; it has other"):
        _tiny_sam(Profile("bare", Path(), {"other": ({}, {})}))


def test_weights_of_another_width_are_refused():
    profile = Profile(
        "odd",
        Path(),
        {
            "backbone": ({}, EfficientNetLite0().state_dict()),
            "segmenter": ({"width": 64}, TinySegmenter(width=32).state_dict()),
        },
    )
    with pytest.raises(ProfileError, match="part segmenter does not fit its model"):
        _tiny_sam(profile)


def test_checkpoints_are_refused_by_name(tmp_path):
    with pytest.raises(SamError, match="unknown SAM variant 'vit_x'; published are vit_b, vit_l, vit_h"):
        published_sam(tmp_path, "vit_x")
    with pytest.raises(SamError, match=r"absent\.pth: no such file; it is published as sam_vit_b_01ec64"):
        published_sam(tmp_path / "absent.pth", "vit_b")
    large = {"image_encoder.patch_embed.proj.weight": torch.zeros(1024, 3, 16, 16)}
    torch.save(large, tmp_path / "l.pth")
    with pytest.raises(SamError, match="not a checkpoint of vit_b but of vit_l"):
        published_sam(tmp_path / "l.pth", "vit_b")
    with pytest.raises(SamError, match=r"damaged checkpoint of vit_l: .*Missing key"):
        published_sam(tmp_path / "l.pth", "vit_l")
    torch.save({"w": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(SamError, match=r"other\.pth: not a checkpoint of vit_h$"):
        published_sam(tmp_path / "other.pth", "vit_h")
    with pytest.raises(SamError, match="not a checkpoint of SAM"):
        published_sam(tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(SamError, match=r"text\.pth: not a PyTorch checkpoint"):
        published_sam(tmp_path / "text.pth", "vit_b")


@pytest.mark.slow
def test_published_variant_is_loaded_as_published(tmp_path, photo):
    torch.manual_seed(0)
    original = sam_model_registry["vit_b"]().eval()
    torch.save(original.state_dict(), tmp_path / "b.pth")
    ours = published_sam(tmp_path / "b.pth", "vit_b")
    torch.testing.assert_close(ours.pixel_mean, original.pixel_mean)
    torch.testing.assert_close(ours.pixel_std, original.pixel_std)
    predictor = SamPredictor(original)
    predictor.set_image(to_pixels(photo))
    view = Segmenter(ours).look(photo)
    assert view.embedding.shape == (1, 256, 64, 64)
    torch.testing.assert_close(view.embedding, predictor.features, atol=0.05, rtol=0.05)
    assert Segmenter(ours).from_boxes(view, [(1, 2, 90, 80)]).probability.shape == (1, 400, 600)
