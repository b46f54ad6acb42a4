"""Seeds: what is random is a function of a trial's seed and of nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

_sionna_rng = threading.Lock()


def derive_seed(seed: int, *purpose: int) -> int:
    """Derive the independent 64-bit seed of one purpose (channel, noise of a slot) from a trial's seed."""
    return int(np.random.SeedSequence([seed, *purpose]).generate_state(1, np.uint64)[0])


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
