"""A channel of one's own: two rays of equal power, the second late by the option `late_ns`."""

import torch

from channels.propagation.base import Statistics


class TwoRay:
    """Two Rayleigh-fading rays of equal power."""

    def __init__(self, spec):
        self.delays = torch.tensor([0.0, 1e-9 * spec.options.get("late_ns", 200)])
        self.antennas = spec.num_rx_antennas, spec.num_tx_antennas

    def impulse_responses(self, seeds, num_steps, step_s):
        """Gains [seeds, rx, tx, paths, steps] of mean power one, and delays [1, paths]."""
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        shape = (*self.antennas, 2, 1)
        gains = torch.stack([torch.randn(shape, dtype=torch.complex64, generator=g) for g in generators])
        return (gains / 2**0.5).expand(-1, -1, -1, -1, num_steps), self.delays[None]

    def statistics(self):
        """What a receiver may know beforehand: delays, powers, Doppler."""
        return Statistics(self.delays, torch.tensor([0.5, 0.5]), 0.0)
