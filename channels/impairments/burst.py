"""An impaired radio over one call of the front end: what it does to the grids, and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from channels.impairments.chain import RadioChain
from channels.impairments.report import RadioReport


class RadioBurst:
    """Of bursts of `num_slots` slots, from `first_slots` of their realisations on."""

    def __init__(
        self, chain: RadioChain, seeds: Sequence[int], first_slots: Sequence[int], num_slots: Sequence[int]
    ) -> None:
        self._chain, self._num_slots = chain, list(num_slots)
        runs = list(zip(seeds, first_slots, num_slots, strict=True))
        self._seeds = [seed for seed, _, count in runs for _ in range(count)]
        self._slots = [first + i for _, first, count in runs for i in range(count)]

    def transmit(self, grid: Tensor) -> Tensor:
        """Grids [slots, streams, symbols, subcarriers] as they leave the transmitter."""
        self._sent = self._chain.transmit(grid)
        return self._sent.grid

    def receive(self, y: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Received grids [slots, rx, symbols, subcarriers] behind the receiver's chain, and the channel
        [slots, rx, streams, symbols, subcarriers] with the gains and phases of both chains in it.
        """
        got = self._chain.receive(y, self._seeds, self._slots)
        gain = (self._sent.gain * got.gain)[:, None, None, :, None] * self._chain.ramp.to(h)
        self.evm_squared = (self._sent.evm_squared + got.evm_squared).detach().float()
        return got.grid, h * gain.to(h)

    def reports(self) -> list[RadioReport]:
        """One a burst."""
        papr_db = self._sent.papr_db
        assert papr_db is not None
        parts = (values.split(self._num_slots) for values in (self.evm_squared, papr_db))
        return [RadioReport(float(e.mean().sqrt()), float(p.mean())) for e, p in zip(*parts, strict=True)]
