"""The layered LDPC decoder against Sionna's (boxplus-phi, 20 iterations): block errors and speed on one core.

    python benchmarks/ldpc.py bler         # resumable: cells already in the JSON are kept
    python benchmarks/ldpc.py throughput

QPSK over AWGN with exact LLRs; both decoders get the same LLRs. The waterfall is located with the fast
decoder; Sionna's codewords go to a few points around its own waterfall. The SNR at BLER 1e-2 comes from a
maximum-likelihood probit fit of the counts. Sionna's codewords are few for long codes, so its slope has a
prior: that of the fast decoder's curve for the same code, to within 15 %, as codes with many codewords show.
Times are CPU time of one thread, so that other processes on the machine distort them less.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_ndtr
from scipy.stats import binomtest, norm
from sionna.phy import config
from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder

from channels.coding.ldpc.decoder import LayeredDecoder
from semcom.provenance import machine, provenance

RESULTS = Path(__file__).parent / "results" / "ldpc.json"
RATES = {"1/5": (1, 5), "1/3": (1, 3), "1/2": (1, 2), "2/3": (2, 3), "8/9": (8, 9)}
LENGTHS = (128, 1024, 3840, 4096, 8448)  # 3840 is BG2's longest, where 4096 does not exist
TARGET_BLER = 1e-2
NUM_ITER = 20
PRIOR_SD = 0.15
SEED = 4


class Cell:
    """One code with both decoders, fixed messages, and noise that depends only on (cell, point, batch)."""

    def __init__(self, bg: str, rate: str, k: int) -> None:
        numerator, denominator = RATES[rate]
        self.name = f"{bg} {rate} {k}"
        self.identity = [SEED, int(bg[2]), numerator, denominator, k]
        self.encoder = LDPC5GEncoder(k, k * denominator // numerator, bg=bg, device="cpu")
        self.fast = LayeredDecoder(self.encoder, num_iter=NUM_ITER)
        self.sionna = LDPC5GDecoder(self.encoder, num_iter=NUM_ITER, device="cpu")
        generator = torch.Generator().manual_seed(SEED)
        self.messages = torch.randint(0, 2, (64, k), generator=generator).float()
        self.codewords = self.encoder(self.messages)

    def snr_db(self, ebno_db: float) -> float:
        """Es/N0 of QPSK in dB."""
        return ebno_db + 10 * math.log10(2 * self.encoder.k / self.encoder.n)

    def draw(self, ebno_db: float, batch: int, stream: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Messages [batch, k] and LLRs [batch, n]."""
        rng = np.random.default_rng([*self.identity, round(ebno_db * 1000) + 10**6, stream])
        chosen = torch.from_numpy(rng.integers(0, len(self.messages), batch))
        n0 = 10 ** (-self.snr_db(ebno_db) / 10)
        noise = torch.from_numpy(rng.standard_normal((batch, self.encoder.n), np.float32)) * n0**0.5
        return self.messages[chosen], (2 * self.codewords[chosen] - 1 + noise) * (2 / n0)

    def errors(
        self, decoder: Callable[[torch.Tensor], torch.Tensor], ebno_db: float, batch: int, stream: int
    ) -> int:
        """Codewords of one batch that the decoder gets wrong."""
        message, llr = self.draw(ebno_db, batch, stream)
        return int((decoder(llr) != message).any(dim=-1).sum())


Counts = dict[float, list[int]]  # ebno_db -> [codewords, errors]
Paired = dict[
    float, list[int]
]  # ebno_db -> codewords that [only layered, only Sionna, both, neither] got wrong


def add_counts(counts: Counts, ebno_db: float, codewords: int, errors: int) -> None:
    total = counts.setdefault(ebno_db, [0, 0])
    total[0] += codewords
    total[1] += errors


