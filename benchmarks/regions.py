"""Key regions: masks of `tiny` SAM, saliency of the automatic key map, bytes of the mask, time.

    python benchmarks/regions.py ../shared/data [--parts masks saliency kodak timing]

Writes benchmarks/results/regions.json and benchmarks/results/regions.jpg, the Kodak pictures with their
key maps. A part that is not asked for keeps the numbers it has.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.progress import track
from torch import Tensor

from semcom.contracts import Budget
from semcom.intervals import half_width
from semcom.networks.efficientnet import EfficientNetLite0
from semcom.networks.sam import TinySegmenter
from semcom.networks.u2net import U2NetP
from semcom.picture import images
from semcom.picture.pixels import to_pixels
from semcom.profile import Profile
from semcom.provenance import provenance
from semcom.sheet import contact_sheet
from semcom.streams import mask as keymap
from semcom.streams.tables import PART, StreamTables
from semcom.systems import build
from semcom.train.data.segmenter_data import bounding_box, innermost_point, list_masked, read_labels, segments
from semcom.transmitter.features import FeatureExtractor
from semcom.transmitter.regions import RegionSelector, cell_means, key_cells
from semcom.transmitter.segmenter import Segmenter

RESULTS = Path(__file__).parent / "results"
SETS = ("ecssd", "coco", "pennfudan")
SMALLEST_SHARE = 0.01  # of the picture; smaller segments are not asked for
BETA_SQUARED = 0.3
THRESHOLDS = torch.arange(1, 20) / 20
KEY_COLOUR = np.array([255, 110, 20])


class Models:
    """The transmitter's region models of the shipped profile."""

    def __init__(self) -> None:
        profile = Profile.open("tiny")
        backbone = profile.build("backbone", EfficientNetLite0)
        sam = profile.build("segmenter", TinySegmenter).sam(backbone)
        self.stream_tables = StreamTables.from_tensors(profile.tensors(PART))
        self.saliency = profile.build("saliency", U2NetP)
        self.extractor = FeatureExtractor(sam.image_encoder.backbone)
        self.segmenter = Segmenter(sam)
        self.selector = RegionSelector(self.saliency, self.extractor, self.segmenter)


def masks(models: Models, data: Path) -> dict[str, Any]:
    """Mean IoU per set with the innermost point and with the exact box of every segment."""
    result: dict[str, Any] = {"smallest_share": SMALLEST_SHARE}
    for name in SETS:
        points, boxes = [], []
        entries = list_masked(data / "masks" / name / "test")
        for entry in track(entries, description=name):
            truths = list(segments(read_labels(entry.labels[0]), SMALLEST_SHARE))
            if not truths:
                continue
            view = models.segmenter.look(images.load(entry.photo))
            expected = torch.from_numpy(np.stack(truths))
            by_point = models.segmenter.from_points(view, [innermost_point(truth) for truth in truths])
            corners = [bounding_box(truth) for truth in truths]
            by_box = models.segmenter.from_boxes(view, corners)
            points += iou(by_point.probability > 0.5, expected)
            boxes += iou(by_box.probability > 0.5, expected)
        result[name] = {"pictures": len(entries), "segments": len(points)} | {
            "iou_point": interval(points),
            "iou_box": interval(boxes),
        }
        sys.stdout.write(f"{name}: point {mean(points):.3f}  box {mean(boxes):.3f}  n {len(points)}\n")
    return result


def saliency(models: Models, data: Path) -> dict[str, Any]:
    """F-beta of the automatic importance on ECSSD's test split, with and without SAM."""
    scores: dict[str, list[Tensor]] = {"saliency_alone": [], "refined_by_sam": [], "key_map": []}
    for entry in track(list_masked(data / "masks" / "ecssd" / "test"), description="saliency"):
        photo = images.load(entry.photo)
        truth = torch.from_numpy(read_labels(entry.labels[0]) > 0)
        alone = models.saliency.saliency(photo)
        importance = models.selector.importance(photo)
        cells = key_cells(cell_means(importance.membership), None).float()
        grid = cells.repeat_interleave(16, 0).repeat_interleave(16, 1)[: truth.shape[0], : truth.shape[1]]
        found = (alone, importance.membership, grid)
        for values, scored in zip(found, scores.values(), strict=True):
            scored.append(precision_recall(values, truth))
    return {name: f_beta(torch.stack(values)) for name, values in scores.items()} | {
        "beta_squared": BETA_SQUARED,
        "pictures": len(scores["key_map"]),
    }


