"""Stage `captioner`: a small decoder learns to put the frozen backbone's features into words.

The features are computed once and read from disk, so an epoch costs the decoder alone. Five captions of a
photo are learned side by side. Cells are hidden at random, which regularises and prepares the decoder for
captions of the background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import Dataset

from semcom.metrics.caption_similarity import caption_similarity
from semcom.networks.captioner import GRID, Captioner, cell_features
from semcom.networks.efficientnet import EfficientNetLite0
from semcom.profile import Profile, write_part
from semcom.streams.caption import CaptionCoder, NGrams
from semcom.train.data.caption_data import CaptionedPhotos, cached_features, read_captions
from semcom.train.training_run import TrainingRun, card_of, train_stage
from semcom.transmitter.features import FeatureExtractor
from semcom.vocabulary import END, Vocabulary

VOCABULARY_SIZE = 3000
_OWN_CAPTIONS, _OWN_WEIGHT = 1500, 5
_CAPTIONS_PER_PHOTO = 5
_LENGTH = 18  # tokens of a training caption, END included; 97 % are not longer
_UNUSED = -100
_DROPOUT, _LABEL_SMOOTHING = 0.2, 0.1
_HIDDEN_MOST = 0.5
_WRITE_BATCH = 64


class CaptionSamples(Dataset[dict[str, Tensor]]):
    """A photo's features and five of its captions; every epoch is a permutation of the photos.

    Args:
        features: [N,49,320] float16.
        tokens: ids per photo and caption.
        seed: of order, mirroring, choice of captions and hidden cells.
    """

    def __init__(self, features: NDArray[np.float16], tokens: list[list[list[int]]], seed: int) -> None:
        self._features, self._tokens, self._seed = features, tokens, seed

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """`features` [49,320], `visible` [49] bool, `tokens` [5,18] that end with END, then −100."""
        epoch, place = divmod(index, len(self._tokens))
        photo = np.random.default_rng([self._seed, epoch]).permutation(len(self._tokens))[place]
        rng = np.random.default_rng([self._seed, epoch, place])
        hidden = rng.random(GRID * GRID) < rng.uniform(0, _HIDDEN_MOST) * rng.integers(2)
        captions = self._tokens[photo]
        chosen = np.resize(rng.permutation(len(captions)), _CAPTIONS_PER_PHOTO)
        tokens = torch.full((_CAPTIONS_PER_PHOTO, _LENGTH), _UNUSED)
        for row, caption in zip(tokens, chosen, strict=True):
            ids = [*captions[caption], END][:_LENGTH]
            row[: len(ids)] = torch.tensor(ids)
        return {
            "features": torch.from_numpy(self._mirrored(self._features[photo], rng)),
            "visible": torch.from_numpy(~hidden),
            "tokens": tokens,
        }

    def _mirrored(self, cells: NDArray[np.float16], rng: np.random.Generator) -> NDArray[np.float16]:
        """Every other time the cells from right to left: nearly the features of the mirror image."""
        rows = cells.reshape(GRID, GRID, -1)
        return (rows[:, ::-1] if rng.integers(2) else rows).copy().reshape(cells.shape)


class CaptionerStage:
    """Trains a captioner on `train`, new or from `start`; validation measures CIDEr and BLEU-4.

    Args:
        extractor: of the shared features, frozen.
        vocabulary: of the captions.
        train, validation: photos with captions.
        cache: folder that keeps the features.
        seed: of the initial weights.
        start: weights to go on from.
    """

    name = "captioner"
    batch_size = 16
    learning_rate = 6e-4
    ema_decay = 0.998

    def __init__(
        self,
        extractor: FeatureExtractor,
        vocabulary: Vocabulary,
        train: CaptionedPhotos,
        validation: CaptionedPhotos,
        cache: Path,
        seed: int,
        start: Mapping[str, Tensor] | None = None,
    ) -> None:
        torch.manual_seed(seed)
        self._captioner = Captioner(len(vocabulary), dropout=_DROPOUT)
        if start is not None:
            self._captioner.load_state_dict(start)
        self.model: nn.Module = self._captioner
        self.vocabulary, self._validation, self._backbone = vocabulary, validation, extractor.backbone
        self._features = cached_features(extractor, train.photos, cache)
        self._held_out = cached_features(extractor, validation.photos, cache)
        self._tokens = [[_ids(vocabulary, text) for text in texts] for texts in train.captions]

    def dataset(self, seed: int) -> Dataset[dict[str, Tensor]]:
        """See `semcom.train.loop.Stage`."""
        return CaptionSamples(self._features, self._tokens, seed)

    def loss(self, batch: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        """See `semcom.train.loop.Stage`."""
        vectors, attended = self._captioner.look(self._cells(batch["features"]), batch["visible"])
        tokens = batch["tokens"]
        tokens = tokens[..., : int((tokens != _UNUSED).sum(-1).max())]
        read = F.pad(tokens[..., :-1], (1, 0), value=END).clamp(min=0)
        logits = self.model(read, vectors, attended)
        loss = F.cross_entropy(
            logits.flatten(0, 2), tokens.flatten(), ignore_index=_UNUSED, label_smoothing=_LABEL_SMOOTHING
        )
        return {"cross_entropy": loss}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """See `semcom.train.loop.Stage`."""
        written = self.write(cast(Captioner, model), self._held_out)
        return caption_scores(written, self._validation.captions)

    def write_training_captions(self, model: Captioner) -> list[str]:
        """The model's own captions of some training photos."""
        return self.write(model, self._features[:_OWN_CAPTIONS])

    def write(self, model: Captioner, features: NDArray[np.float16]) -> list[str]:
        """Captions of photos whose features are [N,49,320]."""
        texts = []
        for first in track(range(0, len(features), _WRITE_BATCH), description="captions"):
            cells = self._cells(torch.from_numpy(features[first : first + _WRITE_BATCH].copy()))
            visible = torch.ones(cells.shape[:2], dtype=torch.bool)
            texts += [self.vocabulary.join(ids) for ids in model.write(cells, visible)]
        return texts

    @torch.no_grad()
    def _cells(self, features: Tensor) -> Tensor:
        maps = features.float().transpose(1, 2).unflatten(2, (GRID, GRID))
        return cell_features(self._backbone, maps)