def probit_fit(counts: Counts, prior_slope: float | None = None) -> tuple[float, float]:
    """(a, b) of largest likelihood of BLER = Phi(-(a + b ebno_db)), or of largest posterior with a prior."""
    ebno = np.array(list(counts))
    trials, errors = np.array(list(counts.values())).T
    center = ebno.mean()

    def slope(parameters: np.ndarray) -> float:
        return float(np.exp(np.clip(parameters[1], -0.5, 4.0)))  # no waterfall is flatter or steeper

    def loss(parameters: np.ndarray) -> float:
        argument = parameters[0] + slope(parameters) * (ebno - center)
        prior = 0.0 if prior_slope is None else ((parameters[1] - math.log(prior_slope)) / PRIOR_SD) ** 2 / 2
        return prior - float((errors * log_ndtr(-argument) + (trials - errors) * log_ndtr(argument)).sum())

    start = 1.0 if prior_slope is None else math.log(prior_slope)
    corners = [[0.0, start], [1.0, start], [0.0, start + 0.5]]
    best = minimize(loss, corners[0], method="Nelder-Mead", options={"initial_simplex": corners}).x
    return float(best[0]) - slope(best) * float(center), slope(best)


def ebno_at(fit: tuple[float, float], bler: float) -> float:
    return float((norm.isf(bler) - fit[0]) / fit[1])


def gap_at_target(fast: Counts, sionna: Counts, samples: int = 80) -> tuple[float, float, float]:
    """Layered minus Sionna Eb/N0 at the target BLER, and its 95 % interval from resampled counts."""

    def gap(ours: Counts, theirs: Counts) -> float:
        fit = probit_fit(ours)
        return ebno_at(fit, TARGET_BLER) - ebno_at(probit_fit(theirs, fit[1]), TARGET_BLER)

    rng = np.random.default_rng(SEED)

    def resampled(counts: Counts) -> Counts:
        return {
            e: [n, int(rng.binomial(n, rng.beta(wrong + 0.25, n - wrong + 0.25)))]
            for e, (n, wrong) in counts.items()
        }

    low, high = np.quantile([gap(resampled(fast), resampled(sionna)) for _ in range(samples)], [0.025, 0.975])
    return gap(fast, sionna), float(low), float(high)


def locate(cell: Cell) -> float:
    """Eb/N0 in dB near BLER 0.2 of the fast decoder, by bisection."""
    rate = cell.encoder.coderate
    low = 10 * math.log10((2 ** (2 * rate) - 1) / (2 * rate))
    high = low + 6
    while high - low > 0.06:
        middle = round((low + high) / 2, 3)
        low, high = (middle, high) if cell.errors(cell.fast, middle, 100, 0) > 20 else (low, middle)
    return round(low, 2)