def kodak(models: Models, data: Path) -> dict[str, Any]:
    """Bytes of the coded key map at the default key area, and the contact sheet."""
    rows, tiles = [], []
    for path in track(sorted((data / "kodak").glob("*.png")), description="kodak"):
        photo = images.load(path)
        key_map = models.selector.select(photo)
        rows.append(
            {
                "image": path.name,
                "mask_bytes": len(keymap.encode(key_map, models.stream_tables)),
                "key_share": round(key_map.float().mean().item(), 4),
            }
        )
        tiles.append((path.stem, drawn(photo, key_map)))
    rows_of_six = [tiles[start : start + 6] for start in range(0, len(tiles), 6)]
    contact_sheet(rows_of_six, (384, 256)).save(RESULTS / "regions.jpg", quality=85)
    return {
        "mask_bytes": mean(row["mask_bytes"] for row in rows),
        "key_share": round(mean(row["key_share"] for row in rows), 4),
        "images": rows,
    }


def timing(models: Models, data: Path) -> dict[str, Any]:
    """Median milliseconds a Kodak picture, each stage alone and the whole transmitter at 0.03 bpp."""
    photos = [images.load(path) for path in sorted((data / "kodak").glob("*.png"))[::3]]
    photos = [photo for photo in photos if photo.shape[1:] == (512, 768)]
    system = build("semantic")
    features = models.extractor(photos[0])
    stages: dict[str, Callable[[Tensor], object]] = {
        "saliency": models.saliency.saliency,
        "backbone": models.extractor,
        "sam_view": lambda photo: models.segmenter.look(photo, features),
        "key_map": models.selector.select,
        "transmitter": lambda photo: system.encode(photo, Budget.of_bpp(0.03, 768, 512)),
    }
    return {name: milliseconds(stage, photos) for name, stage in stages.items()} | {
        "threads": torch.get_num_threads(),
        "pictures": len(photos),
        "size": "768x512",
    }


def milliseconds(stage: Callable[[Tensor], object], photos: list[Tensor]) -> dict[str, float]:
    """Median and worst over the pictures, after one for warming up."""
    stage(photos[0])
    seconds = []
    for photo in photos:
        start = time.perf_counter()
        stage(photo)
        seconds.append(time.perf_counter() - start)
    return {
        "median_ms": round(1000 * float(np.median(seconds)), 1),
        "worst_ms": round(1000 * max(seconds), 1),
    }


def iou(found: Tensor, truth: Tensor) -> list[float]:
    common, either = (found & truth).sum((1, 2)), (found | truth).sum((1, 2))
    return [float(value) for value in common / either.clamp(min=1)]


def interval(values: list[float]) -> dict[str, float]:
    """Mean and the half-width of its 95 % interval."""
    return {
        "mean": round(mean(values), 4),
        "half_width_95": round(half_width(values), 4),
    }


def precision_recall(values: Tensor, truth: Tensor) -> Tensor:
    """[thresholds,2]; the threshold one half is the tenth."""
    found = values[None] >= THRESHOLDS.view(-1, 1, 1)
    common = (found & truth).sum((1, 2))
    return torch.stack((common / found.sum((1, 2)).clamp(min=1), common / truth.sum().clamp(min=1)), 1)


def f_beta(curves: Tensor) -> dict[str, float]:
    """F per picture (mean) at one half and at the best common threshold, and of mean precision and recall."""
    per_picture = _f(curves).mean(0)
    half = int((THRESHOLDS - 0.5).abs().argmin())
    return {
        "f_beta": round(per_picture[half].item(), 4),
        "f_beta_half_width_95": round(half_width(_f(curves)[:, half].tolist()), 4),
        "f_beta_best_threshold": round(per_picture.max().item(), 4),
        "f_beta_of_mean_precision_and_recall": round(_f(curves.mean(0)).max().item(), 4),
    }


def _f(curves: Tensor) -> Tensor:
    precision, recall = curves.unbind(-1)
    weighed = BETA_SQUARED * precision + recall
    return (1 + BETA_SQUARED) * precision * recall / weighed.clamp(min=1e-9)


def drawn(photo: Tensor, key_map: Tensor) -> Image.Image:
    """The photo, darker where it is not key, with the border of the key cells in orange."""
    pixels = to_pixels(photo).astype(np.float32)
    inside = key_map.numpy().repeat(16, 0).repeat(16, 1)[: pixels.shape[0], : pixels.shape[1]]
    pixels[~inside] *= 0.45
    edge = np.zeros_like(inside)
    for axis in (0, 1):
        for shift in (-2, -1, 1, 2):
            edge |= inside & ~np.roll(inside, shift, axis)
    pixels[edge] = KEY_COLOUR
    return Image.fromarray(pixels.astype(np.uint8))


PARTS: dict[str, Callable[[Models, Path], dict[str, Any]]] = {
    "masks": masks,
    "saliency": saliency,
    "kodak": kodak,
    "timing": timing,
}


def measured(parts: list[str], data: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    models = Models()
    for name in parts:
        yield name, PARTS[name](models, data) | {"command": "python " + " ".join(sys.argv)} | provenance()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--out", type=Path, default=RESULTS / "regions.json")
    arguments = parser.parse_args()
    for name, result in measured(arguments.parts, arguments.data):
        document = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
        arguments.out.write_text(json.dumps(document | {name: result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
