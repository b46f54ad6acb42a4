"""FID (arXiv 1706.08500) and KID (arXiv 1801.01401): distances between sets of pictures, by `torchmetrics`.

Both need thousands of pictures to mean anything, and the Inception network that the literature uses: its
weights are 95 MB, so they are given by path. `FIDBackbone` is the same distance between features of the
profile's ImageNet backbone: it needs no file and no stage trains on it, but its numbers are its own and
comparable with no published FID.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3
from torchmetrics.image.kid import KernelInceptionDistance

from semcom.networks.efficientnet import EfficientNetLite0, center_crop
from semcom.profile import Profile

_FEATURES = 2048
_BACKBONE_FEATURES = 1280


class EightBit(nn.Module):
    """What a saved file would hold of pictures, given to a network that wants uint8.

    Args:
        features: with an attribute `num_features`.
    """

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features, self.num_features = features, features.num_features

    def forward(self, pictures: Tensor) -> Tensor:
        """[B,3,H,W] float in [0,1] to [B,num_features]."""
        return self.features((pictures.clamp(0, 1) * 255).round().byte())


def inception(weights: str | Path) -> nn.Module:
    """The FID Inception network, [B,3,299,299] uint8 to [B,2048].

    Raises:
        ValueError: there is no such file; the message says where it comes from.
    """
    if not Path(weights).is_file():
        raise ValueError(
            f"{weights} does not exist: FID and KID need the weights pt_inception-2015-12-05-6726825d.pth, "
            "which torch-fidelity and pytorch-fid publish with their releases; give their path"
        )
    network = NoTrainInceptionV3(
        "inception-v3-compat", [str(_FEATURES)], feature_extractor_weights_path=str(weights)
    )
    network.num_features = _FEATURES
    return network


class Backbone(nn.Module):
    """What the classifier of profile `tiny`, EfficientNet-Lite0, reads of the middle square of a picture.

    Args:
        profile: name of a shipped profile or path of a folder.
    """

    num_features = _BACKBONE_FEATURES

    def __init__(self, profile: str | Path = "tiny") -> None:
        super().__init__()
        self.network = Profile.open(profile).build("backbone", EfficientNetLite0)

    @torch.inference_mode()
    def forward(self, pictures: Tensor) -> Tensor:
        """[B,3,H,W] uint8 to [B,1280]."""
        return self.network.embedding(self.network.features(center_crop(pictures / 255)))


class FID(FrechetInceptionDistance):
    """Fréchet Inception distance; its states are sums over pictures, in double precision.

    Call `update(pictures, real=True)` for originals and `real=False` for reconstructions, [B,3,H,W] float
    in [0,1].

    Args:
        features: of `inception`, or another network from uint8 pictures to [B,num_features].
    """

    def __init__(self, features: nn.Module) -> None:
        super().__init__(feature=EightBit(features))


class FIDBackbone(FID):
    """Fréchet distance of backbone features, `fid_backbone` in results. Not the Inception FID.

    Args:
        profile: whose backbone; see `Backbone`.
    """

    def __init__(self, profile: str | Path = "tiny") -> None:
        super().__init__(Backbone(profile))


class KID(KernelInceptionDistance):
    """Kernel Inception distance, mean and deviation over random subsets; it keeps all features.

    Args:
        features: of `inception`, or another network from uint8 pictures to [B,num_features].
        subset_size: at most the number of pictures of either set.
    """

    def __init__(self, features: nn.Module, subset_size: int = 1000) -> None:
        super().__init__(feature=EightBit(features), subset_size=subset_size)
