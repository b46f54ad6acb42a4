"""What HARQ buys: throughput and residual error rate against SNR, by combining scheme.

    python benchmarks/harq.py curves           # writes benchmarks/results/harq.json
    python benchmarks/harq.py by-round awgn    # adds to it
    python benchmarks/harq.py by-round tdl-a   # adds to it

Throughput is delivered payload bits a data resource element, retransmissions counted. The Chase gain is the
distance between the SNRs at which half of the packets fail in one round and in two, over AWGN: 3.01 dB in
theory. By round: the SNR at which the abstract link loses a tenth (AWGN: half) of the packets after so many
rounds, what the bit-exact one loses there after each, and how many dB lie between them (`agreement.py`).
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import agreement
import numpy as np
import torch

from channels.links.abstraction import AbstractLink
from channels.links.digital import DigitalLink, Payload
from channels.links.report import wilson_interval
from channels.spec import ChannelSpec, ClassSpec, LinkSpec, OfdmSpec
from semcom.provenance import provenance

RESULTS = Path("benchmarks/results/harq.json")
SCHEMES = {
    "single shot": (1, "chase"),
    "chase, 4 rounds": (4, "chase"),
    "incremental redundancy, 4 rounds": (4, "incremental-redundancy"),
}
# A waterfall is half a dB wide
FINE = (-0.6, -0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.6)
NUM_BYTES = 61  # 512 bits with the CRC


def link(model: str, mcs: int, rounds: int, combining: str) -> DigitalLink:
    return DigitalLink(
        LinkSpec(
            channel=ChannelSpec(model=model, **({} if model == "awgn" else {"speed_kmh": 60})),
            ofdm=OfdmSpec(csi="perfect" if model == "awgn" else "ls-cp"),
            classes={"base": ClassSpec(mcs=mcs, harq_rounds=rounds)},
            harq_combining=combining,
        )
    )


def measure(digital: DigitalLink, bursts: int, packets: int, snr_db: float) -> dict[str, Any]:
    burst = [Payload(np.random.default_rng(i).bytes(NUM_BYTES), "base") for i in range(packets)]
    reports = [d.classes["base"] for d in digital.send([burst] * bursts, snr_db, list(range(bursts)))]
    lost, sent = sum(r.lost for r in reports), sum(r.packets for r in reports)
    return {
        "snr_db": snr_db,
        "bler": lost / sent,
        "bler_interval": wilson_interval(lost, sent),
        "packets": sent,
        "throughput_bits_per_re": sum(r.delivered_bits for r in reports)
        / sum(r.channel_uses for r in reports),
        "mean_transmissions": sum(sum(r.transmissions) for r in reports) / sent,
    }


def half_point(combining: str, rounds: int, mcs: int) -> float:
    """SNR in dB where half of the packets fail, interpolated between points 0.25 dB apart."""
    digital = link("awgn", mcs, rounds, combining)
    start = {1: 2.25, 2: -1.0}[rounds]
    points = [(snr, measure(digital, 4, 50, float(snr))["bler"]) for snr in start + np.arange(0, 1.3, 0.25)]
    snrs, blers = np.array(points).T
    return float(np.interp(-0.5, -blers, snrs))


def after_each_round(link: Any, seeds: range, snr_db: float) -> list[float]:
    """Share of the packets that are still lost after 1, 2, ... rounds."""
    burst = [Payload(np.random.default_rng(i).bytes(NUM_BYTES), "base") for i in range(4)]
    reports = [d.classes["base"] for d in link.send([burst] * len(seeds), snr_db, seeds)]
    rounds = link.spec.classes["base"].harq_rounds
    sent = [sum(sum(r.transmissions[t : t + 1]) for r in reports) for t in range(1, rounds)]
    packets = sum(r.packets for r in reports)
    return [round(n / packets, 4) for n in [*sent, sum(r.lost for r in reports)]]


def by_round(model: str, schemes: Sequence[int] = (9, 13, 20)) -> list[dict[str, Any]]:
    target, bursts = {"awgn": (0.5, 25), "tdl-a": (0.1, 360)}[model]
    rows = []
    for mcs in schemes:
        for combining in ("chase", "incremental-redundancy"):
            for rounds in (1, 2, 3, 4):
                spec = link(model, mcs, rounds, combining).spec
                row = agreement.compare(
                    spec, range(bursts), target, offsets_db=FINE if model == "awgn" else None
                )
                exact, abstract = (
                    after_each_round(kind(spec), range(bursts), row["snr_db"])
                    for kind in (DigitalLink, AbstractLink)
                )
                rows.append(
                    {"model": model, "mcs": mcs, "combining": combining, "rounds": rounds}
                    | row
                    | {"bler_by_round": exact, "bler_by_round_abstraction": abstract}
                )
                print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["curves", "by-round"])
    parser.add_argument("model", nargs="?", choices=["awgn", "tdl-a"], default="awgn")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.what == "curves":
        made = curves()
    else:
        rows = {"rows": by_round(arguments.model)}
        command = f"python benchmarks/harq.py by-round {arguments.model}"
        made = {f"by_round_{arguments.model}": {"command": command} | rows | provenance()}
    # Read last: another part may have been made in the meantime
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(stored | made, indent=1) + "\n")


def curves() -> dict[str, Any]:
    by_scheme = {
        name: [measure(link("tdl-a", 9, *scheme), 40, 5, snr) for snr in (-2.0, 1.0, 4.0, 7.0, 10.0)]
        for name, scheme in SCHEMES.items()
    }
    single, double = half_point("chase", 1, 9), half_point("chase", 2, 9)
    return {
        "command": "python benchmarks/harq.py curves",
        "tdl_a_mcs_9": by_scheme,
        "chase_gain": {
            "mcs": 9,
            "half_bler_snr_db_one_round": single,
            "half_bler_snr_db_two_rounds": double,
            "gain_db": round(single - double, 2),
        },
    } | provenance()


if __name__ == "__main__":
    main()
