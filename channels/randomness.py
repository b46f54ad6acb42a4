"""Seeds: what is random is a function of a trial's seed and of nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

_sionna_rng = threading.Lock()
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def derive_seed(seed: int, *purpose: int) -> int:
    """Derive the independent 64-bit seed of one purpose (channel, noise of a slot) from a trial's seed."""
    return int(np.random.SeedSequence([seed, *purpose]).generate_state(1, np.uint64)[0])


def counter_uniforms(seed: NDArray[np.uint64], stream: int, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) that depend on their own (seed, stream, index) alone, many at a time.

    SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): seed and stream choose the state, the index counts on.
    """
    with np.errstate(over="ignore"):
        state = _mixed(_mixed(seed) + _GOLDEN * np.uint64(stream + 1))
        bits = _mixed(state + _GOLDEN * (index.astype(np.uint64) + np.uint64(1)))
    return np.asarray((bits >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@contextmanager
def seeded_sionna(seed: int) -> Iterator[None]:
    """Run Sionna code as if its global generators had just been seeded, then put them back as they were."""
    from sionna.phy import config

    with _sionna_rng:
        previous = config.seed
        python, numpy_state = config.py_rng.getstate(), config.np_rng.bit_generator.state
        explicit = {device: config.torch_rng(device).get_state() for device in config.available_devices}
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        default = torch.get_rng_state()
        try:
            config.seed = seed
            yield
        finally:
            config.seed = previous
            config.py_rng.setstate(python)
            config.np_rng.bit_generator.state = numpy_state
            for device, state in explicit.items():
                config.torch_rng(device).set_state(state)
            if cuda:
                torch.cuda.set_rng_state_all(cuda)
            torch.set_rng_state(default)
