"""Soft and erroneous delivery against erasures: quality over SNR of the code of examples/soft_bits.py.

    python benchmarks/soft.py PHOTOS --count 8 --seeds 12

The same messages over the same fades and noise, three ways of delivering packets whose CRC failed: not at
all, as decoded, with LLRs. Bit-exact link, TDL-A at 3 km/h and AWGN, least-squares channel estimate, blocks
at MCS 4 of table 1, size at MCS 0. Crops of 128 x 128 pixels from the middle of the photographs, 1 bpp. PSNR;
the interval of a difference is Student's t over photographs of each one's mean over seeds.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import numpy as np
from soft_bits import SoftBits
from torch import Tensor

from channels.links.digital import DigitalLink
from channels.spec import ChannelSpec, ClassSpec, LinkSpec
from semcom.contracts import Budget
from semcom.intervals import paired_difference
from semcom.link import ChannelLink
from semcom.metrics.psnr import psnr
from semcom.picture import images
from semcom.provenance import provenance
from semcom.seeds import derive

DELIVERIES = ("erase", "bits", "llr")
SNRS_DB = {"awgn": (-4, -3, -2.5, -2, -1.5, -1, 0), "tdl-a": (-6, -3, 0, 3, 6, 9, 12)}
CROP, BPP = 128, 1.0


def crop(path: Path) -> Tensor:
    photo = images.load(path)
    top, left = ((size - CROP) // 2 for size in photo.shape[-2:])
    return photo[:, top : top + CROP, left : left + CROP].contiguous()


def measure(model: str, snr_db: float, photos: list, seeds: int) -> dict:
    spec = LinkSpec(
        channel=ChannelSpec(model=model),
        classes={"critical": ClassSpec(mcs=0), "base": ClassSpec(mcs=4)},
    )
    link = ChannelLink(DigitalLink(spec))
    trials = [derive(0, "soft", i) for i in range(seeds)]
    quality = {delivery: [] for delivery in DELIVERIES}
    lost = packets = 0
    for photo in photos:
        for delivery in DELIVERIES:
            system = SoftBits(delivery)
            message = system.encode(photo, Budget.of_bpp(BPP, CROP, CROP))
            received = link.send([message] * seeds, snr_db, trials)
            pictures = (system.decode(one).image for one in received)
            quality[delivery].append(fmean(float(psnr(p[None], photo[None])) for p in pictures))
        lost += sum(one.report.classes["base"].lost for one in received)
        packets += sum(one.report.classes["base"].packets for one in received)
    row = {"channel": model, "snr_db": snr_db, "bler": lost / packets, "packets": packets}
    row |= {f"psnr_{delivery}": fmean(values) for delivery, values in quality.items()}
    for delivery in DELIVERIES[1:]:
        gain = paired_difference(quality[delivery], quality["erase"])
        row |= {f"gain_{delivery}_db": gain.mean, f"gain_{delivery}_half_width": gain.half_width}
    return row


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "soft.json")
    arguments = parser.parse_args()
    paths = sorted(p for p in arguments.photos.iterdir() if p.suffix in (".png", ".jpg"))[: arguments.count]
    photos = [crop(path) for path in paths]
    rows = []
    for model, snrs in SNRS_DB.items():
        for snr_db in snrs:
            rows.append(measure(model, snr_db, photos, arguments.seeds))
            print({k: round(v, 3) if isinstance(v, float) else v for k, v in rows[-1].items()}, flush=True)
    best = max(rows, key=lambda row: row["gain_llr_db"] - row["gain_llr_half_width"])
    document = {
        "metric": "psnr",
        "bpp": BPP,
        "photos": [path.name for path in paths],
        "seeds": arguments.seeds,
        "rows": rows,
        "largest_gain_that_excludes_zero": best,
        "command": " ".join(["python", *sys.argv]),
        **provenance(),
    }
    arguments.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
