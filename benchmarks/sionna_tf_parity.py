"""Our chain against Sionna 1.x on TensorFlow, which runs in an environment of its own.

    python benchmarks/sionna_tf_parity.py --environment ~/.cache/semcom/sionna_tf

makes that environment where it is not there (pip, about 2 GB), has it (`--worker`) draw the inputs and give
Sionna's answers, gives our code the same, and writes benchmarks/results/sionna_tf_parity.json: block error
rates of three LDPC codes, power of each tap of TDL channels, and the output of the LMMSE equaliser.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np

RESULTS = Path("benchmarks/results/sionna_tf_parity.json")
REQUIREMENTS = ("sionna-no-rt>=1.1,<2", "tensorflow-cpu>=2.16")
CODES = ((200, 800, 2.0, 2e-1), (500, 1000, 2.2, 1e-1), (1000, 1500, 3.1, 1e-1))  # k, n, Eb/N0 dB, about BLER
WORDS, ITERATIONS = 1000, 40
PROFILES = ("A", "C", "D")
REALISATIONS, SPREAD_S = 200_000, 100e-9


def worker(out: Path) -> None:
    """In the environment with TensorFlow: inputs and Sionna's answers."""
    import sionna
    import tensorflow as tf
    from sionna.phy.channel.tr38901 import TDL
    from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder
    from sionna.phy.mimo import lmmse_equalizer

    found: dict[str, Any] = {}
    rng = np.random.default_rng(1)
    for k, n, ebno_db, _ in CODES:
        encoder = LDPC5GEncoder(k, n)
        decoder = LDPC5GDecoder(encoder, num_iter=ITERATIONS, hard_out=True)
        bits = rng.integers(0, 2, (WORDS, k)).astype(np.float32)
        symbols = 1 - 2 * encoder(tf.constant(bits)).numpy()
        variance = 1 / (2 * k / n * 10 ** (ebno_db / 10))
        # Sionna's LLRs are ln p(1)/p(0)
        llr = (-2 / variance * (symbols + variance**0.5 * rng.standard_normal(symbols.shape))).astype(
            np.float32
        )
        found |= {f"bits_{k}_{n}": bits.astype(np.uint8), f"llr_{k}_{n}": llr}
        decided = np.concatenate([decoder(tf.constant(part)).numpy() for part in np.split(llr, 10)])
        found[f"codeword_{k}_{n}"] = ((1 - symbols) / 2).astype(np.uint8)
        found[f"wrong_{k}_{n}"] = (decided != bits).any(1)
    for profile in PROFILES:
        sionna.phy.config.seed = 1
        tdl = TDL(profile, SPREAD_S, 3.5e9, min_speed=10.0, max_speed=10.0)
        total = 0.0
        for _ in range(REALISATIONS // 10_000):
            gains, delays = tdl(10_000, 1, 30e3)
            total = total + (np.abs(gains.numpy()) ** 2).sum(0).reshape(-1)
        found |= {f"power_{profile}": total / REALISATIONS, f"delay_{profile}": delays.numpy()[0].reshape(-1)}
    h = rng.standard_normal((500, 4, 2)) + 1j * rng.standard_normal((500, 4, 2))
    y = rng.standard_normal((500, 4)) + 1j * rng.standard_normal((500, 4))
    h, y = h.astype(np.complex64), y.astype(np.complex64)
    s = np.broadcast_to(0.3 * np.eye(4), (500, 4, 4)).astype(np.complex64)
    x, no = lmmse_equalizer(tf.constant(y), tf.constant(h), tf.constant(s))
    found |= {"h": h, "y": y, "s": s, "x_hat": x.numpy(), "no_eff": no.numpy()}
    versions = {
        "sionna": sionna.phy.__version__ if hasattr(sionna.phy, "__version__") else sionna.__version__
    }
    found["versions"] = np.array(json.dumps(versions | {"tensorflow": tf.__version__}))
    np.savez(out, **found)


def ours(found: Any) -> dict[str, Any]:
    """Our answers to the same inputs, beside Sionna's."""
    import torch
    from sionna.phy.fec.ldpc import LDPC5GEncoder
    from sionna.phy.mimo import lmmse_equalizer

    from channels.coding.ldpc.decoder import LayeredDecoder
    from channels.links.report import wilson_interval
    from channels.propagation.factory import build_channel_model
    from channels.spec import ChannelSpec

    codes, taps = [], []
    for k, n, ebno_db, _ in CODES:
        encoder = LDPC5GEncoder(k, n, precision="single", device="cpu")
        bits = torch.from_numpy(found[f"bits_{k}_{n}"])
        same = bool((encoder(bits.float()).numpy() == found[f"codeword_{k}_{n}"]).all())
        decided = LayeredDecoder(encoder, ITERATIONS // 2)(found[f"llr_{k}_{n}"]).numpy()
        wrong = int((decided != bits.numpy()).any(1).sum())
        theirs = int(found[f"wrong_{k}_{n}"].sum())
        intervals = [wilson_interval(errors, WORDS) for errors in (wrong, theirs)]
        codes.append(
            {
                "k": k,
                "n": n,
                "ebno_db": ebno_db,
                "codewords": WORDS,
                "same_codewords": same,
                "bler": wrong / WORDS,
                "bler_interval": list(intervals[0]),
                "bler_tensorflow": theirs / WORDS,
                "bler_tensorflow_interval": list(intervals[1]),
                "overlap": intervals[0][0] <= intervals[1][1] and intervals[1][0] <= intervals[0][1],
            }
        )
    for profile in PROFILES:
        spec = ChannelSpec(model=f"tdl-{profile.lower()}", delay_spread_ns=SPREAD_S * 1e9, speed_kmh=36)
        model, total = build_channel_model(spec), 0.0
        for start in range(0, REALISATIONS, 10_000):
            gains, delays = model.impulse_responses(range(start, start + 10_000), 1, 1e-3)
            total = total + (gains.abs() ** 2).sum(0).reshape(-1).double().numpy()
        power, theirs = total / REALISATIONS, found[f"power_{profile}"]
        table = model.statistics()
        exact = np.asarray(table.powers, dtype=np.float64).reshape(-1)
        taps.append(
            {
                "profile": profile,
                "realisations": REALISATIONS,
                "largest_delay_difference_s": float(
                    np.abs(delays.numpy().reshape(-1) - found[f"delay_{profile}"]).max()
                ),
                "tap_powers": power.tolist(),
                "tap_powers_tensorflow": theirs.tolist(),
                "largest_relative_difference": float(np.abs(power / theirs - 1).max()),
                "largest_relative_difference_from_table": float(np.abs(power / exact - 1).max()),
            }
        )
    x, no = lmmse_equalizer(*(torch.from_numpy(found[name]) for name in ("y", "h", "s")))
    equaliser = {
        "problems": len(x),
        "largest_symbol_difference": float(np.abs(x.numpy() - found["x_hat"]).max()),
        "largest_relative_noise_difference": float(np.abs(no.numpy() / found["no_eff"] - 1).max()),
    }
    return {
        "ldpc": codes,
        "tdl": taps,
        "equaliser": equaliser,
        "versions_there": json.loads(str(found["versions"])),
    }


def environment(folder: Path) -> Path:
    """Python of the environment with TensorFlow, made where it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--environment", type=Path, default=Path("~/.cache/semcom/sionna_tf").expanduser())
    parser.add_argument("--worker", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.worker)
        return
    python = environment(arguments.environment)
    with tempfile.TemporaryDirectory() as place:
        inputs = Path(place) / "inputs.npz"
        outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        subprocess.run([python, __file__, "--worker", inputs], check=True, env=outside)
        with np.load(inputs) as found:
            result = ours(found)
    from semcom.provenance import provenance

    command = " ".join(["python", *sys.argv])
    arguments.out.write_text(json.dumps(result | {"command": command} | provenance(), indent=1) + "\n")
    print(json.dumps({"ldpc": result["ldpc"], "equaliser": result["equaliser"]}, indent=1))


if __name__ == "__main__":
    main()
