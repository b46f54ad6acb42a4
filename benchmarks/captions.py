"""Captions of the embedded profile: how good on held-out Flickr8k, how many bytes, how fast.

    python benchmarks/captions.py ../shared/data/captions/test.jsonl ../shared/data/kodak

Writes benchmarks/results/captions.json and benchmarks/results/captions.jpg, the 24 Kodak pictures with what
the captioner says about each, and in a second line about what is not key. Scores are pycocoevalcap's; both
sides are in lower case without punctuation, words are what stands between spaces (its Java tokenizer does
the same to such text). Bytes are those of the stream; the packet header adds two. With `--timing`,
for a machine that does nothing else, milliseconds are those of one Kodak picture at a time; the pass of the
shared backbone is given apart. `--pictures N` takes the first N of the test split.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
import zlib
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from rich.progress import track

from semcom.intervals import half_width
from semcom.networks.captioner import Captioner
from semcom.networks.efficientnet import EfficientNetLite0
from semcom.networks.u2net import U2NetP
from semcom.packets import HEADER_BYTES
from semcom.picture import images
from semcom.picture.pixels import to_pixels
from semcom.profile import Profile
from semcom.provenance import provenance
from semcom.streams.caption import CaptionCoder
from semcom.train.data.caption_data import plain, read_captions
from semcom.transmitter.captions import PhotoCaptioner
from semcom.transmitter.features import FeatureExtractor
from semcom.transmitter.regions import RegionSelector

RESULTS = Path(__file__).parent / "results"
_WARM_UP = 3
_PUNCTUATION = re.compile(r"[^\w\s']")


def words(text: str) -> str:
    """Lower case, no punctuation, one space between words."""
    return " ".join(_PUNCTUATION.sub(" ", text.lower()).split())


def scores(written: list[str], references: list[list[str]]) -> dict[str, float]:
    """CIDEr and BLEU-1 to BLEU-4, with the half-width of CIDEr's 95 % interval over pictures."""
    results = {i: [words(text)] for i, text in enumerate(written)}
    truths = {i: [words(text) for text in texts] for i, texts in enumerate(references)}
    bleu, _ = Bleu(4).compute_score(truths, results, verbose=0)
    cider, each = Cider().compute_score(truths, results)
    return {"cider": float(cider), "cider_half_width_95": half_width([float(e) for e in each])} | {
        f"bleu{n}": float(value) for n, value in enumerate(bleu, 1)
    }


def sizes(texts: list[str], coder: CaptionCoder) -> dict[str, float]:
    """Bytes of captions, coded and by zlib."""
    texts = [text for text in texts if text]
    coded = [coder.encode(text) for text in texts]
    for text, data in zip(texts, coded, strict=True):
        if coder.decode(data) != text:
            raise AssertionError(f"{text!r} did not come back")
    ours, theirs = list(map(len, coded)), [len(zlib.compress(text.encode(), 9)) for text in texts]
    return {
        "caption_bytes": mean(ours),
        "caption_bytes_max": max(ours),
        "caption_bytes_with_packet_header": mean(ours) + HEADER_BYTES,
        "zlib_bytes": mean(theirs),
        "utf8_bytes": mean(len(text.encode()) for text in texts),
        "zlib_ratio": sum(theirs) / sum(ours),
        "zlib_ratio_with_packet_header": sum(theirs) / (sum(ours) + HEADER_BYTES * len(ours)),
    }


def sent(extractor: FeatureExtractor, captioner: PhotoCaptioner, photos: list[torch.Tensor]) -> list[str]:
    """Captions as they are sent, after they were held to the classes; empty ones are not sent."""
    return [captioner.describe(photo, extractor(photo)) for photo in track(photos, description="captions")]


def timed(
    extractor: FeatureExtractor, captioner: PhotoCaptioner, pictures: list[torch.Tensor]
) -> tuple[list[str], list[float], list[float]]:
    """Captions, milliseconds of each, and of the backbone pass that regions and pseudo-words share."""
    for picture in pictures[:_WARM_UP]:
        captioner.describe(picture, extractor(picture))
    texts, own, shared = [], [], []
    for picture in track(pictures, description="captions"):
        start = time.perf_counter()
        features = extractor(picture)
        seen = time.perf_counter()
        texts.append(captioner.describe(picture, features))
        shared.append(1000 * (seen - start))
        own.append(1000 * (time.perf_counter() - seen))
    return texts, own, shared


