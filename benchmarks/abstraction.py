"""The abstract link: the AWGN waterfalls it reads, and how well and how fast it stands in for the bit-exact
link.

    python benchmarks/abstraction.py tables     # resumable: writes channels/data/bler_tables.json
    python benchmarks/abstraction.py compare    # writes benchmarks/results/abstraction.json

Tables: each (modulation, code rate, block size) is one probit curve in dB, fitted by maximum likelihood to
blocks sent through the project's own coding chain at SNRs that the fit so far finds informative. EESM's
beta is taken from the calibration shipped with Sionna 2.2 (`sionna/sys/esm_params`); rates of table 3 that
it lacks use that of the lowest QPSK rate.
"""

import argparse
import json
import math
import os
import subprocess
import time
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.stats import norm

from channels.abstraction import AbstractLink
from channels.coding import ldpc_code
from channels.digital import DigitalLink, demapper, mapper
from channels.grants import Payload
from channels.mcs import mcs, mcs_table_size
from channels.report import wilson_interval
from channels.spec import ChannelSpec, ClassSpec, LinkSpec, OfdmSpec
from channels.transport import transport_format

TABLES = Path("channels/data/bler_tables.json")
RESULTS = Path("benchmarks/results/abstraction.json")
# Packet sizes in bytes; their code blocks span 56 to 8424 bits and both base graphs
PACKET_BYTES = (4, 16, 40, 94, 226, 477, 1050)
STEPS = 11
ITERATIONS = 20


def provenance(command: str) -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return {
        "command": command,
        "commit": commit,
        "versions": {name: version(name) for name in ("torch", "sionna-no-rt", "numpy", "numba")},
        "cores": 1,
        "machine": "2 vCPU shared with a training run and other jobs",
    }


def every_mcs() -> list[Any]:
    """One MCS per distinct (modulation, rate): first a few that span each modulation's rates, then all."""
    rows = [mcs(1, i) for i in (9, 4, 1, 13, 20, 26, 17, 28, 10, 16, 0, 7)]
    rows += [mcs(2, i) for i in (20, 27, 24)] + [mcs(3, i) for i in (0, 4)]
    rows += [mcs(table, i) for table in (1, 2, 3) for i in range(mcs_table_size(table))]
    return list({(row.bits_per_symbol, row.code_rate): row for row in rows}.values())


def eesm_beta(row: Any) -> float:
    source = files("sionna.sys").joinpath("esm_params/eesm_beta_table.json").read_text()
    betas = json.loads(source)["index"]
    same = [
        betas[str(table)][i]
        for table in (1, 2)
        for i in range(mcs_table_size(table))
        if (mcs(table, i).bits_per_symbol, mcs(table, i).code_rate) == (row.bits_per_symbol, row.code_rate)
    ]
    return float(same[0] if same else betas["1"][0])


def count_errors(code: Any, order: int, snr_db: float, blocks: int, generator: torch.Generator) -> int:
    bits = torch.randint(0, 2, (blocks, code.k), generator=generator)
    buffer = code.encode(bits)
    x = mapper(order, "cpu")(code.transmit(buffer, 0).float())
    no = torch.tensor(10 ** (-snr_db / 10))
    y = x + no.sqrt() * torch.randn(x.shape, dtype=x.dtype, generator=generator)
    llr = torch.zeros_like(buffer)
    code.combine(llr, demapper(order, "cpu")(y, no.expand(y.shape)), 0)
    return int((code.decode(llr) != bits).any(dim=1).sum())