def learn_vocabulary(train: CaptionedPhotos) -> Vocabulary:
    """The vocabulary of the training captions."""
    return Vocabulary.learn((text for texts in train.captions for text in texts), VOCABULARY_SIZE)


def learn_coder(vocabulary: Vocabulary, train: CaptionedPhotos, written: Sequence[str]) -> CaptionCoder:
    """Coder with the n-grams of people's captions and, counted several times, of the captioner's own."""
    texts = [text for texts in train.captions for text in texts] + _OWN_WEIGHT * list(written)
    return CaptionCoder(vocabulary, NGrams.count((_ids(vocabulary, text) for text in texts), len(vocabulary)))


def caption_scores(written: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """CIDEr and BLEU-4 of pycocoevalcap; words are what stands between spaces, commas aside."""
    from pycocoevalcap.bleu.bleu import Bleu

    results = {i: [_words(text)] for i, text in enumerate(written)}
    truths = {i: [_words(text) for text in texts] for i, texts in enumerate(references)}
    bleu, _ = Bleu(4).compute_score(truths, results, verbose=0)
    return {"cider": caption_similarity(written, references).mean().item(), "bleu4": float(bleu[3])}


def _words(text: str) -> str:
    return " ".join(text.replace(",", " ").split())


def _ids(vocabulary: Vocabulary, text: str) -> list[int]:
    """Token ids; what cannot be spelt is left out."""
    return [piece for piece in vocabulary.split(text) if isinstance(piece, int)]


def train(wanted: TrainingRun) -> None:
    """Trains the parts `captioner` and `vocabulary`."""
    photos, held_out = read_captions(wanted.data), read_captions(wanted.validation)
    profile, start, earlier = Profile.open(wanted.profile), None, None
    extractor = FeatureExtractor(profile.build("backbone", EfficientNetLite0))
    if "captioner" in profile:
        vocabulary = CaptionCoder.from_tensors(profile.tensors("vocabulary")).vocabulary
        start, earlier = profile.tensors("captioner"), profile.card("captioner")
    else:
        vocabulary = learn_vocabulary(photos)
    stage = CaptionerStage(extractor, vocabulary, photos, held_out, wanted.folder, wanted.seed, start)
    trained = train_stage(stage, wanted)
    captioner = cast(Captioner, trained.model)
    coder = learn_coder(vocabulary, photos, stage.write_training_captions(captioner))
    card = card_of(stage, trained, wanted, len(photos.photos)) | {
        "started_from": "EfficientNet-Lite0 (Apache-2.0), the frozen part `backbone`; decoder from scratch",
        "losses": "cross-entropy with label smoothing 0.1",
        "earlier_run": earlier,
    }
    config = {"vocabulary_size": len(vocabulary)}
    write_part(wanted.profile, "captioner", config, captioner.weights(), card)
    tables = "vocabulary and n-gram counts of the training captions and of the captioner's own captions"
    write_part(wanted.profile, "vocabulary", {}, coder.tensors(), card | {"holds": tables})