def contact_sheet(rows: list[dict[str, Any]], pictures: list[torch.Tensor], file: Path) -> None:
    """Pictures four a row, captions below."""
    width, height, lines, columns = 384, 256, 88, 4
    font = ImageFont.load_default(15)
    sheet = Image.new("RGB", (columns * width, -(-len(rows) // columns) * (height + lines)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (row, picture) in enumerate(zip(rows, pictures, strict=True)):
        tile = Image.fromarray(to_pixels(picture))
        tile.thumbnail((width - 8, height), Image.Resampling.LANCZOS)
        x, y = i % columns * width, i // columns * (height + lines)
        sheet.paste(tile, (x + 4, y))
        text = f"{Path(row['image']).stem}: {row['caption']}\nbackground: {row['background'] or '(all key)'}"
        draw.multiline_text((x + 4, y + height + 3), "\n".join(_wrapped(text, 52)), fill="black", font=font)
    sheet.save(file, quality=88)


def _wrapped(text: str, columns: int) -> list[str]:
    from textwrap import wrap

    return [line for part in text.split("\n") for line in wrap(part, columns)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("captions", type=Path)
    parser.add_argument("kodak", type=Path)
    parser.add_argument("--parts", nargs="+", choices=["test", "kodak"], default=["test", "kodak"])
    parser.add_argument("--pictures", type=int, default=None)
    parser.add_argument("--timing", action="store_true")
    parser.add_argument("--profile", default="tiny")
    parser.add_argument("--out", type=Path, default=RESULTS / "captions.json")
    arguments = parser.parse_args()
    document = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    profile = Profile.open(arguments.profile)
    models = Models(profile)
    origin = {"command": "python " + " ".join(sys.argv), "threads": torch.get_num_threads()} | provenance()
    if "test" in arguments.parts:
        document |= held_out(models, arguments) | origin
    if "kodak" in arguments.parts:
        document["kodak"] = kodak(models, arguments) | origin
    arguments.out.write_text(json.dumps(document, indent=1) + "\n")
    sys.stdout.write(json.dumps({k: document.get(k) for k in ("test", "people")}, indent=1) + "\n")


class Models:
    """What finds and codes captions, of a profile."""

    def __init__(self, profile: Profile) -> None:
        self.coder = CaptionCoder.from_tensors(profile.tensors("vocabulary"))
        self.extractor = FeatureExtractor(profile.build("backbone", EfficientNetLite0))
        writer = profile.build("captioner", Captioner)
        self.captioner = PhotoCaptioner(self.extractor.backbone, writer, self.coder.vocabulary)
        self.selector = RegionSelector(profile.build("saliency", U2NetP))


def held_out(models: Models, arguments: argparse.Namespace) -> dict[str, Any]:
    """Scores and sizes on the held-out split, and sizes of people's own captions."""
    data = read_captions([arguments.captions])
    photos = [images.load(path) for path in data.photos[: arguments.pictures]]
    texts = sent(models.extractor, models.captioner, photos)
    people = [plain(caption) for captions in data.captions[: arguments.pictures] for caption in captions]
    return {
        "test": {"split": arguments.captions.name, "num_images": len(texts)}
        | scores(texts, data.captions[: len(texts)])
        | sizes(texts, models.coder)
        | {"distinct_captions": len(set(texts)), "captions_sent": sum(map(bool, texts))},
        "people": {"num_captions": len(people)} | sizes(people, models.coder),
    }


def kodak(models: Models, arguments: argparse.Namespace) -> dict[str, Any]:
    """Captions of whole pictures and of their backgrounds, the contact sheet, and times where asked for."""
    paths = sorted(arguments.kodak.glob("*.png"))
    pictures = [images.load(path) for path in paths]
    texts, own_ms, shared_ms = timed(models.extractor, models.captioner, pictures)
    rows = [
        {
            "image": path.name,
            "caption": text,
            "background": models.captioner.describe(
                picture, models.extractor(picture), models.selector.select(picture)
            ),
            "caption_bytes": len(models.coder.encode(text)) if text else 0,
        }
        for path, picture, text in zip(paths, pictures, texts, strict=True)
    ]
    contact_sheet(rows, pictures, arguments.out.with_suffix(".jpg"))
    times = {
        "ms_per_image": mean(own_ms),
        "ms_per_image_median": median(own_ms),
        "ms_per_image_max": max(own_ms),
        "shared_backbone_ms_per_image": mean(shared_ms),
    }
    return (
        {"num_images": len(rows), "caption_bytes": mean(row["caption_bytes"] for row in rows)}
        | (times if arguments.timing else {})
        | {"images": rows}
    )


if __name__ == "__main__":
    main()