def fit_waterfall(row: Any, num_bytes: int, start_db: float) -> tuple[int, float, float, int]:
    """Block bits, threshold and spread in dB, and blocks simulated."""
    fmt = transport_format(num_bytes, row)
    code = ldpc_code(fmt.base_graph, fmt.k, fmt.n, row.bits_per_symbol, ITERATIONS, "cpu")
    generator = torch.Generator().manual_seed(
        int(fmt.k * 7919 + row.code_rate * 1024 * 31 + row.bits_per_symbol)
    )
    blocks = 48 if fmt.k < 1000 else 32 if fmt.k < 3000 else 12
    counts: list[tuple[float, int]] = []
    snr, step, threshold, spread = start_db, 1.5, start_db, 0.6

    def loss(parameters: np.ndarray) -> float:
        mu, log_sigma = parameters
        z = (mu - np.array([c[0] for c in counts])) / np.exp(log_sigma)
        errors = np.array([c[1] for c in counts])
        # A weak prior keeps the spread finite while all counts are at the ends
        prior = 0.5 * ((log_sigma - math.log(0.4)) / 0.8) ** 2
        return float(-(errors * norm.logcdf(z) + (blocks - errors) * norm.logcdf(-z)).sum() + prior)

    for i in range(STEPS):
        errors = count_errors(code, row.bits_per_symbol, snr, blocks, generator)
        counts.append((snr, errors))
        if min(c[1] for c in counts) > blocks / 2 or max(c[1] for c in counts) < blocks / 2:
            snr += step if errors > blocks / 2 else -step
            continue
        fit = minimize(loss, [np.mean([c[0] for c in counts]), math.log(0.4)], method="Nelder-Mead")
        threshold, spread = float(fit.x[0]), float(np.exp(fit.x[1]))
        snr = threshold + spread * (-1.0, 0.0, 1.0, 1.8, -0.5, 0.6)[i % 6]
    return fmt.k, threshold, spread, blocks * len(counts)


def make_tables(limit_s: float) -> None:
    done = json.loads(TABLES.read_text())["waterfalls"] if TABLES.exists() else []
    known = {(row["bits_per_symbol"], row["code_rate_x_1024"]) for row in done}
    end = time.process_time() + limit_s
    for row in every_mcs():
        if (row.bits_per_symbol, row.code_rate * 1024) in known or time.process_time() > end:
            continue
        start = 10 * math.log10(2**row.spectral_efficiency - 1) + 3
        fits = []
        for num_bytes in PACKET_BYTES:
            fits.append(fit_waterfall(row, num_bytes, start))
            start = fits[-1][1]
        done.append(
            {
                "bits_per_symbol": row.bits_per_symbol,
                "code_rate_x_1024": row.code_rate * 1024,
                "block_bits": [f[0] for f in fits],
                "threshold_db": [round(f[1], 3) for f in fits],
                "spread_db": [round(f[2], 3) for f in fits],
                "blocks": [f[3] for f in fits],
                "eesm_beta": eesm_beta(row),
            }
        )
        done.sort(key=lambda r: (r["bits_per_symbol"], r["code_rate_x_1024"]))
        table = provenance("python benchmarks/abstraction.py tables") | {"waterfalls": done}
        TABLES.parent.mkdir(exist_ok=True)
        TABLES.write_text(json.dumps(table, indent=1) + "\n")
        print(f"{row.modulation} {row.code_rate:.3f}", fits, f"{time.process_time():.0f} s", flush=True)


def link_spec(model: str, index: int, **channel: Any) -> LinkSpec:
    return LinkSpec(
        channel=ChannelSpec(model=model, **channel),
        ofdm=OfdmSpec(csi="perfect" if model == "awgn" else "ls-linear"),
        classes={"base": ClassSpec(mcs=index)},
    )


def bler(link: Any, bursts: int, packets: int, num_bytes: int, snr_db: float) -> tuple[int, int, float]:
    """Errors, packets and CPU seconds of as many bursts."""
    data = np.random.default_rng(0).bytes(num_bytes)
    burst = [Payload(data, "base")] * packets
    errors, start = 0, time.process_time()
    for first in range(0, bursts, 8):
        seeds = range(first, min(first + 8, bursts))
        errors += sum(d.classes["base"].lost for d in link.send([burst] * len(seeds), snr_db, list(seeds)))
    return errors, bursts * packets, time.process_time() - start


