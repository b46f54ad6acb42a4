"""Ray tracing: the paths between two points of a scene, solved once by Sionna RT and kept on disk.

    scene, positions, carrier, antennas ─ path solver ─ gains, delays, directions ─ (file) ─ realisations

The solver's paths are deterministic. What a seed draws is what a terminal doesn't hold still: the phase of
every path (a terminal's place is known to within much more than a wavelength) and the horizontal direction it
moves in, from which each path has its own Doppler shift. Path gain is normalised away, as for every model.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from channels.propagation.base import Statistics
from channels.propagation.cache import cache_folder
from channels.spec import ChannelSpec

# Of the stored files: change it when what they hold changes
_FORMAT = 1
_LLVM_HELP = (
    "on a CPU, Dr.Jit needs an LLVM library that is recent enough (19 and 22 work, 14 and 15 don't): "
    "apt install libllvm19, or name another with the environment variable DRJIT_LIBLLVM_PATH"
)


class RayTracingError(ValueError):
    """Paths that could not be solved; the message says why and what to do."""


@dataclass(frozen=True)
class Paths:
    """Propagation paths between two arrays."""

    gains: NDArray[np.complex64]
    """[num_rx, num_tx, num_paths], as the solver has them: path loss included."""
    delays_s: NDArray[np.float32]
    """[num_paths], the first path's zero."""
    arrival: NDArray[np.float32]
    """[num_paths, 3]: unit vectors from the receiver to where each path comes from."""


class RayTraced:
    """One transmitter and one receiver at given places of a scene that Sionna RT ships, or of one's own.

    Raises:
        RayTracingError: the paths aren't stored and Sionna RT isn't installed or fails, or there are none.
    """

    def __init__(self, spec: ChannelSpec) -> None:
        paths = stored_paths(spec)
        if not len(paths.delays_s):
            where = spec.ray_tracing
            raise RayTracingError(
                f"no path leads from tx_position_m {where.tx_position_m} to rx_position_m "
                f"{where.rx_position_m} in scene {where.scene!r} with max_depth {where.max_depth}: is one of "
                "them inside a building?"
            )
        power = np.square(np.abs(paths.gains)).mean(axis=(0, 1))
        self._gains = paths.gains / np.sqrt(power.sum())
        self._delays = torch.from_numpy(paths.delays_s)
        self._powers = torch.from_numpy((power / power.sum()).astype(np.float32))
        self._arrival = paths.arrival
        self._max_doppler_hz = spec.max_doppler_hz

    def impulse_responses(self, seeds: Sequence[int], num_steps: int, step_s: float) -> tuple[Tensor, Tensor]:
        """See `ChannelModel`."""
        generator = torch.Generator()
        drawn = [
            torch.rand(1 + len(self._delays), generator=generator.manual_seed(seed), dtype=torch.float64)
            for seed in seeds
        ]
        angles = 2 * math.pi * np.stack([numbers.numpy() for numbers in drawn])
        heading = np.stack([np.cos(angles[:, 0]), np.sin(angles[:, 0])], axis=-1)
        doppler_hz = self._max_doppler_hz * heading @ self._arrival[:, :2].T.astype(np.float64)
        time_s = step_s * np.arange(num_steps)
        phases = angles[:, 1:, None] + 2 * math.pi * doppler_hz[..., None] * time_s
        gains = self._gains[..., None] * np.exp(1j * phases)[:, None, None]
        return torch.from_numpy(gains.astype(np.complex64)), self._delays[None]

    def statistics(self) -> Statistics:
        """See `ChannelModel`; every path counts as a Jakes one, for the direction of motion is unknown."""
        return Statistics(self._delays, self._powers, self._max_doppler_hz)

    def transmit_correlation(self) -> Tensor:
        """See `ChannelModel`: exact, for the phases of paths are independent."""
        gains = torch.from_numpy(self._gains).to(torch.complex128)
        return torch.einsum("rip,rjp->ij", gains.conj(), gains) / len(gains)


def stored_paths(spec: ChannelSpec) -> Paths:
    """Return the paths of a spec from its file; the first time, solve them and write it."""
    file = paths_file(spec)
    if not file.exists():
        _solve(spec, file)
    with np.load(file) as arrays:
        return Paths(**{name: arrays[name] for name in ("gains", "delays_s", "arrival")})


def paths_file(spec: ChannelSpec) -> Path:
    """Where the paths of a spec are stored: the name is a hash of everything that they depend on."""
    content = hashlib.sha256(json.dumps(_request(spec), sort_keys=True).encode()).hexdigest()[:16]
    folder = spec.ray_tracing.paths_folder or cache_folder("ray_tracing")
    scene = spec.ray_tracing.scene
    return folder.expanduser() / f"{scene.stem if isinstance(scene, Path) else scene}-{content}.npz"


def scene_digest(scene: Path) -> str:
    """SHA-256 of a scene of one's own: its file and the meshes that it names."""
    text = scene.read_bytes()
    meshes = sorted(
        {scene.parent / name.decode() for name in re.findall(rb'value="([^"]+\.(?:ply|obj))"', text)}
    )
    digest = hashlib.sha256(text)
    for mesh in meshes:
        if mesh.is_file():
            digest.update(mesh.read_bytes())
    return digest.hexdigest()[:16]


def _request(spec: ChannelSpec) -> dict[str, object]:
    """What the solver is asked; neither speed nor anything random is part of it."""
    antennas = {
        name: getattr(spec, name)
        for name in (
            "carrier_frequency_hz",
            "num_tx_antennas",
            "num_rx_antennas",
            "antenna_polarization",
            "antenna_pattern",
        )
    }
    asked = spec.ray_tracing.model_dump(mode="json", exclude={"paths_folder"})
    scene = spec.ray_tracing.scene
    if isinstance(scene, Path):
        asked |= {"scene": str(scene.resolve()), "scene_files": scene_digest(scene)}
    return {"format": _FORMAT, **asked, **antennas}


def _solve(spec: ChannelSpec, file: Path) -> None:
    """Run the path solver in a process of its own."""
    if find_spec("mitsuba") is None or find_spec("sionna.rt") is None:
        raise RayTracingError(
            "channel model 'rt' needs Sionna RT, which is not installed: pip install 'semcom[rt]'"
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        request, result = Path(folder) / "request.json", Path(folder) / "paths.npz"
        request.write_text(json.dumps(_request(spec)))
        search = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        run = subprocess.run(
            [sys.executable, "-m", "channels.propagation.path_solver", str(request), str(result)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, search))},
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise RayTracingError(_reason(run.stderr))
        result.replace(file)


def _reason(stderr: str) -> str:
    """What went wrong in the solver, in a line or two."""
    lines = [line for line in stderr.strip().splitlines() if line.strip()] or ["no message"]
    if "LLVM" in stderr:
        found = next(line for line in lines if "LLVM" in line)
        return f"Sionna RT's path solver stopped ({found.strip()[:120]}): {_LLVM_HELP}"
    return f"Sionna RT's path solver stopped: {lines[-1]}"
