"""Shared features: the same numbers as the backbone gives, whoever asks."""

import pytest
import torch
import torch.nn.functional as F

from semcom.networks.efficientnet import EfficientNetLite0
from semcom.transmitter.features import FRAME, FeatureExtractor, frame_size


@pytest.fixture(scope="module")
def extractor():
    torch.manual_seed(0)
    return FeatureExtractor(EfficientNetLite0().eval())


@pytest.mark.parametrize(
    ("size", "expected"), [((512, 768), (256, 384)), ((70, 64), (384, 351)), ((64, 8192), (3, 384))]
)
def test_frame_keeps_the_shape(size, expected):
    assert frame_size(*size) == expected


def test_maps_fill_the_frame_and_cells_the_picture(extractor):
    features = extractor(torch.rand(3, 100, 200))
    assert [tuple(x.shape[1:]) for x in features.maps] == [
        (24, 96, 96),
        (40, 48, 48),
        (112, 24, 24),
        (320, 12, 12),
    ]
    assert (features.height, features.width) == (192, 384)
    assert features.deepest.shape == (1, 320, 6, 12)
    torch.testing.assert_close(features.grid(1, 1)[..., 0, 0], features.deepest.mean((2, 3)))
    assert features.grid(7, 7).shape == (1, 320, 7, 7)


def test_logits_of_a_square_picture_are_the_classifiers(extractor):
    picture = torch.rand(3, FRAME, FRAME, generator=torch.Generator().manual_seed(1))
    expected = extractor.backbone(picture[None])[0]
    torch.testing.assert_close(
        extractor.evidence(extractor(picture)).mean((1, 2)), expected, atol=1e-4, rtol=1e-4
    )


def test_padding_is_black(extractor):
    picture = torch.rand(3, 192, FRAME, generator=torch.Generator().manual_seed(2))
    framed = F.pad(picture, (0, 0, 0, FRAME - 192))
    expected = extractor.backbone.features(framed[None])
    for got, want in zip(extractor(picture).maps, expected, strict=True):
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)