def compare_awgn(num_bytes: int = 90) -> list[dict[str, Any]]:
    rows = []
    for index in (4, 9, 13, 20, 26):
        spec = link_spec("awgn", index)
        abstract = AbstractLink(spec)
        threshold = crossing(
            lambda snr, a=abstract: a.error_probabilities([("base", num_bytes)], snr, [0])[0, 0], 0.3
        )
        for snr_db in (threshold, threshold + 0.4):
            lost, sent, _ = bler(DigitalLink(spec), 8, 75, num_bytes, snr_db)
            predicted = float(abstract.error_probabilities([("base", num_bytes)], snr_db, [0])[0, 0])
            interval = wilson_interval(lost, sent)
            rows.append(
                {
                    "mcs": index,
                    "snr_db": round(snr_db, 3),
                    "bler": lost / sent,
                    "bler_interval": interval,
                    "bler_abstraction": predicted,
                    "inside": interval[0] <= predicted <= interval[1],
                    "packets": sent,
                }
            )
            print(rows[-1], flush=True)
    return rows


def crossing(curve: Any, target: float) -> float:
    """SNR in dB where a falling curve crosses `target`, by bisection."""
    low, high = -12.0, 40.0
    while high - low > 0.005:
        middle = (low + high) / 2
        low, high = (middle, high) if curve(middle) > target else (low, middle)
    return (low + high) / 2


def compare_tdl_c(num_bytes: int = 90) -> list[dict[str, Any]]:
    """Gap in dB at equal mean BLER over the same realisations: TDL-C 300 ns, one packet a burst."""
    rows, bursts = [], 240
    for index in (4, 9, 13, 20, 26):
        spec = link_spec("tdl-c", index, delay_spread_ns=300)
        abstract, digital = AbstractLink(spec), DigitalLink(spec)

        def mean_bler(snr_db: float, link: AbstractLink = abstract) -> float:
            return float(
                np.mean(
                    [link.error_probabilities([("base", num_bytes)] * 4, snr_db, s).mean() for s in range(60)]
                )
            )

        snr_db = crossing(mean_bler, 0.2)
        lost, sent, _ = bler(digital, bursts // 4, 4, num_bytes, snr_db)
        low, high = wilson_interval(lost, sent)
        measured = lost / sent
        rows.append(
            {
                "mcs": index,
                "snr_db": round(snr_db, 3),
                "bler": measured,
                "bler_interval": (low, high),
                "bler_abstraction": mean_bler(snr_db),
                "gap_db": round(snr_db - crossing(mean_bler, measured), 3) if 0 < measured < 1 else None,
                "packets": sent,
                "realisations": bursts // 4,
            }
        )
        print(rows[-1], flush=True)
    return rows


def compare_speed() -> list[dict[str, Any]]:
    rows = []
    for packets, num_bytes in ((12, 125), (100, 1050), (400, 1050)):
        spec = link_spec("tdl-c", 9, delay_spread_ns=300)
        abstract, digital = AbstractLink(spec), DigitalLink(spec)
        for link in (abstract, digital):
            bler(link, 1, packets, num_bytes, 8.0)
        bursts = max(1, 48 // packets)
        _, sent, exact = bler(digital, bursts, packets, num_bytes, 8.0)
        _, many, fast = bler(abstract, 16, packets, num_bytes, 8.0)
        rows.append(
            {
                "packets_a_burst": packets,
                "bytes_a_packet": num_bytes,
                "seconds_a_block_bit_exact": exact / sent,
                "seconds_a_block_abstraction": fast / many,
                "speedup": round((exact / sent) / (fast / many), 1),
            }
        )
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["tables", "compare"])
    parser.add_argument(
        "--seconds", type=float, default=600, help="CPU seconds to spend on tables in this call"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.what == "tables":
        make_tables(arguments.seconds)
        return
    result = provenance("python benchmarks/abstraction.py compare") | {
        "awgn": compare_awgn(),
        "tdl_c_300ns": compare_tdl_c(),
        "speed": compare_speed(),
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
