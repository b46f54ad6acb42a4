"""The scheduler's side of a burst: which transport format each packet gets and where its symbols go."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from channels.coding.mcs import Mcs, mcs
from channels.coding.transport import TransportFormat, transport_format
from channels.spec import LinkSpec

Floats = NDArray[np.float64]
DeliveryKind = Literal["erase", "bits", "llr"]


@dataclass(frozen=True)
class Payload:
    """One opaque packet: it arrives whole or not at all, unless its receiver wants it with its errors."""

    data: bytes
    protection_class: str
    delivery: DeliveryKind = "erase"
    """What is given of it where its CRC fails: nothing, the decoded bits, or these with their LLRs."""


class Scheduler:
    """Grants of a link: sizes to transport formats, resource elements and slots."""

    def __init__(self, spec: LinkSpec, num_data_res: int, num_pilot_res: int) -> None:
        self._spec = spec
        self._num_data_res, self._num_pilot_res = num_data_res, num_pilot_res
        self.mcs: Mapping[str, Mcs] = {name: mcs(spec.mcs_table, c.mcs) for name, c in spec.classes.items()}

    def format(self, protection_class: str, num_bytes: int) -> TransportFormat:
        """Return the transport format of a packet.

        Raises:
            ValueError: the class is not in the spec, or the packet is empty.
        """
        if protection_class not in self.mcs:
            raise ValueError(
                f"protection class {protection_class!r} is not one of the link's: {', '.join(self.mcs)}"
            )
        return transport_format(num_bytes, self.mcs[protection_class], self._spec.ofdm.num_streams)

    def num_slots(self, num_resource_elements: int) -> int:
        """Slots that so many data resource elements occupy."""
        return math.ceil(num_resource_elements / self._num_data_res)

    def channel_uses(self, num_resource_elements: int) -> int:
        """Data resource elements plus the pilots of every slot they touch; empty ones aren't counted."""
        return num_resource_elements + self.num_slots(num_resource_elements) * self._num_pilot_res

    def burst_channel_uses(self, sizes: Iterable[tuple[str, int]]) -> int:
        """Channel uses of the first transmissions of packets given as (protection class, bytes)."""
        return self.channel_uses(sum(self.format(name, size).num_resource_elements for name, size in sizes))

    def amplitudes(
        self, resource_elements: Sequence[int] | NDArray[np.int64], classes: Sequence[str]
    ) -> Floats:
        """Amplitude of each packet's symbols: its class's power boost, the burst's mean power one.

        The mean is over the resource elements of all packets that are sent together, a burst of several slots
        and not an OFDM symbol, and it is one again in every HARQ round: where only the boosted class is sent
        again, nothing is boosted. Pilots stay at power one.
        """
        boosts = {name: 10 ** (c.power_boost_db / 10) for name, c in self._spec.classes.items()}
        powers = np.array([boosts[name] for name in classes])
        return np.asarray(np.sqrt(powers / np.average(powers, weights=resource_elements)))

    def to_slots(self, symbols: Sequence[Tensor], empty: float = 0.0) -> Tensor:
        """Lay packets' symbols [resource elements, streams] one after the other into slots.

        Returns [num_slots, num_data_res, streams]; the rest of the last slot is `empty`.
        """
        flat = torch.cat(list(symbols))
        missing = self.num_slots(len(flat)) * self._num_data_res - len(flat)
        return torch.nn.functional.pad(flat, (0, 0, 0, missing), value=empty).unflatten(
            0, (-1, self._num_data_res)
        )


def burst_snrs(
    bursts: Sequence[Sequence[object]] | Sequence[Tensor],
    snr_db: float | Sequence[float],
    seeds: Sequence[int],
) -> list[float]:
    """Check the arguments of a link's `send` and return one SNR a burst."""
    snrs = list(snr_db) if isinstance(snr_db, Sequence | np.ndarray) else [snr_db] * len(bursts)
    if len(snrs) != len(bursts) or len(seeds) != len(bursts):
        raise ValueError(
            f"snr_db and seeds must hold one value a burst: {len(bursts)} bursts, {len(snrs)} SNRs, "
            f"{len(seeds)} seeds"
        )
    for seed in seeds:
        if seed < 0:
            raise ValueError(f"seeds must be whole numbers from 0 on, not {seed}")
    for snr in snrs:
        if not math.isfinite(snr) or not -50 <= snr <= 100:
            raise ValueError(f"snr_db must be a number from -50 to 100 dB, not {snr}")
    if any(len(burst) == 0 for burst in bursts):
        raise ValueError("a burst must hold at least 1 packet")
    return [float(snr) for snr in snrs]
