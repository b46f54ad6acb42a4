"""What a link says about a burst: what arrived, and what each protection class cost and achieved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from channels.impairments.report import RadioReport


@dataclass(frozen=True, kw_only=True)
class BurstReport:
    """What every link says of one protection class over one burst, packets or not."""

    packets: int = 0
    lost: int = 0
    channel_uses: int
    """Data resource elements of all transmissions; pilots are counted for the burst only."""
    effective_sinr_db: float | None
    """The constant SINR with the mean capacity of the class's symbols after equalisation: the true one, from
    the channel itself, not what the receiver believes. None where no channel is simulated."""

    def as_json(self) -> dict[str, Any]:
        """Every field as plain data, and what follows from them."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class AnalogReport(BurstReport):
    """The values of a burst that travelled uncoded."""

    values: int
    mean_square_error: float
    """Of the values received, in truth."""


@dataclass(frozen=True, kw_only=True)
class ClassReport(BurstReport):
    """One protection class over one burst. Counts rather than rates, so that reports can be added up."""

    mcs: int
    modulation: str
    code_rate: float
    bits: int
    """Payload bits handed to the link."""
    delivered_bits: int
    transmissions: tuple[int, ...]
    """Packets sent in round 1, 2, ...: the first is `packets`, later ones are HARQ retransmissions."""
    coded_bits: int = 0
    coded_bit_errors: int = 0
    """Among `coded_bits`, hard decisions before decoding that are wrong (bit-exact link only)."""
    decoded_bits: int = 0
    decoded_bit_errors: int = 0
    """Among `decoded_bits`, information bits that are wrong after the last round (bit-exact link only)."""
    decodings: int = 0
    decoder_iterations: int = 0
    """Of the LDPC decoder, over all `decodings` of code blocks (bit-exact link only)."""

    def as_json(self) -> dict[str, Any]:
        """See `BurstReport`. No interval: the packets of a burst share its fade."""
        return asdict(self) | {"bler": self.bler, "mean_transmissions": self.mean_transmissions}

    @property
    def bler(self) -> float:
        """Block (packet) error rate after all HARQ rounds."""
        return self.lost / self.packets

    @property
    def mean_transmissions(self) -> float:
        """Transmissions a packet took on average."""
        return sum(self.transmissions) / self.packets


@dataclass(frozen=True)
class Doubtful:
    """A packet whose CRC failed, delivered because its receiver wished it."""

    data: bytes
    """As decoded, errors included."""
    llrs: NDArray[np.float32] | None
    """[8 * len(data)], ln p(1)/p(0) of every bit after decoding; of a block that doesn't decode they are more
    certain than they should be."""


@dataclass(frozen=True)
class Delivery:
    """One burst at the receiver."""

    payloads: tuple[bytes | None, ...]
    """In the order sent; None where the packet is lost."""
    classes: Mapping[str, ClassReport]
    channel_uses: int
    """Complex resource elements spent: data with CRC and parity, retransmissions, and pilots."""
    pilot_uses: int
    """The part of `channel_uses` that are pilots."""
    snr_db: float
    channel_nmse: float | None
    """Squared error of the channel estimate over the channel's power, in the first round, in truth; zero with
    perfect CSI, None where nothing is estimated (abstraction)."""
    radio: RadioReport | None = None
    """What an impaired radio did in the first round; None of an ideal one."""
    doubtful: Mapping[int, Doubtful] = field(default_factory=dict)
    """By place in `payloads`: lost packets that were wished with their errors (`Payload.delivery`)."""
    latency_slots: int = 0
    """From the first slot to the end of the last round, the round trips of HARQ included."""
    slot_s: float = 0.0

    def figures(self) -> dict[str, float | int | None]:
        """Latency, throughput and energy of the burst.

        Throughput is of delivered payload bits over the latency. Energy a delivered bit is in units of N0 and
        counts every resource element spent, pilots and retransmissions included: channel uses x Es / N0 /
        bits. Both are None where nothing was delivered.
        """
        bits = sum(8 * len(data) for data in self.payloads if data is not None)
        energy = self.channel_uses * 10 ** (self.snr_db / 10)
        latency_s = self.latency_slots * self.slot_s
        return {
            "latency_slots": self.latency_slots,
            "latency_ms": 1e3 * latency_s,
            "throughput_mbps": bits / latency_s / 1e6 if bits else None,
            "energy_per_bit_db": 10 * math.log10(energy / bits) if bits else None,
        }


def wilson_interval(errors: float, trials: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion (Wilson, JASA 1927); counts need not be whole."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate, scale = errors / trials, 1 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / scale
    half = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials)) / scale
    return (0.0 if errors == 0 else centre - half, 1.0 if errors == trials else centre + half)
