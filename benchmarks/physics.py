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

from channels.links.digital import mapper
from channels.links.report import wilson_interval
from channels.ofdm.front_end import OfdmFrontEnd
from channels.propagation.factory import build_channel_model
from channels.propagation.theory import awgn_erfc, rayleigh_erfc, rayleigh_mimo_capacity, square_qam_ber
from channels.spec import ChannelSpec, OfdmSpec

RESULTS = Path("benchmarks/results/physics.json")
Z_99 = 2.576
# TR 38.901 Tables 7.7.2-1 to 7.7.2-3: normalised delay and power in dB of every tap
PROFILES = {
    "tdl-a": (
        "0.0000 -13.4, 0.3819 0, 0.4025 -2.2, 0.5868 -4, 0.4610 -6, 0.5375 -8.2, 0.6708 -9.9, 0.5750 -10.5, "
        "0.7618 -7.5, 1.5375 -15.9, 1.8978 -6.6, 2.2242 -16.7, 2.1718 -12.4, 2.4942 -15.2, 2.5119 -10.8, "
        "3.0582 -11.3, 4.0810 -12.7, 4.4579 -16.2, 4.5695 -18.3, 4.7966 -18.9, 5.0066 -16.6, 5.3043 -19.9, "
        "9.6586 -29.7"
    ),
    "tdl-b": (
        "0.0000 0, 0.1072 -2.2, 0.2155 -4, 0.2095 -3.2, 0.2870 -9.8, 0.2986 -1.2, 0.3752 -3.4, 0.5055 -5.2, "
        "0.3681 -7.6, 0.3697 -3, 0.5700 -8.9, 0.5283 -9, 1.1021 -4.8, 1.2756 -5.7, 1.5474 -7.5, 1.7842 -1.9, "
        "2.0169 -7.6, 2.8294 -12.2, 3.0219 -9.8, 3.6187 -11.4, 4.1067 -14.9, 4.2790 -9.2, 4.7834 -11.3"
    ),
    "tdl-c": (
        "0 -4.4, 0.2099 -1.2, 0.2219 -3.5, 0.2329 -5.2, 0.2176 -2.5, 0.6366 0, 0.6448 -2.2, 0.6560 -3.9, "
        "0.6584 -7.4, 0.7935 -7.1, 0.8213 -10.7, 0.9336 -11.1, 1.2285 -5.1, 1.3083 -6.8, 2.1704 -8.7, "
        "2.7105 -13.2, 4.2589 -13.9, 4.6003 -13.9, 5.4902 -15.8, 5.6077 -17.1, 6.3065 -16, 6.6374 -15.7, "
        "7.0427 -21.6, 8.6523 -22.8"
    ),
}


def row(measured: float, half: float, expected: float, **labels: Any) -> dict[str, Any]:
    return {
        **labels,
        "measured": float(measured),
        "interval_99": [float(measured - half), float(measured + half)],
        "expected": expected,
        "agrees": bool(abs(measured - expected) <= half),
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


def tdl_profiles(draws: int = 4000, spread_ns: float = 250.0) -> list[dict[str, Any]]:
    """Mean power of every tap over the table's, at the table's delay, and the delay spread."""
    rows = []
    for model, text in PROFILES.items():
        table = np.array([tap.split() for tap in text.split(",")], dtype=float)
        expected = 10 ** (table[:, 1] / 10) / (10 ** (table[:, 1] / 10)).sum()
        channel = build_channel_model(ChannelSpec(model=model, delay_spread_ns=spread_ns))
        gains, delays = channel.impulse_responses(range(draws), 1, 1.0)
        power, normalised = (
            gains[:, 0, 0, :, 0].abs().square().double().numpy(),
            delays[0].numpy() / spread_ns,
        )
        if not np.allclose(1e9 * normalised, table[:, 0], atol=1e-3):
            raise AssertionError(f"the delays of {model} are not those of TR 38.901")
        for tap, share in enumerate((power / expected).T):
            half = Z_99 * share.std() / draws**0.5
            rows.append(row(share.mean(), half, 1.0, model=model, tap=tap + 1, what="power over the table's"))
        resampled = np.random.default_rng(0).integers(0, draws, (200, draws))
        spreads = np.array([spread_of(power[chosen].mean(0), table[:, 0]) for chosen in resampled])
        rows.append(
            row(
                spread_ns * spread_of(power.mean(0), table[:, 0]),
                spread_ns * Z_99 * spreads.std(),
                spread_ns,
                model=model,
                what="delay spread in ns",
            )
        )
    return rows


def spread_of(powers: np.ndarray, delays: np.ndarray) -> float:
    """RMS delay spread."""
    mean = np.average(delays, weights=powers)
    return float(np.average((delays - mean) ** 2, weights=powers) ** 0.5)


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
    """Mean-square error of channel estimates against the closed form over the model's statistics."""
    rows = []
    for csi in ("ls-cp", "ls-nearest", "ls-linear", "lmmse"):
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
        "rows_expected_to_disagree_by_chance": round(0.01 * len(rows), 2),
        **checks,
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
