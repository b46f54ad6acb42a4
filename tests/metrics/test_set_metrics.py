"""FID and KID against formulas, CLIP against transformers, CIDEr and top-k by hand, VSI's properties."""

import json

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn

from semcom.metrics.caption_similarity import caption_similarity


class Means(nn.Module):
    """Features that are a few sums of pixels."""

    num_features = 6

    def forward(self, pictures):
        x = pictures.float() / 255
        return torch.cat((x.mean((2, 3)), x[..., : x.shape[-1] // 2].mean((2, 3))), 1)


def sets():
    generator = torch.Generator().manual_seed(0)
    real = torch.rand(40, 3, 16, 16, generator=generator) ** torch.rand(40, 3, 1, 1, generator=generator)
    return real, (0.8 * real + 0.1 * torch.rand(real.shape, generator=generator)).clamp(0, 1)


def test_fid_equals_its_formula_and_adds_up():
    from semcom.metrics import FID

    real, fake = sets()
    metric = FID(Means())
    for part in real.split(7):
        metric.update(part, real=True)
    for part in fake.split(13):
        metric.update(part, real=False)
    a, b = (Means()((x * 255).round().byte()).double().numpy() for x in (real, fake))
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(cov_a @ cov_b).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root)
    assert metric.compute().item() == pytest.approx(expected, rel=1e-3)


def test_fid_backbone_is_the_distance_of_the_classifiers_features():
    from semcom.metrics import FIDBackbone
    from semcom.networks.efficientnet import EfficientNetLite0, center_crop
    from semcom.profile import Profile

    real, fake = (x[:6] for x in sets())
    metric = FIDBackbone()
    metric.update(real, real=True)
    metric.update(fake, real=False)
    network = Profile.open("tiny").build("backbone", EfficientNetLite0)
    taken = []
    network.classifier.register_forward_hook(lambda module, inputs, output: taken.append(inputs[0]))
    for pictures in (real, fake):  # the classifier's whole path, tapped before its last layer
        network(center_crop((pictures * 255).round() / 255))
    a, b = (x.double().numpy() for x in taken)
    assert a.shape == (6, 1280)
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    left, right = (x - x.mean(0) for x in (a, b))
    # Of two covariances of few samples, the trace of the root is the nuclear norm of the cross products
    trace = np.linalg.norm(left @ right.T / 5, "nuc")
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * trace
    assert metric.compute().item() == pytest.approx(expected, rel=1e-3)


def test_fid_of_random_features_equals_scipys():
    """With a root of matrices that do not commute and features as wide as they are many."""
    from semcom.metrics import FID

    class Rows(nn.Module):
        num_features = 16

        def forward(self, pictures):
            return pictures.flatten(1)[:, :16].float() / 16

    generator = torch.Generator().manual_seed(1)
    mixing = torch.randn(48, 48, generator=generator) / 12
    real = torch.rand(300, 48, generator=generator)
    fake = (0.5 + (torch.rand(200, 48, generator=generator) - 0.5) @ mixing).clamp(0, 1)
    metric = FID(Rows())
    metric.update(real.view(-1, 3, 4, 4), real=True)
    metric.update(fake.view(-1, 3, 4, 4), real=False)
    a, b = (((x * 255).round()[:, :16] / 16).double().numpy() for x in (real, fake))
    root = scipy.linalg.sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root)
    assert metric.compute().item() == pytest.approx(expected, rel=1e-4)


def test_kid_equals_its_formula():
    from semcom.metrics import KID

    real, fake = sets()
    metric = KID(Means(), subset_size=40)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    a, b = (Means()((x * 255).round().byte()).double().numpy() for x in (real, fake))
    m = len(a)

    def kernel(x, y):
        return (x @ y.T / 6 + 1) ** 3

    within = sum((kernel(x, x).sum() - np.trace(kernel(x, x))) / (m * (m - 1)) for x in (a, b))
    expected = within - 2 * kernel(a, b).mean()
    assert metric.compute()[0].item() == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_missing_inception_weights_are_named(tmp_path):
    from semcom.metrics.fid import inception

    with pytest.raises(ValueError, match=r"pt_inception-2015-12-05-6726825d\.pth"):
        inception(tmp_path / "none.pth")


def test_caption_similarity_ranks_captions():
    references = [["A brown dog runs on the grass.", "a dog running"], ["two men on a red boat"], ["a cat"]]
    right = caption_similarity([r[0] for r in references], references)
    assert right.shape == (3,)
    assert right[1].item() == pytest.approx(10, rel=1e-6)  # CIDEr of the only reference itself
    wrong = caption_similarity(
        ["two men on a red boat", "a cat", "a brown dog runs on the grass"], references
    )
    near = caption_similarity(["a brown dog", "two men on a boat", "a black cat"], references)
    assert wrong.mean() < near.mean() < right.mean()
    lost = caption_similarity(["", "two men on a red boat", "a cat"], references)
    assert lost[0] == 0


def test_caption_similarity_class_is_that_of_the_whole_set():
    from semcom.metrics import CaptionSimilarity

    references = [["a brown dog"], ["two men on a boat"], ["a cat and a dog"]]
    metric = CaptionSimilarity()
    metric.update(["a dog"], references[:1])
    metric.update(["men on boat", "a cat"], references[1:])
    expected = caption_similarity(["a dog", "men on boat", "a cat"], references).mean()
    assert metric.compute().item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    ("preds", "target"), [(["a"], [["a"]]), (["a", "b"], [["a"]]), (["a", "b"], [["a"], []])]
)
def test_caption_similarity_needs_pictures_and_references(preds, target):
    with pytest.raises(ValueError, match="two pictures or more"):
        caption_similarity(preds, target)


