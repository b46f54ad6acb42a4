"""The training loop: an interrupted run continues as if nothing had happened, and learning learns."""

from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import Dataset

from semcom.train import loop
from semcom.train.data.crops import CodedCrops, list_photos


class Noise(Dataset):
    def __init__(self, seed):
        self.seed = seed

    def __len__(self):
        return 1 << 40

    def __getitem__(self, index):
        x = torch.from_numpy(np.random.default_rng([self.seed, index]).standard_normal(3).astype(np.float32))
        return {"x": x, "y": x.sum()[None]}


class Regression:
    name, batch_size, learning_rate, ema_decay = "regression", 4, 0.05, 0.5

    def __init__(self):
        torch.manual_seed(0)
        self.model = nn.Linear(3, 1)
        self.seen = []

    def dataset(self, seed):
        return Noise(seed)

    def loss(self, batch, progress):
        self.seen.extend(batch["y"].flatten().tolist())
        return {"mse": (self.model(batch["x"]) - batch["y"]).square().mean()}

    def evaluate(self, model):
        return {"error": (model.weight - 1).abs().max().item()}


@pytest.fixture
def clock(monkeypatch):
    """A clock that advances one second per look: time budgets become step counts."""
    ticks = count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))


def test_learns_and_averages(tmp_path, clock):
    trained = loop.run(Regression(), tmp_path, minutes=5, seed=0, resume=False)
    assert trained.metrics["error"] < 0.05
    assert trained.progress.step == pytest.approx(300, abs=2)


def test_a_share_of_the_trained_weights_is_mixed_with_those_at_the_start(tmp_path, clock):
    whole = loop.run(Regression(), tmp_path / "whole", minutes=1, seed=0, resume=False)
    mixed = loop.run(Regression(), tmp_path / "mixed", minutes=1, seed=0, resume=False, share=0.25)
    start = Regression().model
    torch.testing.assert_close(mixed.model.weight, 0.75 * start.weight + 0.25 * whole.model.weight)
    again = loop.run(Regression(), tmp_path / "mixed", minutes=1, seed=0, resume=True, share=0.25)
    torch.testing.assert_close(again.model.weight, mixed.model.weight)


def test_resumes_with_the_samples_it_would_have_seen(tmp_path, clock):
    whole = Regression()
    loop.run(whole, tmp_path / "whole", minutes=2, seed=3, resume=False)
    first, second = Regression(), Regression()
    loop.run(first, tmp_path / "halves", minutes=1, seed=3, resume=False)
    loop.run(second, tmp_path / "halves", minutes=2, seed=3, resume=True)
    assert first.seen + second.seen == pytest.approx(whole.seen[: len(first.seen + second.seen)])
    assert len(first.seen) == pytest.approx(240, abs=8)
    assert len(second.seen) == pytest.approx(240, abs=8)


def test_an_interrupted_run_keeps_every_step(tmp_path, clock):
    whole, broken = Regression(), Regression()
    loop.run(whole, tmp_path / "whole", minutes=1, seed=3, resume=False)
    loss, seen = broken.loss, []

    def interrupted(batch, progress):
        seen.append(progress)
        if len(seen) == 40:
            raise KeyboardInterrupt
        return loss(batch, progress)

    broken.loss = interrupted
    with pytest.raises(KeyboardInterrupt):
        loop.run(broken, tmp_path / "broken", minutes=1, seed=3, resume=False)
    resumed = Regression()
    trained = loop.run(resumed, tmp_path / "broken", minutes=1, seed=3, resume=True)
    assert trained.progress.step == pytest.approx(60, abs=1)
    assert (broken.seen + resumed.seen)[:160] == pytest.approx(whole.seen[:160])


def test_crops_depend_on_seed_and_index_alone(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(rng.integers(0, 255, (90 + i, 120, 3), np.uint8)).save(tmp_path / f"{i}.png")
    photos = list_photos([str(tmp_path)])
    crops = CodedCrops(photos, 64, (20, 40), seed=5)
    again = CodedCrops(photos, 64, (20, 40), seed=5)
    [crops[i] for i in (3, 1)]
    for i in (0, 7):
        for name, value in crops[i].items():
            torch.testing.assert_close(value, again[i][name])
    assert crops[0]["target"].shape == (3, 64, 64)
    assert crops[0]["hci"].shape == (3, 16, 16)


def test_a_folder_without_photos_is_named(tmp_path):
    with pytest.raises(ValueError, match=str(tmp_path)):
        list_photos([str(tmp_path)])


def test_the_command_knows_every_stage_of_the_folder():
    from typer.testing import CliRunner

    from semcom.cli.main import app
    from semcom.train.registry import stage_names

    shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200"}).output
    assert {"backbone", "enhancer", "joint", "quantise"} <= set(stage_names())
    assert all(name in shown for name in stage_names())
    refused = CliRunner().invoke(app, ["train", "enhancr", "--profile", "p"])
    assert refused.exit_code == 2 and "enhancr" in refused.output
