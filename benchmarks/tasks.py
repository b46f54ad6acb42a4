"""What is still in the picture: objects, faces, identities, text and classes at equal bytes, without channel.

    python benchmarks/tasks.py ../shared/data

Of Kodak and of 150 pictures with people, animals or text that nothing trains on (`benchmarks/tasks.txt`,
those with faces first), each system at each rate; needs the extras `tasks` and `baselines`. What networks
find in the original is the truth. Rows go to `--out` with the ending `.jsonl` as they come: run again, it
goes on. Then shares are summed over all there is to find, half widths are of 95 % intervals over pictures,
and `against_best` is the paired difference, picture by picture, to the baseline with the best mean.
`new_errors` and `repaired_errors` count pictures whose class (EfficientNet-Lite2) is wrong with generation
and right without (the received thumbnail, enlarged), and the reverse. `caption_similarity`: of what the
profile's captioner says about reconstruction and original, by a sentence encoder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from semcom.contracts import Budget, BudgetError
from semcom.intervals import half_width, paired_difference
from semcom.link import PerfectLink
from semcom.message import Message
from semcom.metrics.tasks.account import seen
from semcom.metrics.tasks.original import original
from semcom.packets import bpp
from semcom.picture import images
from semcom.provenance import provenance
from semcom.streams import hci
from semcom.streams.header import Header
from semcom.systems import build
from semcom.vision import sentences
from semcom.vision.face_identity import SAME_PERSON

HERE = Path(__file__).parent
RATES = (0.035, 0.018, 0.048)
OURS: dict[str, dict[str, Any]] = {
    "semantic": {},
    "semantic-face,text": {"key_class": "face,text"},
}
BASELINES = ("avif", "jxl", "hevc")
_LISTS = ("objects_found", "faces_found", "text_found", "text_error", "identity_distance", "landmark_error")
_HIGHER = ("objects_found", "faces_found", "text_found")


def pictures(data: Path, images_wanted: int) -> list[Path]:
    """The first of the list, then Kodak."""
    listed = [data / line for line in (HERE / "tasks.txt").read_text().split()]
    return [*listed, *sorted((data / "kodak").glob("*.png"))][:images_wanted]


def measure(name: str, system: Any, photo: Tensor, budget: float, captions: bool) -> dict[str, Any] | None:
    """What one system leaves of one picture; None where it has no message that small."""
    height, width = photo.shape[1:]
    try:
        message = system.encode(photo, Budget.of_bpp(budget, width, height))
    except BudgetError:
        return None
    (received,) = PerfectLink().send([message], 0.0, [0])
    picture = system.decode(received).image
    truth = original(photo)
    found = seen(truth, picture)
    if name in OURS:
        plain = enlarged(message)
        found |= {"plain_top1": None if plain is None else truth.top1(plain)[0]}
    if captions:
        found["caption_similarity"] = similarity(caption_of(picture), caption_of(photo))
    return {"bpp": bpp(message)} | found


def enlarged(message: Message) -> Tensor | None:
    """The thumbnail that a message carries, at the picture's size and nothing invented."""
    streams = {stream.name: stream.chunks for stream in message.streams}
    if "hci" not in streams:
        return None
    header = Header.from_bytes(streams["header"][0])
    coded = hci.decode(streams["hci"][0], header.width, header.height, header.reduction)
    large = F.interpolate(coded[None], scale_factor=4, mode="bicubic")[0].clamp(0, 1)
    return large[:, : header.height, : header.width]


@cache
def ours() -> Any:
    """Built once: its networks serve every variant."""
    return build("semantic")


@cache
def captioner() -> Callable[[Tensor], str]:
    """What the profile's captioner says about a picture."""
    transmitter = ours().transmitter
    describer = transmitter.captions._describer
    return lambda picture: describer.describe(picture, transmitter.extractor(picture))


def caption_of(picture: Tensor) -> str:
    return captioner()(picture)


def run(arguments: argparse.Namespace, file: Path) -> None:
    """Every row that is not there yet."""
    done = {(r["image"], r["budget_bpp"], r["system"]) for r in rows_of(file)}
    systems: dict[str, Any] = {name: ours().with_options(**options) for name, options in OURS.items()}
    systems |= {name: build(name) for name in BASELINES}
    systems = {name: system for name, system in systems.items() if name in arguments.systems}
    paths = pictures(arguments.data, arguments.images)
    with file.open("a") as out:
        for rate in arguments.bpp:
            for i, path in enumerate(paths):
                image = str(path.relative_to(arguments.data))
                missing = [name for name in systems if (image, rate, name) not in done]
                if not missing:
                    continue
                photo = images.load(path)
                for name in missing:
                    row = {"image": image, "budget_bpp": rate, "system": name}
                    found = measure(name, systems[name], photo, rate, arguments.captions)
                    row |= {"refused": True} if found is None else found
                    out.write(json.dumps(row) + "\n")
                    out.flush()
                sys.stdout.write(f"{rate} {i + 1}/{len(paths)} {image}\n")
                sys.stdout.flush()


