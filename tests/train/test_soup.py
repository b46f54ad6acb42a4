"""Weight averaging: the mean replaces the part, its card adds up the minutes, foreign weights are refused."""

import sys

import pytest
import torch

from semcom.profile import Profile, ProfileError, write_part
from semcom.train import soup


def write(folder, weight, minutes, **card):
    write_part(folder, "part", {"width": 2}, {"weight": weight}, {"minutes": minutes} | card)
    return folder


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["soup", *map(str, arguments)])
    soup.main()


def test_mean_of_start_and_runs(tmp_path, monkeypatch):
    start = write(tmp_path / "start", torch.tensor([0.0, 3.0]), 60.0)
    earlier = {"earlier_run": {"minutes": 60.0}}
    runs = [
        write(tmp_path / "a", torch.tensor([3.0, 3.0]), 10.0, **earlier),
        write(tmp_path / "b", torch.tensor([6.0, 9.0]), 20.0, **earlier),
    ]
    run(monkeypatch, start, "part", *runs)
    mixed = Profile.open(start)
    assert mixed.tensors("part")["weight"].tolist() == [3.0, 5.0]
    assert mixed.config("part") == {"width": 2}
    card = mixed.card("part")
    assert (card["minutes"], card["earlier_run"]["minutes"]) == (30.0, 60.0)
    assert [own["minutes"] for own in card["runs"]] == [10.0, 20.0]
    assert not any("earlier_run" in own for own in card["runs"]), "the start is told of once"


def test_foreign_weights_are_refused_before_anything_is_written(tmp_path, monkeypatch):
    start = write(tmp_path / "start", torch.zeros(2), 60.0)
    other = write(tmp_path / "other", torch.zeros(3), 10.0)
    with pytest.raises(ProfileError, match="other"):
        run(monkeypatch, start, "part", other)
    assert Profile.open(start).tensors("part")["weight"].shape == (2,)
