"""The abstract link: the AWGN waterfalls it reads, and how well and how fast it stands in for the bit-exact
link.

    python benchmarks/abstraction.py tables       # resumable: writes channels/data/bler_tables.json
    python benchmarks/abstraction.py calibrate    # resumable: EESM's beta in the same file
    python benchmarks/abstraction.py compare      # writes benchmarks/results/abstraction.json
    python benchmarks/abstraction.py unseen       # adds to it: configurations that nothing was fitted on
    python benchmarks/abstraction.py speed        # adds to it

Tables: each (modulation, code rate, block size) is one probit curve in dB, fitted by maximum likelihood to
blocks sent through the project's own coding chain at SNRs that the fit so far finds informative. EESM's
beta is the one of largest likelihood for the packets that the bit-exact link loses over TDL-A and TDL-C with
perfect CSI; the search starts at the beta shipped with Sionna 2.2 (`sionna/sys/esm_params`), which stays
where `eesm_packets` is missing.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import unseen
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_ndtr

from channels.coding.mcs import mcs, mcs_table_size
from channels.coding.rate_matching import ldpc_code
from channels.coding.transport import transport_format
from channels.links.abstraction import AbstractLink
from channels.links.digital import DigitalLink, demapper, mapper
from channels.links.grants import Payload
from channels.links.report import wilson_interval
from channels.spec import ChannelSpec, ClassSpec, LinkSpec, OfdmSpec
from semcom.provenance import provenance

TABLES = Path("channels/data/bler_tables.json")
RESULTS = Path("benchmarks/results/abstraction.json")
# Packet sizes in bytes; their code blocks span 56 to 8424 bits and both base graphs
PACKET_BYTES = (4, 16, 40, 94, 226, 477, 1050)
STEPS = 22
NUM_BYTES = 90
MCS_COMPARED = (4, 9, 13, 20, 26)
# Realisations that betas are fitted to: none of those compared
CALIBRATION = {"tdl-a": range(10_000, 10_100), "tdl-c": range(20_000, 20_100)}
ITERATIONS = 20


def origin(command: str) -> dict[str, Any]:
    return {"command": command} | provenance()


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
    return int((code.decode(llr).bits != bits).any(dim=1).sum())


def blocks_a_step(k: int) -> int:
    return 192 if k < 3000 else 128 if k < 5000 else 64


def fit_waterfall(row: Any, num_bytes: int, start_db: float) -> tuple[int, float, float, int]:
    """Block bits, threshold and spread in dB, and blocks simulated."""
    fmt = transport_format(num_bytes, row)
    code = ldpc_code(fmt.base_graph, fmt.k, fmt.n, row.bits_per_symbol, ITERATIONS)
    generator = torch.Generator().manual_seed(
        int(fmt.k * 7919 + row.code_rate * 1024 * 31 + row.bits_per_symbol)
    )
    blocks = blocks_a_step(fmt.k)
    counts: list[tuple[float, int]] = []
    snr, step, threshold, spread = start_db, 1.5, start_db, 0.6

    def loss(parameters: np.ndarray) -> float:
        mu, log_sigma = parameters
        z = (mu - np.array([c[0] for c in counts])) / np.exp(log_sigma)
        errors = np.array([c[1] for c in counts])
        # A weak prior keeps the spread finite while all counts are at the ends
        prior = 0.5 * ((log_sigma - math.log(0.4)) / 0.8) ** 2
        return float(-(errors * log_ndtr(z) + (blocks - errors) * log_ndtr(-z)).sum() + prior)

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
    stored = json.loads(TABLES.read_text())["waterfalls"] if TABLES.exists() else []
    done = {(row["bits_per_symbol"], row["code_rate_x_1024"]): row for row in stored}
    end = time.process_time() + limit_s
    for row in every_mcs():
        key = (row.bits_per_symbol, row.code_rate * 1024)
        complete = key in done and all(
            blocks == STEPS * blocks_a_step(k)
            for k, blocks in zip(done[key]["block_bits"], done[key]["blocks"], strict=True)
        )
        if complete or time.process_time() > end:
            continue
        start = 10 * math.log10(2**row.spectral_efficiency - 1) + 3
        fits = []
        for num_bytes in PACKET_BYTES:
            fits.append(fit_waterfall(row, num_bytes, start))
            start = fits[-1][1]
        done[key] = done.get(key, {"eesm_beta": eesm_beta(row)}) | {
            "bits_per_symbol": row.bits_per_symbol,
            "code_rate_x_1024": row.code_rate * 1024,
            "block_bits": [f[0] for f in fits],
            "threshold_db": [round(f[1], 3) for f in fits],
            "spread_db": [round(f[2], 3) for f in fits],
            "blocks": [f[3] for f in fits],
        }
        save_tables(done)
        print(f"{row.modulation} {row.code_rate:.3f}", fits, f"{time.process_time():.0f} s", flush=True)


def save_tables(rows: dict[tuple[int, float], dict[str, Any]]) -> None:
    command = "python benchmarks/abstraction.py tables; python benchmarks/abstraction.py calibrate"
    partial = TABLES.with_suffix(".tmp")
    partial.write_text(
        json.dumps(origin(command) | {"waterfalls": [rows[key] for key in sorted(rows)]}, indent=1) + "\n"
    )
    partial.replace(TABLES)


def link_spec(model: str, table: int, index: int, csi: str = "ls-cp", **channel: Any) -> LinkSpec:
    return LinkSpec(
        channel=ChannelSpec(model=model, **channel),
        ofdm=OfdmSpec(csi="perfect" if model == "awgn" else csi),
        mcs_table=table,
        classes={"base": ClassSpec(mcs=index)},
    )


def losses(link: DigitalLink, seeds: range, packets: int, snr_db: float) -> np.ndarray:
    """Which packets are lost, [realisations, packets].

    Every packet has its own payload: the points of a QAM that a codeword happens to use shift its threshold.
    """
    lost = []
    for first in range(seeds.start, seeds.stop, 16):
        some = range(first, min(first + 16, seeds.stop))
        bursts = [
            [Payload(data.tobytes(), "base") for data in rng.integers(0, 256, (packets, NUM_BYTES), np.uint8)]
            for rng in map(np.random.default_rng, some)
        ]
        lost += [[p is None for p in d.payloads] for d in link.send(bursts, snr_db, some)]
    return np.array(lost)


def crossing(curve: Callable[[float], float], target: float) -> float:
    """SNR in dB where a falling curve crosses `target`, by bisection."""
    low, high = -16.0, 48.0
    while high - low > 0.005:
        middle = (low + high) / 2
        low, high = (middle, high) if curve(middle) > target else (low, middle)
    return (low + high) / 2


def mean_bler(link: AbstractLink, seeds: range, packets: int = 4) -> Callable[[float], float]:
    return lambda snr_db: float(
        link.error_probabilities([("base", NUM_BYTES)] * packets, snr_db, seeds).mean()
    )


class TrialLink(AbstractLink):
    """The abstract link with a beta on trial."""

    beta = 1.0

    def _beta(self, protection_class: str) -> float:
        return self.beta


def calibrate_row(row: Any, start: float) -> float:
    """Beta of largest likelihood, given which packets of the bit-exact link are lost."""
    measured = []
    for model, seeds in CALIBRATION.items():
        spec = link_spec(
            model, row.table, row.index, "perfect", delay_spread_ns=300 if model == "tdl-c" else 100
        )
        trial, digital = TrialLink(spec), DigitalLink(spec)
        trial.beta = start
        for target in (0.5, 0.15):
            snr_db = crossing(mean_bler(trial, seeds), target)
            measured.append((trial, seeds, snr_db, losses(digital, seeds, 4, snr_db)))

    def loss(log_beta: float) -> float:
        total = 0.0
        for trial, seeds, snr_db, lost in measured:
            trial.beta = math.exp(log_beta)
            p = trial.error_probabilities([("base", NUM_BYTES)] * 4, snr_db, seeds).clip(0.01, 0.99)
            total -= float(np.where(lost, np.log(p), np.log(1 - p)).sum())
        return total

    bounds = (math.log(start / 5), math.log(start * 5))
    return math.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 0.01}).x)


def calibrate(limit_s: float) -> None:
    rows = {
        (row["bits_per_symbol"], row["code_rate_x_1024"]): row
        for row in json.loads(TABLES.read_text())["waterfalls"]
    }
    end = time.process_time() + limit_s
    for row in every_mcs():
        entry = rows.get((row.bits_per_symbol, row.code_rate * 1024), {"eesm_packets": "no waterfall yet"})
        if "eesm_packets" in entry or time.process_time() > end:
            continue
        began = time.process_time()
        entry["eesm_beta"] = round(calibrate_row(row, eesm_beta(row)), 3)
        entry["eesm_packets"] = sum(2 * 4 * len(seeds) for seeds in CALIBRATION.values())
        save_tables(rows)
        print(
            f"{row.modulation} {row.code_rate:.3f}: beta {entry['eesm_beta']}, Sionna's {eesm_beta(row)}, "
            f"{time.process_time() - began:.0f} s",
            flush=True,
        )


def compare_awgn() -> list[dict[str, Any]]:
    rows = []
    for index in MCS_COMPARED:
        spec = link_spec("awgn", 1, index)
        predict = mean_bler(AbstractLink(spec), range(1), 1)
        threshold = crossing(predict, 0.3)
        for snr_db in (threshold, threshold + 0.4):
            lost = losses(DigitalLink(spec), range(16), 75, snr_db)
            interval = wilson_interval(int(lost.sum()), lost.size)
            rows.append(
                {
                    "mcs": index,
                    "snr_db": round(snr_db, 3),
                    "bler": float(lost.mean()),
                    "bler_interval": interval,
                    "bler_abstraction": predict(snr_db),
                    "inside": interval[0] <= predict(snr_db) <= interval[1],
                    "packets": lost.size,
                }
            )
            print(rows[-1], flush=True)
    return rows


def compare_tdl_c(csi: str) -> list[dict[str, Any]]:
    """Gap in dB at equal mean BLER over the same realisations of TDL-C 300 ns, four packets a burst.

    The interval of the gap is that of the coin tosses, the realisations being the same on both sides.
    """
    rows, seeds = [], range(240)
    for index in MCS_COMPARED:
        spec = link_spec("tdl-c", 1, index, csi, delay_spread_ns=300)
        abstract, digital = AbstractLink(spec), DigitalLink(spec)
        predict = mean_bler(abstract, seeds)
        for target in (0.5, 0.1, 0.03):
            snr_db = crossing(predict, target)
            lost = losses(digital, seeds, 4, snr_db)
            p = abstract.error_probabilities([("base", NUM_BYTES)] * 4, snr_db, seeds)
            half = 1.96 * float(np.sqrt((p * (1 - p)).sum())) / lost.size
            measured = float(lost.mean())
            gaps = [snr_db - crossing(predict, rate) for rate in (measured, measured + half, measured - half)]
            rows.append(
                {
                    "mcs": index,
                    "csi": csi,
                    "snr_db": round(snr_db, 3),
                    "bler": measured,
                    "bler_interval": wilson_interval(int(lost.sum()), lost.size),
                    "bler_abstraction": predict(snr_db),
                    "gap_db": round(gaps[0], 3),
                    "gap_interval_db": [round(gap, 3) for gap in sorted(gaps[1:])],
                    "packets": lost.size,
                    "realisations": len(seeds),
                }
            )
            print(rows[-1], flush=True)
    return rows


def cpu_seconds_a_block(link: AbstractLink | DigitalLink, bursts: int, packets: int, num_bytes: int) -> float:
    """Median of three calls, after one that builds what is kept."""
    burst = [Payload(np.random.default_rng(0).bytes(num_bytes), "base")] * packets
    times = []
    for _ in range(4):
        began = time.process_time()
        link.send([burst] * bursts, 8.0, range(bursts))
        times.append(time.process_time() - began)
    return float(np.median(times[1:])) / (bursts * packets)


def compare_speed() -> list[dict[str, Any]]:
    """MCS 9 over TDL-C at 8 dB, where few packets fail; a burst is an image, a call a batch of them."""
    rows = []
    for packets, num_bytes, bursts in ((12, 125, 64), (12, 125, 1), (40, 500, 8), (100, 1050, 4)):
        spec = link_spec("tdl-c", 1, 9, delay_spread_ns=300)
        exact = cpu_seconds_a_block(DigitalLink(spec), bursts, packets, num_bytes)
        fast = cpu_seconds_a_block(AbstractLink(spec), bursts, packets, num_bytes)
        rows.append(
            {
                "bursts_a_call": bursts,
                "packets_a_burst": packets,
                "bytes_a_packet": num_bytes,
                "microseconds_a_block_bit_exact": round(1e6 * exact, 2),
                "microseconds_a_block_abstraction": round(1e6 * fast, 2),
                "speedup": round(exact / fast, 1),
            }
        )
        print(rows[-1], flush=True)
    return rows


def save_results(**parts: list[dict[str, Any]]) -> None:
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    command = "python benchmarks/abstraction.py compare; python benchmarks/abstraction.py speed"
    RESULTS.write_text(json.dumps(stored | origin(command) | parts, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["tables", "calibrate", "compare", "unseen", "speed"])
    parser.add_argument("--realisations", type=int, default=240, help="of each unseen configuration")
    parser.add_argument(
        "--seconds", type=float, default=600, help="CPU seconds to spend on tables or betas in this call"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.what == "tables":
        make_tables(arguments.seconds)
    elif arguments.what == "calibrate":
        calibrate(arguments.seconds)
    elif arguments.what == "compare":
        save_results(awgn=compare_awgn())
        save_results(tdl_c_300ns=compare_tdl_c("perfect"))
        save_results(tdl_c_300ns_estimated_csi=compare_tdl_c("ls-cp"))
    elif arguments.what == "unseen":
        rows = {"rows": unseen.compare(arguments.realisations)}
        command = f"python benchmarks/abstraction.py unseen --realisations {arguments.realisations}"
        stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps(stored | {"unseen": origin(command) | rows}, indent=1) + "\n")
    else:
        save_results(speed=compare_speed())


if __name__ == "__main__":
    main()
