"""Mean of the weights of runs that started from the same weights (model soups, arXiv 2203.05482).

    python -m semcom.train.soup PROFILE PART OTHER [OTHER …]

PROFILE holds the weights that the runs started from, each OTHER is a profile that one run wrote its result
to. The mean of all of them, the start included, replaces the part in PROFILE. Better here than the best of
them: runs of an hour or two on two cores end in different corners of the same valley.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semcom.profile import Profile, ProfileError, write_part
from semcom.provenance import provenance


def mean_weights(profiles: Sequence[Profile], part: str) -> dict[str, Tensor]:
    """Mean of a part's tensors over profiles, float32.

    Raises:
        ProfileError: a profile has no such part, or one of another shape.
    """
    tensors = [profile.tensors(part) for profile in profiles]
    shapes = [{name: value.shape for name, value in own.items()} for own in tensors]
    for profile, own in zip(profiles, shapes, strict=True):
        if own != shapes[0]:
            raise ProfileError(f"part {part} of {profile.name} is not the model of {profiles[0].name}'s")
    return {name: torch.stack([own[name].float() for own in tensors]).mean(0) for name in tensors[0]}


def mean_card(cards: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Card of the mean of a start and of the runs from it: their minutes add up."""
    start, *runs = cards
    own = [{key: value for key, value in run.items() if key != "earlier_run"} for run in runs]
    return {
        "stage": "soup",
        "weights": "mean of those at the start (earlier_run) and of those after each run",
        "minutes": sum(run["minutes"] for run in own),
        "runs": own,
        "earlier_run": start,
    } | provenance()


def main() -> None:
    """Replaces the part and its card."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("profile", type=Path)
    parser.add_argument("part")
    parser.add_argument("others", type=Path, nargs="+")
    arguments = parser.parse_args()
    folders = [arguments.profile, *arguments.others]
    profiles = [Profile.open(folder) for folder in folders]
    weights = mean_weights(profiles, arguments.part)
    card = mean_card([profile.card(arguments.part) for profile in profiles])
    config = profiles[0].config(arguments.part)
    write_part(arguments.profile, arguments.part, config, weights, card)


if __name__ == "__main__":
    main()
