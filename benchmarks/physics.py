"""The link's physics against theory: what was measured, what was expected, and whether they agree.

    python benchmarks/physics.py      # writes benchmarks/results/physics.json

Every row has the measured value with its 99 % interval and the closed form or the table's entry. Realisations
count as the independent trials where symbols share a fade.
"""

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from scipy.special import j0
from sionna.phy.mapping import Demapper

from channels.digital import mapper
from channels.models import build_channel_model
from channels.ofdm import OfdmFrontEnd
from channels.report import wilson_interval
from channels.spec import ChannelSpec, OfdmSpec
from channels.theory import awgn_erfc, rayleigh_erfc, rayleigh_mimo_capacity, square_qam_ber

RESULTS = Path("benchmarks/results/physics.json")
Z_99 = 2.576
# TR 38.901 Tables 7.7.2-1 to 7.7.2-3: RMS delay spread one by construction; the strongest taps
STRONGEST_TAP_DELAY = {"tdl-a": 0.3819, "tdl-b": 0.0, "tdl-c": 0.6366}


def row(measured: float, half: float, expected: float, **labels: Any) -> dict[str, Any]:
    return {
        **labels,
        "measured": measured,
        "interval_99": [measured - half, measured + half],
        "expected": expected,
        "agrees": abs(measured - expected) <= half,
    }


def qam_over(model: str, trials: int) -> list[dict[str, Any]]:
    """Nearest-point decisions on equalised symbols of one slot a realisation.

    The closed form is of the nearest point; the signs of exact LLRs do a little better at low SNR.
    """
    ofdm = OfdmSpec(num_subcarriers=12, num_ofdm_symbols=4, pilot_symbols=(2,), csi="perfect")
    front_end = OfdmFrontEnd(ChannelSpec(model=model), ofdm)
    rows = []
    for order in (2, 4, 6, 8):
        nearest = Demapper("maxlog", "qam", order, precision="single", device="cpu")
        for snr_db in (-2.0, 4.0, 10.0) if model == "rayleigh" else (2.6 * order - 5, 2.6 * order - 2):
            generator = torch.Generator().manual_seed(order)
            bits = torch.randint(0, 2, (trials, front_end.num_data_res * order), generator=generator)
            x = mapper(order, "cpu")(bits.float())
            received = front_end.send([*x[:, None, :, None]], [snr_db] * trials, range(trials))
            y = torch.stack([r.symbols.flatten() for r in received])
            no = torch.stack([r.noise_variance.flatten() for r in received])
            wrong = (nearest(y, no) > 0) != bits.bool()
            labels = {"modulation_bits": order, "snr_db": snr_db}
            if model == "awgn":
                low, high = wilson_interval(int(wrong.sum()), wrong.numel(), 0.99)
                measured, half = (low + high) / 2, (high - low) / 2
                expected = square_qam_ber(order, 10 ** (snr_db / 10), awgn_erfc)
            else:
                per_trial = wrong.double().mean(1)
                measured, half = float(per_trial.mean()), Z_99 * float(per_trial.std()) / trials**0.5
                expected = square_qam_ber(order, 10 ** (snr_db / 10), rayleigh_erfc)
            rows.append(row(measured, half, expected, **labels))
    return rows


def tdl_profiles(draws: int = 4000) -> list[dict[str, Any]]:
    rows = []
    for model, delay in STRONGEST_TAP_DELAY.items():
        spread = 250e-9
        channel = build_channel_model(ChannelSpec(model=model, delay_spread_ns=spread * 1e9))
        statistics = channel.statistics()
        strongest = int(statistics.powers.argmax())
        gains = channel.impulse_responses(range(draws), 1, 1.0)[0][:, 0, 0, :, 0]
        power = gains.abs().square()
        share = power[:, strongest] / statistics.powers[strongest]
        delay_measured = float(statistics.delays_s[strongest]) / spread
        half = Z_99 * float(share.std()) / draws**0.5
        rows.append(row(delay_measured, 1e-3, delay, model=model, what="strongest tap's delay"))
        rows.append(row(float(share.mean()), half, 1.0, model=model, what="its power over the profile's"))
        mean = power.mean(0)
        first = (mean * statistics.delays_s).sum() / mean.sum()
        second = (mean * (statistics.delays_s - first) ** 2).sum() / mean.sum()
        rows.append(
            row(float(second.sqrt()) * 1e9, 8.0, spread * 1e9, model=model, what="delay spread in ns")
        )
    return rows


