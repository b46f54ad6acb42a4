"""A channel model of one's own: two Rayleigh paths of equal power, 300 ns apart, constant over a burst."""

import torch

from channels.propagation.base import Statistics
from channels.propagation.registry import Entry


class TwoPaths:
    """See `channels.propagation.base.ChannelModel`."""

    def __init__(self, spec):
        self.antennas = spec.num_rx_antennas, spec.num_tx_antennas
        self.delays_s = torch.tensor([0.0, 300e-9])

    def impulse_responses(self, seeds, num_steps, step_s):
        """Gains [seeds, rx, tx, paths, steps] and delays [1, paths]."""
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        gains = [torch.randn(*self.antennas, 2, dtype=torch.complex64, generator=d) / 2**0.5 for d in draws]
        return torch.stack(gains)[..., None].expand(-1, -1, -1, -1, num_steps), self.delays_s[None]

    def statistics(self):
        """What the receiver knows beforehand."""
        return Statistics(self.delays_s, torch.tensor([0.5, 0.5]), 0.0)

    def transmit_correlation(self):
        """Independent antennas."""
        return torch.eye(self.antennas[1], dtype=torch.complex128)


ENTRY = Entry("two Rayleigh paths of equal power, 300 ns apart", TwoPaths)
