"""Captioner: what is hidden plays no part, captions side by side do not see each other, search is search."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from semcom.networks.captioner import MAX_TOKENS, Captioner, cell_features
from semcom.networks.efficientnet import EfficientNetLite0
from semcom.vocabulary import END


@pytest.fixture(scope="module")
def captioner():
    torch.manual_seed(0)
    model = Captioner(30, width=32, layers=2).eval()
    for parameter in model.parameters():  # far from the near-uniform start, so that words differ
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.15)
    return model


@pytest.fixture(scope="module")
def cells():
    return torch.randn(3, 49, 1280, generator=torch.Generator().manual_seed(1)).relu()


@pytest.fixture(scope="module")
def visible():
    return torch.rand(3, 49, generator=torch.Generator().manual_seed(2)) > 0.4


@torch.no_grad()
def test_captions_side_by_side_do_not_see_each_other(captioner, cells, visible):
    tokens = torch.randint(0, 30, (3, 4, 6), generator=torch.Generator().manual_seed(3))
    seen = captioner.look(cells, visible)
    together = captioner(tokens, *seen)
    for i in range(4):
        torch.testing.assert_close(together[:, i], captioner(tokens[:, i : i + 1], *seen)[:, 0])


@torch.no_grad()
def test_hidden_cells_play_no_part(captioner, cells, visible):
    tokens = torch.randint(0, 30, (3, 1, 6), generator=torch.Generator().manual_seed(3))
    other = torch.where(visible[..., None], cells, 9.0)
    logits = [captioner(tokens, *captioner.look(each, visible)) for each in (cells, other)]
    torch.testing.assert_close(logits[0], logits[1])
    seen = captioner(tokens, *captioner.look(other, torch.ones_like(visible)))
    assert (seen - logits[0]).abs().max() > 0.1


@torch.no_grad()
def test_one_beam_is_the_likeliest_word_each_time(captioner, cells, visible):
    seen = captioner.look(cells, visible)
    expected = []
    for picture in range(3):
        ids = [END]
        while len(ids) <= MAX_TOKENS:
            logits = captioner(torch.tensor(ids)[None, None], *(each[picture, None] for each in seen))[
                0, 0, -1
            ]
            logits[[b for a, b in pairwise(ids) if a == ids[-1]]] = -torch.inf  # pairs that were there
            ids.append(int(logits.argmax()))
            if ids[-1] == END:
                break
        expected.append([i for i in ids if i != END])
    assert captioner.write(cells, visible, beams=1) == expected
    assert len({tuple(row) for row in expected}) > 1


@torch.no_grad()
def test_more_beams_find_a_caption_at_least_as_likely(captioner, cells, visible):
    def likelihood(picture, ids):
        seen = captioner.look(cells[picture, None], visible[picture, None])
        ids = ([END, *ids, END])[: MAX_TOKENS + 1]
        steps = captioner(torch.tensor(ids)[None, None], *seen)[0, 0].log_softmax(-1)
        return sum(steps[i, token].item() for i, token in enumerate(ids[1:])) / (len(ids) - 1)

    greedy, wide = (captioner.write(cells, visible, beams) for beams in (1, 8))
    scores = [[likelihood(i, each[i]) for i in range(3)] for each in (greedy, wide)]
    assert sum(scores[1]) >= sum(scores[0]) - 1e-4


def test_the_output_layer_is_the_embedding_and_not_stored_twice(captioner):
    stored = captioner.weights()
    assert "decoder.lm_head.weight" not in stored
    again = Captioner(30, width=32, layers=2)
    again.load_state_dict(stored)
    torch.testing.assert_close(again.decoder.lm_head.weight, stored["decoder.transformer.wte.weight"])


@torch.no_grad()
def test_cells_are_what_the_classifier_averages():
    backbone = EfficientNetLite0().eval()
    features = backbone.features(torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0)))
    cells = cell_features(backbone, features.stride32)
    assert cells.shape == (1, 49, 1280)
    torch.testing.assert_close(cells.mean(1), backbone.embedding(features))
