"""Solves the propagation paths of a scene with Sionna RT.

`python -m channels.propagation.path_solver REQUEST OUT.npz`

A program of its own, started by `ray_tracing`: a Dr.Jit that finds an LLVM too old for it ends its process,
and that mustn't be the simulation's. The only file that imports Sionna RT.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

_PATTERN = {"omni": "iso", "38.901": "tr38901"}


def solve(request: dict[str, Any]) -> dict[str, np.ndarray]:
    """Find the paths that `ray_tracing` asks for; see its `Paths` for what comes back."""
    from sionna import rt

    own = request["scene"].endswith(".xml")
    scene = rt.load_scene(request["scene"] if own else getattr(rt.scene, request["scene"]))
    scene.frequency = request["carrier_frequency_hz"]
    scene.tx_array, scene.rx_array = (
        _array(rt, request, request[f"num_{end}_antennas"]) for end in ("tx", "rx")
    )
    tx = rt.Transmitter("tx", position=request["tx_position_m"])
    rx = rt.Receiver("rx", position=request["rx_position_m"])
    scene.add(tx)
    scene.add(rx)
    tx.look_at(rx)
    rx.look_at(tx)
    # An array so small beside the scene sees the same paths with all of its antennas
    paths = rt.PathSolver(deterministic=True)(
        scene, max_depth=request["max_depth"], synthetic_array=True, seed=1
    )
    gains, delays = paths.cir(normalize_delays=True, out_type="numpy")
    found = delays[0, 0] >= 0
    theta, phi = paths.theta_r.numpy()[0, 0], paths.phi_r.numpy()[0, 0]
    arrival = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
    return {
        "gains": gains[0, :, 0, :, found, 0].transpose(1, 2, 0).astype(np.complex64),
        "delays_s": delays[0, 0, found].astype(np.float32),
        "arrival": arrival[found].astype(np.float32),
    }


def _array(rt: Any, request: dict[str, Any], num_antennas: int) -> Any:
    dual = request["antenna_polarization"] == "dual"
    return rt.PlanarArray(
        num_rows=1,
        num_cols=num_antennas // 2 if dual else num_antennas,
        vertical_spacing=0.5,
        horizontal_spacing=0.5,
        pattern=_PATTERN[request["antenna_pattern"]],
        polarization="cross" if dual else "V",
    )


if __name__ == "__main__":
    found = solve(json.loads(Path(sys.argv[1]).read_text()))
    np.savez(sys.argv[2], gains=found["gains"], delays_s=found["delays_s"], arrival=found["arrival"])
