"""Configurations that no table, beta or share of the abstraction was fitted on: bit-exact against abstract.

Run by `python benchmarks/abstraction.py unseen`.
"""

import warnings
from typing import Any

import agreement

from channels.spec import ChannelSpec, ClassSpec, LinkSpec, OfdmSpec


def configurations() -> dict[str, tuple[LinkSpec, tuple[tuple[str, int], ...]]]:
    """Configurations that neither betas nor the share of the estimation error were fitted on."""

    def spec(mcs_index: int, *, table: int = 1, csi: str = "ls-cp", rounds: int = 1, boost: float = 0.0,
             combining: str = "incremental-redundancy", ofdm: dict[str, Any] | None = None,
             **channel: Any) -> LinkSpec:  # fmt: skip
        base = ClassSpec(mcs=mcs_index, harq_rounds=rounds, power_boost_db=boost)
        return LinkSpec(
            channel=ChannelSpec(**({"model": "tdl-a"} | channel)),
            ofdm=OfdmSpec(csi=csi, **(ofdm or {})),
            mcs_table=table,
            classes={"base": base, "detail": ClassSpec(mcs=4)},
            harq_combining=combining,
        )

    two, four = {"num_tx_antennas": 2, "num_rx_antennas": 2}, {"num_tx_antennas": 4, "num_rx_antennas": 4}
    specs = {
        "tdl-a, MCS 4": spec(4),
        "tdl-a, MCS 0": spec(0),
        "tdl-a, table 3 MCS 2": spec(2, table=3),
        "tdl-a, table 3 MCS 2, ls-linear": spec(2, table=3, csi="ls-linear"),
        "tdl-a, MCS 4, ls-linear": spec(4, csi="ls-linear"),
        "tdl-a, MCS 4, lmmse": spec(4, csi="lmmse"),
        "tdl-a 300 ns 120 km/h, MCS 11, lmmse": spec(11, csi="lmmse", delay_spread_ns=300, speed_kmh=120),
        "tdl-a 60 km/h, MCS 14, ls-nearest": spec(14, csi="ls-nearest", speed_kmh=60),
        "tdl-a, table 2 MCS 24, lmmse": spec(24, table=2, csi="lmmse"),
        "rayleigh, MCS 9": spec(9, model="rayleigh"),
        "rayleigh, MCS 9, ls-linear": spec(9, model="rayleigh", csi="ls-linear"),
        "rician 3 dB, 2 rx, MCS 16, perfect": spec(
            16, csi="perfect", model="rician", rician_k_db=3, num_rx_antennas=2
        ),
        "umi, MCS 6": spec(6, model="umi"),
        "cdl-c, 2x2, 2 layers, 15 kHz, MCS 10": spec(
            10, model="cdl-c", ofdm={"num_streams": 2, "subcarrier_spacing_khz": 15}, **two
        ),
        "tdl-b, 4x4, 4 layers, MCS 13": spec(13, model="tdl-b", ofdm={"num_streams": 4}, **four),
        "tdl-e, 28 GHz, 120 kHz, 4 rx, MCS 22, lmmse": spec(
            22,
            csi="lmmse",
            model="tdl-e",
            carrier_frequency_hz=28e9,
            num_rx_antennas=4,
            ofdm={"subcarrier_spacing_khz": 120},
        ),
        "tdl-a 350 km/h, MCS 4": spec(4, speed_kmh=350),
        "tdl-a 350 km/h, MCS 13": spec(13, speed_kmh=350),
        "tdl-a 500 km/h, MCS 4": spec(4, speed_kmh=500),
        "tdl-a, incremental redundancy, 4 rounds, MCS 20": spec(20, rounds=4),
        "tdl-a, Chase, 4 rounds, MCS 20": spec(20, rounds=4, combining="chase"),
        "tdl-a 60 km/h, incremental redundancy, 4 rounds, MCS 9": spec(9, rounds=4, speed_kmh=60),
        "tdl-a 60 km/h, Chase, 2 rounds, MCS 9": spec(9, rounds=2, combining="chase", speed_kmh=60),
    }
    rows = {name: (link, agreement.SIZES) for name, link in specs.items()}
    boosted = (*agreement.SIZES, *[("detail", 90)] * 8)
    for csi in ("ls-cp", "ls-linear"):
        for boost in (3.0, 6.0, 10.0):
            rows[f"tdl-a, MCS 4 boosted by {boost:g} dB, {csi}"] = (spec(4, csi=csi, boost=boost), boosted)
    return rows


def compare(realisations: int) -> list[dict[str, Any]]:
    """Rows of all configurations; where so many realisations decide nothing, of four times as many."""
    rows = []
    for name, (spec, sizes) in configurations().items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of interference, which is simulated
            try:
                row = _row(spec, sizes, realisations)
            except ValueError as error:
                row = {"refused": str(error)}
        rows.append({"configuration": name} | row)
        print(rows[-1], flush=True)
    return rows


def _row(spec: LinkSpec, sizes: tuple[tuple[str, int], ...], realisations: int) -> dict[str, Any]:
    # Drops of a street cost fifty times a TDL's realisation
    count = realisations // (3 if spec.channel.model == "umi" else 1)
    row = agreement.compare(spec, range(50_000, 50_000 + count), 0.1, sizes)
    if not row["decided"]:
        row = agreement.compare(spec, range(50_000, 50_000 + 4 * count), 0.1, sizes)
    return row