def measure_fast(cell: Cell, codewords: int) -> Counts:
    counts: Counts = {}
    ebno_db, step = locate(cell), 0.1
    while True:
        errors = sum(cell.errors(cell.fast, ebno_db, 250, 1000 + i) for i in range(codewords // 250))
        add_counts(counts, ebno_db, codewords, errors)
        if errors < 0.004 * codewords:
            return counts
        step = 0.1 if errors < 0.5 * codewords else 0.2
        ebno_db = round(ebno_db + step, 2)


def measure_paired(cell: Cell, fast_fit: tuple[float, float], seconds: float) -> tuple[Paired, float]:
    """Both decoders on the same LLRs on Sionna's waterfall; Sionna's CPU seconds per codeword."""
    paired: Paired = {}
    spent, decoded, stream = 0.0, 0, 0

    def spend(ebno_db: float, batch: int) -> float:
        """Decode one batch; Sionna's BLER in it."""
        nonlocal spent, decoded, stream
        message, llr = cell.draw(ebno_db, batch, stream)
        began = time.thread_time()
        theirs = (cell.sionna(llr) != message).any(dim=-1)
        spent += time.thread_time() - began
        decoded, stream = decoded + batch, stream + 1
        ours = (cell.fast(llr) != message).any(dim=-1)
        counts = paired.setdefault(ebno_db, [0, 0, 0, 0])
        for i, outcome in enumerate((ours & ~theirs, theirs & ~ours, ours & theirs, ~ours & ~theirs)):
            counts[i] += int(outcome.sum())
        return float(theirs.float().mean())

    cell.sionna(cell.draw(0.0, 2, 0)[1])
    ebno_db = round(ebno_at(fast_fit, 0.1), 2)
    spend(ebno_db, 8)
    batch = int(np.clip(0.1 * seconds * decoded / spent, 8, 50))
    while spend(ebno_db, batch) > 0.4:
        ebno_db = round(ebno_db + 0.1, 2)
    step = max(0.05, round((ebno_at(fast_fit, 0.02) - ebno_at(fast_fit, 0.2)) / 2, 2))
    points = [ebno_db, round(ebno_db + step, 2), round(ebno_db + 2 * step, 2)]
    while (spent < seconds or decoded < 50) and decoded < 2400:
        spend(points[stream % 3], batch)
    return paired, spent / decoded


def rows(cell: Cell, decoder: str, counts: Counts) -> list[dict[str, Any]]:
    table = []
    for ebno_db, (codewords, errors) in sorted(counts.items()):
        interval = binomtest(errors, codewords).proportion_ci(method="wilson")
        table.append(
            {
                "decoder": decoder,
                "ebno_db": ebno_db,
                "snr_db": round(cell.snr_db(ebno_db), 3),
                "codewords": codewords,
                "errors": errors,
                "bler": errors / codewords,
                "interval": [round(interval.low, 5), round(interval.high, 5)],
            }
        )
    return table


def bler_cell(cell: Cell, seconds: float) -> dict[str, Any]:
    """The BLER points of one code with both decoders."""
    fast = measure_fast(cell, 1000 if cell.encoder.n < 8000 else 250)
    paired, sionna_seconds = measure_paired(cell, probit_fit(fast), seconds)
    same = {e: [sum(c), c[0] + c[2]] for e, c in paired.items()}
    sionna = {e: [sum(c), c[1] + c[2]] for e, c in paired.items()}
    ours = ebno_at(probit_fit(fast), TARGET_BLER)
    operating = cell.fast.decode(cell.draw(round(ours, 2), 200, 10**6)[1])
    return {
        "iterations_used": round(float(operating.iterations.float().mean()), 2),
        "sionna_ms_per_codeword_cpu": round(1e3 * sionna_seconds, 3),
        "paired_counts": {
            "columns": ["ebno_db", "layered only wrong", "sionna only wrong", "both wrong", "neither wrong"],
            "rows": [[ebno_db, *counts] for ebno_db, counts in sorted(paired.items())],
        },
        "paired_points": rows(cell, "layered", same) + rows(cell, "sionna", sionna),
        "layered_points": rows(cell, "layered", fast),
    }


def summary(row: dict[str, Any]) -> dict[str, Any]:
    """The gap at the target BLER in dB (positive: ours is worse), from a cell's points."""

    def counts(points: list[dict[str, Any]], decoder: str) -> Counts:
        return {p["ebno_db"]: [p["codewords"], p["errors"]] for p in points if p["decoder"] == decoder}

    fast = counts(row["layered_points"], "layered")
    gap, low, high = gap_at_target(fast, counts(row["paired_points"], "sionna"))
    ours = ebno_at(probit_fit(fast), TARGET_BLER)
    es_over_eb_db = 10 * math.log10(2 * row["k"] / row["n"])
    crossings = {"layered": ours, "sionna": ours - gap}
    return {
        "ebno_db_at_bler_1e-2": {name: round(e, 3) for name, e in crossings.items()},
        "snr_db_at_bler_1e-2": {name: round(e + es_over_eb_db, 3) for name, e in crossings.items()},
        "gap_db": round(gap, 3),
        "gap_interval_db": [round(low, 3), round(high, 3)],
    }


def run_bler(results: dict[str, Any], seconds: float) -> None:
    cells = results.setdefault("bler", {})
    missing = results.setdefault("cells_that_do_not_exist", {})
    for k in LENGTHS:
        for bg in ("bg1", "bg2"):
            for rate in RATES:
                if f"{bg} {rate} {k}" in cells or (bg, k) == ("bg1", 3840):
                    continue
                try:
                    cell = Cell(bg, rate, k)
                except ValueError as error:
                    missing[f"{bg} {rate} {k}"] = str(error)
                    continue
                row = {"bg": bg, "rate": rate, "k": k, "n": cell.encoder.n, "z": cell.encoder.z}
                cells[cell.name] = row | bler_cell(cell, seconds)
                save(results)
                print(cell.name, summary(cells[cell.name]), flush=True)
    for row in cells.values():
        row |= summary(row)
    save(results)


def cpu_seconds(decode: Callable[[], Any], repetitions: int) -> list[float]:
    decode()
    times = []
    for _ in range(repetitions):
        began = time.thread_time()
        decode()
        times.append(time.thread_time() - began)
    return times


def run_throughput(results: dict[str, Any], ebno_db: float | None) -> None:
    """k=1024, rate 1/2 at BLER 1e-2 of the fast decoder: the same LLRs through both, at three batch sizes."""
    cell = Cell("bg2", "1/2", 1024)
    if ebno_db is None:
        ebno_db = ebno_at(probit_fit(measure_fast(cell, 2000)), TARGET_BLER)
    message, llr = cell.draw(round(ebno_db, 2), 2000, 0)
    operating = cell.fast.decode(llr)
    table: dict[str, Any] = {
        "bg": "bg2",
        "k": 1024,
        "n": 2048,
        "rate": "1/2",
        "ebno_db": round(ebno_db, 2),
        "snr_db": round(cell.snr_db(ebno_db), 3),
        "bler": float((operating.bits != message).any(dim=-1).float().mean()),
        "iterations_used": round(float(operating.iterations.float().mean()), 2),
        "machine": machine(),
        "load_average": os.getloadavg()[0],
        "rows": [],
    }
    for batch in (1, 10, 100):
        theirs = np.array(cpu_seconds(lambda b=batch: cell.sionna(llr[:b]), 5 if batch < 100 else 3)) / batch
        blocks = [llr[i : i + batch] for i in range(0, 200 if batch == 1 else 2000, batch)]
        ours = np.array(cpu_seconds(lambda b=blocks: [cell.fast(x) for x in b], 7)) / (len(blocks) * batch)
        table["rows"].append(
            {
                "batch": batch,
                "layered_ms_per_codeword": round(1e3 * float(np.median(ours)), 5),
                "sionna_ms_per_codeword": round(1e3 * float(np.median(theirs)), 3),
                "speedup": round(float(np.median(theirs) / np.median(ours)), 1),
                "layered_mbit_per_s": round(cell.encoder.k / float(np.median(ours)) / 1e6, 3),
                "sionna_mbit_per_s": round(cell.encoder.k / float(np.median(theirs)) / 1e6, 4),
            }
        )
        print(table["rows"][-1], flush=True)
    best = max(row["sionna_mbit_per_s"] for row in table["rows"])
    table["speedup_against_sionnas_best_batch"] = round(table["rows"][-1]["layered_mbit_per_s"] / best, 1)
    results["throughput"] = table
    save(results)


def save(results: dict[str, Any]) -> None:
    results |= provenance() | {
        "command": "python benchmarks/ldpc.py bler; python benchmarks/ldpc.py throughput",
        "threads": 1,
        "channel": "QPSK, AWGN, exact LLRs; Eb/N0 counts information bits",
        "target_bler": TARGET_BLER,
        "num_iter": NUM_ITER,
    }
    partial = RESULTS.with_suffix(".tmp")
    partial.write_text(json.dumps(results, indent=1) + "\n")
    partial.replace(RESULTS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=["bler", "throughput"])
    parser.add_argument("--seconds", type=float, default=18.0, help="CPU seconds of Sionna per cell (bler)")
    parser.add_argument(
        "--ebno-db", type=float, default=None, help="operating point, found if not given (throughput)"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config.device = "cpu"
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if arguments.part == "bler":
        run_bler(stored, arguments.seconds)
    else:
        run_throughput(stored, arguments.ebno_db)