def similarity(a: str, b: str) -> float | None:
    """None where nothing is said about one of both."""
    return sentences.similarity(a, b) if a and b else None


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def summary(rows: Sequence[dict[str, Any]], budget: float, name: str, num_refused: int) -> dict[str, Any]:
    """One system at one rate."""
    out: dict[str, Any] = {
        "system": name,
        "budget_bpp": budget,
        "bpp": fmean(row["bpp"] for row in rows),
        "num_images": len(rows),
        "num_refused": num_refused,
    }
    half: dict[str, float | None] = {}
    for field in _LISTS:
        each = [value for row in rows for value in row[field]]
        out[field] = fmean(each) if each else None
        out[f"num_{field}"] = len(each)
        half[field] = half_width([fmean(row[field]) for row in rows if row[field]])
    distances = [value for row in rows for value in row["identity_distance"]]
    out["same_person"] = sum(value < SAME_PERSON for value in distances)
    for field, key in (("top1_agreement", "top1"), ("top5_agreement", "top5")):
        out[field] = fmean(row[key] for row in rows)
        half[field] = half_width([row[key] for row in rows])
    similar = [row["caption_similarity"] for row in rows if row.get("caption_similarity") is not None]
    out["caption_similarity"] = fmean(similar) if similar else None
    half["caption_similarity"] = half_width(similar)
    known = [(row["top1"], row["plain_top1"]) for row in rows if row.get("plain_top1") is not None]
    out["new_errors"] = sum(without > ours for ours, without in known) if known else None
    out["repaired_errors"] = sum(ours > without for ours, without in known) if known else None
    return out | {"half_width_95": half}


def compared(rows: dict[str, dict[str, Any]], best: dict[str, str]) -> dict[str, Any]:
    """Paired differences of a system to the best baseline of each field, over pictures that have any."""
    out = {}
    for field, (mine, theirs) in {f: (rows["mine"], rows[best[f]]) for f in best}.items():
        both = [image for image in mine if image in theirs and mine[image][field]]
        if not both:
            continue
        pair = [[fmean(side[image][field]) for image in both] for side in (mine, theirs)]
        difference = paired_difference(*pair)
        out[field] = {
            "baseline": best[field],
            "num_images": len(both),
            "mean": difference.mean,
            "half_width_95": difference.half_width,
        }
    return out


def summarised(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """All systems at all rates, ours with their differences to the best baseline."""
    results = []
    for rate in sorted({row["budget_bpp"] for row in rows}):
        here = [row for row in rows if row["budget_bpp"] == rate]
        by_system: dict[str, dict[str, Any]] = {}
        refused: dict[str, int] = {}
        for row in here:
            by_system.setdefault(row["system"], {})
            if row.get("refused"):
                refused[row["system"]] = refused.get(row["system"], 0) + 1
            else:
                by_system[row["system"]][row["image"]] = row
        means = {
            name: summary(list(each.values()), rate, name, refused.get(name, 0))
            for name, each in by_system.items()
            if each
        }
        baselines = [name for name in BASELINES if name in means]
        best = (
            {
                field: (max if field in _HIGHER else min)(baselines, key=lambda name: means[name][field])
                for field in _LISTS
                if all(means[name][field] is not None for name in baselines)
            }
            if baselines
            else {}
        )
        for name, each in by_system.items():
            if name in OURS and name in means:
                means[name]["against_best"] = compared({"mine": each} | by_system, best)
        results += means.values()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=174)
    parser.add_argument("--bpp", type=float, nargs="+", default=list(RATES))
    parser.add_argument("--systems", nargs="+", default=[*OURS, *BASELINES])
    parser.add_argument("--captions", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "tasks.json")
    arguments = parser.parse_args()
    file = arguments.out.with_suffix(".jsonl")
    with torch.no_grad():
        run(arguments, file)
    document = {
        "command": "python " + " ".join(sys.argv),
        "results": summarised(rows_of(file)),
    } | provenance()
    arguments.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