def doppler(draws: int = 4000) -> list[dict[str, Any]]:
    """Autocorrelation in time against J0 (the transform of Jakes' spectrum)."""
    spec = ChannelSpec(model="tdl-b", speed_kmh=108, carrier_frequency_hz=3e9)
    channel, step, steps = build_channel_model(spec), 2e-4, 16
    gains = channel.impulse_responses(range(draws), steps, step)[0][:, 0, 0]
    weight = gains.abs().square().mean(dim=(0, 2), keepdim=True)
    per_draw = (gains[..., :1].conj() * gains / weight).real.mean(dim=1)
    measured, half = per_draw.mean(0), Z_99 * per_draw.std(0) / draws**0.5
    expected = [float(j0(2 * np.pi * spec.max_doppler_hz * step * i)) for i in range(steps)]
    return [
        row(float(measured[i]), float(half[i]), expected[i], lag_ms=round(1e3 * step * i, 3))
        for i in range(1, steps, 2)
    ]


def mimo_capacity(draws: int = 10_000) -> list[dict[str, Any]]:
    rows = []
    for antennas in (1, 2, 4):
        spec = ChannelSpec(model="rayleigh", num_tx_antennas=antennas, num_rx_antennas=antennas)
        front_end = OfdmFrontEnd(spec, OfdmSpec(num_subcarriers=12, num_streams=antennas))
        subcarrier = torch.zeros(1, dtype=torch.long)
        h = front_end.sampled_channels(range(draws), [0] * draws, 1, 1, subcarrier)[:, 0, :, :, 0, 0]
        for snr_db in (0.0, 10.0, 20.0):
            snr = 10 ** (snr_db / 10)
            capacity = torch.linalg.slogdet(torch.eye(antennas) + snr * h @ h.mH)[1] / np.log(2)
            half = Z_99 * float(capacity.std()) / draws**0.5
            expected = rayleigh_mimo_capacity(antennas, snr)
            rows.append(row(float(capacity.mean()), half, expected, antennas=antennas, snr_db=snr_db))
    return rows


def estimation_error(draws: int = 2000) -> list[dict[str, Any]]:
    """Mean-square error of channel estimates; the expected value of least squares is that of its noise."""
    rows = []
    for csi in ("ls-nearest", "ls-linear", "lmmse"):
        for snr_db in (0.0, 10.0):
            spec = OfdmSpec(num_subcarriers=48, csi=csi)
            # Slow and short, so that what interpolation misses is negligible
            front_end = OfdmFrontEnd(ChannelSpec(model="tdl-a", speed_kmh=0.3), spec)
            no = torch.full((draws,), 10 ** (-snr_db / 10))
            h = torch.cat([front_end.channel(s, 1) for s in range(draws)])
            ls = h[:, :, :, list(spec.pilot_symbols)]
            noise = torch.randn(ls.shape, dtype=ls.dtype, generator=torch.Generator().manual_seed(1))
            estimate = front_end._estimator.estimate(ls + noise * no.sqrt()[:, None, None, None, None], no)
            error = (estimate - h).abs().square().mean(dim=(1, 2, 3, 4))
            half = Z_99 * float(error.std()) / draws**0.5
            expected = float(front_end.error_variance(no[:1]).mean())
            rows.append(row(float(error.mean()), half, expected, csi=csi, snr_db=snr_db))
    return rows


CHECKS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "qam_awgn": lambda: qam_over("awgn", 2000),
    "qam_rayleigh": lambda: qam_over("rayleigh", 6000),
    "tdl_profiles": tdl_profiles,
    "doppler": doppler,
    "mimo_capacity": mimo_capacity,
    "channel_estimation_mse": estimation_error,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checks", nargs="*", help=f"of {', '.join(CHECKS)}; all by default")
    chosen = parser.parse_args().checks or list(CHECKS)
    torch.set_num_threads(1)
    result = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in chosen:
        began = time.process_time()
        result[name] = CHECKS[name]()
        wrong = [r for r in result[name] if not r["agrees"]]
        print(f"{name}: {len(wrong)} of {len(result[name])} disagree", *wrong, sep="\n  ")
        print(f"  {time.process_time() - began:.0f} s", flush=True)
        save(result)


def save(result: dict[str, Any]) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    checks = {name: result[name] for name in CHECKS if name in result}
    rows = [r for check in checks.values() for r in check]
    result = {
        "command": "python benchmarks/physics.py",
        "commit": commit,
        "versions": {name: version(name) for name in ("torch", "sionna-no-rt", "numpy", "scipy")},
        "cores": 1,
        "rows": len(rows),
        "rows_that_agree": sum(r["agrees"] for r in rows),
        **checks,
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
