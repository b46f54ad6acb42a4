"""Captions at the transmitter: who is asked, about what, and what happens when there is nobody to ask."""

import pytest
import torch
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
)

from semcom.contracts import Budget
from semcom.link import PerfectLink
from semcom.networks.captioner import Captioner
from semcom.networks.efficientnet import EfficientNetLite0
from semcom.options import SemanticOptions
from semcom.picture import images
from semcom.picture.grid import key_grid
from semcom.streams.caption import CaptionCoder, NGrams
from semcom.transmitter.captions import CaptionEncoder, HubCaptioner, PhotoCaptioner
from semcom.transmitter.features import FeatureExtractor
from semcom.vocabulary import Vocabulary

PHOTO = torch.rand(3, 90, 120, generator=torch.Generator().manual_seed(0))
KEY_MAP = torch.zeros(6, 8, dtype=torch.bool)
KEY_MAP[:3] = True
EXTRACTOR = FeatureExtractor(EfficientNetLite0().eval())
FEATURES = EXTRACTOR(PHOTO)


class Parrot:
    def __init__(self, text="a parrot"):
        self.text, self.asked = text, []

    def describe(self, image, features, hidden=None):
        self.asked.append(hidden)
        return self.text


@pytest.fixture(scope="module")
def coder():
    vocabulary = Vocabulary.learn(["a parrot on a branch"] * 3, 40)
    return CaptionCoder(vocabulary, NGrams.count([vocabulary.split("a parrot")], len(vocabulary)))


@pytest.mark.parametrize(
    ("wish", "text", "hidden"),
    [
        ("auto", "a parrot", [None]),
        ("background", "a parrot", [KEY_MAP]),
        ("Ein Papagei", "Ein Papagei", []),
    ],
)
def test_wishes(coder, wish, text, hidden):
    parrot = Parrot()
    assert coder.decode(CaptionEncoder(coder, parrot).encode(PHOTO, FEATURES, lambda: KEY_MAP, wish)) == text
    assert parrot.asked == hidden


@pytest.mark.parametrize(("wish", "said"), [("none", "a parrot"), ("", "a parrot"), ("auto", "")])
def test_nothing_to_say_is_not_sent(coder, wish, said):
    assert CaptionEncoder(coder, Parrot(said)).encode(PHOTO, FEATURES, lambda: KEY_MAP, wish) is None


def test_without_captioner_only_own_captions(coder):
    alone = CaptionEncoder(coder, None)
    assert alone.encode(PHOTO, FEATURES, lambda: KEY_MAP, "auto") is None
    assert coder.decode(alone.encode(PHOTO, FEATURES, lambda: KEY_MAP, "a branch")) == "a branch"
    with pytest.raises(ValueError, match="no part 'captioner': caption=background needs it"):
        alone.encode(PHOTO, FEATURES, lambda: KEY_MAP, "background")


def test_without_vocabulary_no_captions():
    alone = CaptionEncoder(None, None)
    assert alone.encode(PHOTO, FEATURES, lambda: KEY_MAP, "auto") is None
    with pytest.raises(ValueError, match="no part 'vocabulary'"):
        alone.encode(PHOTO, FEATURES, lambda: KEY_MAP, "a branch")


def test_a_caption_too_long_is_refused_before_any_work():
    with pytest.raises(ValueError, match="10000 characters, 500 are the limit"):
        SemanticOptions(caption="a" * 10_000)


class Recorder(Captioner):
    """Remembers what it was shown."""

    def candidates(self, cells, visible, beams, count):
        self.visible = visible.view(7, 7)
        return super().candidates(cells, visible, beams, count)


def test_the_sample_is_a_cup_and_no_dog(semantic, sample_photo):
    photo = images.load(sample_photo)
    message = semantic.encode(photo, Budget.of_bpp(0.03, photo.shape[2], photo.shape[1]))
    (received,) = PerfectLink().send([message], 0.0, [0])
    assert semantic.decode(received).caption == "a cup of espresso"
    assert sum(map(len, message["caption"].chunks)) <= 12


def test_hidden_cells_decide_nothing(semantic, sample_photo):
    photo = images.load(sample_photo)
    features = semantic.transmitter.extractor(photo)
    parts = semantic._parts
    captioner = PhotoCaptioner(
        parts.backbone, parts.profile.build("captioner", Captioner), parts.coder.vocabulary
    )
    everything = torch.zeros(key_grid(photo.shape[2], photo.shape[1]), dtype=torch.bool)
    assert captioner.caption(features, everything) == captioner.caption(features)
    cup = everything.clone()
    cup[:, everything.shape[1] // 8 :] = True
    assert "cup" not in captioner.caption(features, cup).text


def test_background_hides_the_key_cells_and_a_photo_all_key_has_none(coder):
    torch.manual_seed(0)
    recorder = Recorder(len(coder.vocabulary), width=32, layers=1).eval()
    captioner = PhotoCaptioner(EXTRACTOR.backbone, recorder, coder.vocabulary)
    assert isinstance(captioner.describe(PHOTO, FEATURES, KEY_MAP), str)
    assert recorder.visible[:3].any().item() is False
    assert recorder.visible[4:].all()
    captioner.describe(PHOTO, FEATURES)
    assert recorder.visible.all()
    assert captioner.describe(PHOTO, FEATURES, torch.ones_like(KEY_MAP)) == ""


@pytest.fixture(scope="module")
def blip(tmp_path_factory):
    """The published class at a tiny random configuration, saved as a hub checkpoint is."""
    folder = tmp_path_factory.mktemp("blip")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]", "cat", "dog", "tree", "red"]
    (folder / "vocab.txt").write_text("\n".join(words))
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    special = {"bos_token_id": 5, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    text = small | special | {"vocab_size": len(words), "encoder_hidden_size": 32}
    config = BlipConfig(text_config=text, vision_config=small | {"image_size": 32, "patch_size": 8})
    torch.manual_seed(0)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    images = BlipImageProcessor(size={"height": 32, "width": 32})
    BlipProcessor(images, BertTokenizer(str(folder / "vocab.txt"))).save_pretrained(folder)
    return folder


def test_published_captioners_load_from_a_folder(blip):
    captioner = HubCaptioner(blip)
    assert set(captioner.describe(PHOTO, FEATURES).split()) <= {"cat", "dog", "tree", "red", "[DEC]", "[ENC]"}
    assert captioner.describe(PHOTO, FEATURES, torch.ones_like(KEY_MAP)) == ""


def test_published_captioners_do_not_see_hidden_cells(blip):
    captioner, seen = HubCaptioner(blip), []
    process = captioner._processor.image_processor.preprocess
    captioner._processor.image_processor.preprocess = lambda images, **k: (
        seen.append(images),
        process(images, **k),
    )[1]
    captioner.describe(PHOTO, FEATURES, KEY_MAP)
    (pixels,) = seen
    assert (pixels[:48] == pixels[0, 0]).all()
    assert (pixels[48:] != pixels[0, 0]).any(-1).all()


def test_a_captioner_that_is_not_there_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=f"captioner '{tmp_path}' cannot be loaded: ") as caught:
        HubCaptioner(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_hub_model_needs_a_revision():
    """Before anything is downloaded."""
    with pytest.raises(ValueError, match=r"needs a revision.*blip@REVISION"):
        HubCaptioner("someone/blip")