def test_topk_agreement_of_a_known_classifier(monkeypatch):
    from semcom.metrics import topk_agreement as topk

    class Brightness(nn.Module):
        """Class 0 of dark pictures, class 9 of bright ones; neighbours are the next guesses."""

        def forward(self, x):
            wanted = 9 * x.mean((1, 2, 3)) / 0.9
            return -(torch.arange(10.0) - wanted[:, None]).abs()

    monkeypatch.setattr(topk, "_classifier", Brightness)
    target = torch.full((3, 3, 64, 64), 0.5)
    preds = torch.stack([torch.full((3, 64, 64), level) for level in (0.5, 0.6, 0.9)])
    assert topk.topk_agreement(preds, target, 1).tolist() == [1, 0, 0]
    assert topk.topk_agreement(preds, target, 3).tolist() == [1, 1, 0]


def test_vsi_is_one_for_equals_and_falls_with_noise():
    from semcom.metrics.vsi import vsi

    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 8, 8, generator=generator)
    x = torch.nn.functional.interpolate(coarse, (128, 128), mode="bicubic").clamp(0, 1)
    noise = torch.randn(x.shape, generator=generator)
    values = [vsi((x + sigma * noise).clamp(0, 1), x).item() for sigma in (0, 0.05, 0.2)]
    assert values[0] == pytest.approx(1, abs=1e-6)
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.97


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    """A CLIP of real layout, tiny and random."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip")
    tokens = ["<|startoftext|>", "<|endoftext|>", *"acdgot", *(f"{c}</w>" for c in "acdgot"), "ca", "do"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\nc a\nd o\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    text = {"vocab_size": len(tokens), "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "bos_token_id": 0, "eos_token_id": 1, "max_position_embeddings": 16}
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    CLIPProcessor(CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32), tokenizer).save_pretrained(
        folder
    )
    return folder


def test_clip_score_is_the_models_own_similarity(clip_folder):
    from transformers import CLIPModel, CLIPProcessor

    from semcom.metrics import CLIPScore

    generator = torch.Generator().manual_seed(1)
    pictures = torch.rand(3, 3, 40, 48, generator=generator)
    captions = ["a cat", "a dog", "cat dog"]
    model = CLIPModel.from_pretrained(clip_folder).eval()
    inputs = CLIPProcessor.from_pretrained(clip_folder)(
        text=captions, images=[(p * 255).round().byte() for p in pictures], return_tensors="pt", padding=True
    )
    with torch.inference_mode():
        logits = model(**inputs).logits_per_image / model.logit_scale.exp()
    ours = CLIPScore(clip_folder)
    ours.update(pictures[:1], captions[:1])
    ours.update(pictures[1:], captions[1:])
    assert ours.compute().item() == pytest.approx(
        100 * logits.diagonal().clamp(min=0).mean().item(), abs=1e-2
    )


def test_clip_score_of_a_picture_with_itself(clip_folder):
    from semcom.metrics.clip_score import ClipScorer

    pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    assert ClipScorer(clip_folder).with_originals(pictures, pictures).tolist() == pytest.approx([100, 100])


def test_missing_clip_model_is_named(tmp_path):
    from semcom.metrics import CLIPScore

    with pytest.raises(ValueError, match="holds no CLIP model"):
        CLIPScore(tmp_path)
