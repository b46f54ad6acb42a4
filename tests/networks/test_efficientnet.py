"""EfficientNet-Lite0 against timm's, and against the classes of real photographs."""

import os
from pathlib import Path

import pytest
import torch

from semcom.networks.efficientnet import (
    FEATURE_CHANNELS,
    FEATURE_STRIDES,
    EfficientNetLite0,
    center_crop,
    fold_batch_norms,
)
from semcom.picture import images
from semcom.pretrained import PARTS, cache_directory, load

DATA = Path(os.environ.get("SEMCOM_DATA", Path(__file__).parents[3] / "shared" / "data"))
PHOTOS = DATA / "photos"
CACHED = any(cache_directory().glob("efficientnet-lite0-*.safetensors"))


@pytest.mark.parametrize("size", [(64, 96), (75, 101)])
def test_equals_timm_with_the_same_weights(size):
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("tf_efficientnet_lite0").eval()
    generator = torch.Generator().manual_seed(1)
    for value in theirs.state_dict().values():  # batch norms far from the identity
        if value.is_floating_point():
            noise = torch.rand(value.shape, generator=generator)
            value.copy_(0.5 + noise if value.ndim == 1 else value + 0.01 * (noise - 0.5))
    ours = EfficientNetLite0().eval()
    ours.load_state_dict(fold_batch_norms(theirs.state_dict()))
    image = torch.rand(2, 3, *size, generator=generator)
    with torch.inference_mode():
        expected = theirs((image * 255 - 127) / 128)
        got = ours(image)
    assert torch.allclose(got, expected, rtol=1e-3, atol=1e-3 * expected.std().item())


def test_features_have_the_announced_strides_and_channels():
    with torch.inference_mode():
        maps = EfficientNetLite0().eval().features(torch.zeros(1, 3, 65, 96))
    for features, channels, stride in zip(maps, FEATURE_CHANNELS, FEATURE_STRIDES, strict=True):
        assert features.shape == (1, channels, -(-65 // stride), -(-96 // stride))


def test_center_crop_is_the_middle_square():
    image = torch.zeros(1, 3, 256, 512)
    image[..., 128:384] = 1
    crop = center_crop(image)
    assert crop.shape == (1, 3, 224, 224)
    torch.testing.assert_close(crop, torch.ones_like(crop))


def test_part_names_its_licence_and_pins_its_archive():
    part = PARTS["efficientnet-lite0"]
    assert part.licence == "Apache-2.0"
    assert len(part.archive_sha256) == 64


@pytest.mark.skipif(not (CACHED and PHOTOS.exists()), reason="needs the weights and the photos")
def test_classifies_photographs():
    """One photograph per ImageNet class, named by synset; sorted synsets are the order of the logits."""
    paths = sorted(PHOTOS.glob("*/in1k_*"), key=lambda path: path.name)
    assert len(paths) == 1000
    network, chosen = EfficientNetLite0().eval(), range(0, 1000, 25)
    network.load_state_dict(load("efficientnet-lite0"))
    with torch.inference_mode():
        correct = [network(center_crop(images.load(paths[i])[None])).argmax().item() == i for i in chosen]
    assert sum(correct) >= 32  # 88.8 % of all 1000; 32 of 40 is 2 standard deviations below
