"""What HARQ buys: throughput and residual error rate against SNR, by combining scheme.

    python benchmarks/harq.py      # writes benchmarks/results/harq.json

Throughput is delivered payload bits a data resource element, retransmissions counted. The Chase gain is the
distance between the SNRs at which half of the packets fail in one round and in two, over AWGN: 3.01 dB in
theory.
"""

import json
import os
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from channels.links.digital import DigitalLink, Payload
from channels.links.report import wilson_interval
from channels.spec import ChannelSpec, ClassSpec, LinkSpec, OfdmSpec

RESULTS = Path("benchmarks/results/harq.json")
SCHEMES = {
    "single shot": (1, "chase"),
    "chase, 4 rounds": (4, "chase"),
    "incremental redundancy, 4 rounds": (4, "incremental-redundancy"),
}
NUM_BYTES = 61  # 512 bits with the CRC


def link(model: str, mcs: int, rounds: int, combining: str) -> DigitalLink:
    return DigitalLink(
        LinkSpec(
            channel=ChannelSpec(model=model, speed_kmh=60),
            ofdm=OfdmSpec(csi="perfect" if model == "awgn" else "ls-linear"),
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


def main() -> None:
    torch.set_num_threads(1)
    curves = {
        name: [measure(link("tdl-a", 9, *scheme), 40, 5, snr) for snr in (-2.0, 1.0, 4.0, 7.0, 10.0)]
        for name, scheme in SCHEMES.items()
    }
    single, double = half_point("chase", 1, 9), half_point("chase", 2, 9)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    result = {
        "command": "python benchmarks/harq.py",
        "commit": commit,
        "versions": {name: version(name) for name in ("torch", "sionna-no-rt", "numpy", "numba")},
        "cores": 1,
        "machine": "2 vCPU shared with a training run and other jobs",
        "tdl_a_mcs_9": curves,
        "chase_gain": {
            "mcs": 9,
            "half_bler_snr_db_one_round": single,
            "half_bler_snr_db_two_rounds": double,
            "gain_db": round(single - double, 2),
        },
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["chase_gain"]))
    for name, curve in curves.items():
        print(
            name, [(p["snr_db"], round(p["bler"], 3), round(p["throughput_bits_per_re"], 3)) for p in curve]
        )


if __name__ == "__main__":
    main()
