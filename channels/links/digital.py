"""The bit-exact link: packets through CRC, LDPC, QAM, OFDM, a 3GPP channel, and back.

    packet ─ CRC24A ─ segmentation ─ LDPC ─ rate matching ─ scrambling ─ QAM ─┐
                                                                    OFDM + channel + pilots
    packet or erasure ─ CRC check ─ LDPC decoder ─ LLR combining ─ demapper ──┘

A *burst* is all packets of one image: consecutive slots on one channel realisation. With HARQ, the packets
that failed are sent again some slots later on the same realisation.

Randomness: `seeds[i]` alone decides everything random about burst i, so it has the same erasures on its own,
in a batch, and in any order.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from channels.coding.rate_matching import RV_ORDER, LdpcCode, ldpc_code
from channels.coding.transport import TransportFormat, payload_part, reassemble, segment
from channels.links.grants import Payload, Scheduler, burst_snrs
from channels.links.report import ClassReport, Delivery, Doubtful
from channels.ofdm.front_end import Equalised, OfdmFrontEnd
from channels.spec import LinkSpec

if TYPE_CHECKING:
    from sionna.phy.mapping import Mapper

__all__ = ["ClassReport", "Delivery", "DigitalLink", "Payload"]


@dataclass
class _Packet:
    """A packet on its way: the grant, the sender's and the receiver's buffers, and what is counted."""

    burst: int
    payload: Payload
    format: TransportFormat
    code: LdpcCode
    bits: Tensor
    sent: Tensor = field(init=False)
    llr: Tensor = field(init=False)
    versions: list[int] = field(default_factory=list)
    received: bytes | None = None
    decoded: Tensor | None = None
    """Hard decisions, where the receiver wants them though wrong."""
    nats: float = 0.0
    """Capacity of all symbols sent."""
    decodings: int = 0
    iterations: int = 0
    coded_bit_errors: int = 0
    decoded_bit_errors: int = 0


class DigitalLink:
    """Sends packets over the channel of a spec, bit by bit.

    Args:
        spec: what is simulated.
        device: where channel, equaliser and demapper run. Channels and noise are drawn, and codes encoded and
            decoded, on the CPU whatever it is, so that results differ by the rounding of LLRs at most.
    """

    def __init__(self, spec: LinkSpec, device: str = "cpu") -> None:
        self.spec = spec
        self._device = device
        self._front_end = OfdmFrontEnd(spec.channel, spec.ofdm, device, spec.radio)
        self._scheduler = Scheduler(spec, self._front_end.num_data_res, self._front_end.num_pilot_res)

    def send(
        self, bursts: Sequence[Sequence[Payload]], snr_db: float | Sequence[float], seeds: Sequence[int]
    ) -> list[Delivery]:
        """Send bursts, each over its own channel realisation.

        Args:
            bursts: the packets of each image.
            snr_db: Es/N0 a resource element (see `channels.spec`), one for all or one a burst.
            seeds: one a burst.

        Raises:
            ValueError: an SNR that is not a finite number, an unknown protection class, an empty packet or
                burst, or a number of seeds or SNRs other than that of bursts.
        """
        snrs = burst_snrs(bursts, snr_db, seeds)
        packets = [self._packet(i, payload) for i, burst in enumerate(bursts) for payload in burst]
        self._encode(packets)
        uses, pilot_uses, next_slot = [0] * len(bursts), [0] * len(bursts), [0] * len(bursts)
        first: list[Equalised] = []
        active = packets
        for round_index in range(max(c.harq_rounds for c in self.spec.classes.values())):
            active = [p for p in active if p.received is None and round_index < self._rounds(p)]
            if not active:
                break
            chase = self.spec.harq_combining == "chase"
            rv = 0 if chase else RV_ORDER[round_index]
            of_round = self._transmit(active, rv, snrs, seeds, next_slot)
            first = first or of_round
            self._decode(active)
            for burst, members in _by_burst(active).items():
                res = sum(p.format.num_resource_elements for p in members)
                uses[burst] += self._scheduler.channel_uses(res)
                pilot_uses[burst] += self._scheduler.channel_uses(res) - res
                next_slot[burst] += self._scheduler.num_slots(res) + self.spec.harq_round_trip_slots
        members_of = _by_burst(packets)
        return [
            Delivery(
                payloads=tuple(p.received for p in members_of[i]),
                classes=self._report(members_of[i]),
                channel_uses=uses[i],
                pilot_uses=pilot_uses[i],
                snr_db=snrs[i],
                channel_nmse=float(first[i].channel_nmse),
                radio=first[i].radio,
                latency_slots=next_slot[i] - self.spec.harq_round_trip_slots,
                slot_s=self.spec.ofdm.slot_duration_s,
                doubtful={k: _doubtful(p) for k, p in enumerate(members_of[i]) if _is_wished(p)},
            )
            for i in range(len(bursts))
        ]

    def channel_uses(self, sizes: Iterable[tuple[str, int]]) -> int:
        """Count the resource elements of a burst's first transmissions, exactly, without simulating.

        Args:
            sizes: (protection class, bytes) of each packet.
        """
        return self._scheduler.burst_channel_uses(sizes)

    def _rounds(self, packet: _Packet) -> int:
        return self.spec.classes[packet.payload.protection_class].harq_rounds

    def _packet(self, burst: int, payload: Payload) -> _Packet:
        fmt = self._scheduler.format(payload.protection_class, len(payload.data))
        code = ldpc_code(
            fmt.base_graph,
            fmt.k,
            fmt.n,
            fmt.mcs.bits_per_symbol,
            self.spec.num_ldpc_iterations,
        )
        bits = torch.from_numpy(segment(payload.data, fmt))
        return _Packet(burst, payload, fmt, code, bits)

    def _encode(self, packets: list[_Packet]) -> None:
        for code, members in _by_code(packets).items():
            buffers = code.encode(torch.cat([p.bits for p in members]))
            for packet, buffer in zip(members, buffers.split([len(p.bits) for p in members]), strict=True):
                packet.sent, packet.llr = buffer, torch.zeros_like(buffer)

    def _transmit(
        self,
        packets: list[_Packet],
        rv: int,
        snrs: Sequence[float],
        seeds: Sequence[int],
        first_slots: Sequence[int],
    ) -> list[Equalised]:
        """Send one redundancy version of each packet and add what is received into its LLR buffer.

        Returns what the front end made of each burst.
        """
        coded = [p.code.transmit(p.sent, rv) for p in packets]
        symbols = _map(packets, coded)
        streams, positions = self.spec.ofdm.num_streams, {id(p): i for i, p in enumerate(packets)}
        bursts, grids, amplitudes = _by_burst(packets), [], []
        for members in bursts.values():
            scales = self._scheduler.amplitudes(
                [p.format.num_resource_elements for p in members],
                [p.payload.protection_class for p in members],
            )
            grids.append(
                self._scheduler.to_slots([symbols[positions[id(p)]].reshape(-1, streams) for p in members])
            )
            amplitudes.append(
                self._scheduler.to_slots(
                    [
                        torch.full((p.format.num_resource_elements, 1), a)
                        for p, a in zip(members, scales.tolist(), strict=True)
                    ],
                    empty=1.0,
                )[..., 0]
            )
        equalised = self._front_end.send(
            grids,
            [snrs[b] for b in bursts],
            [seeds[b] for b in bursts],
            [first_slots[b] for b in bursts],
            amplitudes,
        )
        estimates: list[tuple[Tensor, Tensor]] = [(Tensor(), Tensor())] * len(packets)
        for members, received in zip(bursts.values(), equalised, strict=True):
            sizes = [p.format.num_resource_elements for p in members]
            flat = [
                t.flatten(0, 1)[: sum(sizes)].split(sizes)
                for t in (received.symbols, received.noise_variance, received.sinr)
            ]
            for p, s, v, sinr in zip(members, *flat, strict=True):
                estimates[positions[id(p)]] = (s.flatten(), v.flatten())
                # In double precision, where even the capacity of -50 dB is more than nothing
                p.nats += float(sinr.double().log1p().sum())
        for packet, bits, llr in zip(packets, coded, _demap(packets, estimates), strict=True):
            packet.code.combine(packet.llr, llr, rv)
            packet.versions.append(rv)
            packet.coded_bit_errors += int(((llr > 0) != bits.bool()).sum())
        return equalised

    def _decode(self, packets: list[_Packet]) -> None:
        for code, members in _by_code(packets).items():
            decoded = code.decode(torch.cat([p.llr for p in members]), members[0].versions)
            sizes = [len(p.bits) for p in members]
            parts = zip(members, decoded.bits.split(sizes), decoded.iterations.split(sizes), strict=True)
            for packet, bits, iterations in parts:
                hard = bits.to(torch.uint8)
                packet.decoded_bit_errors = int((hard != packet.bits).sum())
                packet.decodings += len(bits)
                packet.iterations += int(iterations.sum())
                packet.received = reassemble(hard.numpy(), packet.format)
                if packet.payload.delivery != "erase":
                    packet.decoded = hard

    def _report(self, packets: list[_Packet]) -> dict[str, ClassReport]:
        by_class: dict[str, list[_Packet]] = defaultdict(list)
        for packet in packets:
            by_class[packet.payload.protection_class].append(packet)
        return {name: _class_report(members) for name, members in by_class.items()}


def _is_wished(packet: _Packet) -> bool:
    return packet.received is None and packet.decoded is not None


def _doubtful(packet: _Packet) -> Doubtful:
    assert packet.decoded is not None
    bits = payload_part(packet.decoded.numpy(), packet.format)
    llrs = None
    if packet.payload.delivery == "llr":
        soft = packet.code.decode(packet.llr, packet.versions, soft=True).bits.numpy()
        llrs = payload_part(soft, packet.format).astype(np.float32)
    return Doubtful(np.packbits(bits).tobytes(), llrs)


def _class_report(packets: list[_Packet]) -> ClassReport:
    lost = [p for p in packets if p.received is None]
    rounds = max(len(p.versions) for p in packets)
    symbols = sum(p.format.num_symbols * len(p.versions) for p in packets)
    nats = sum(p.nats for p in packets) / symbols
    mcs = packets[0].format.mcs
    return ClassReport(
        mcs=mcs.index,
        modulation=mcs.modulation,
        code_rate=mcs.code_rate,
        packets=len(packets),
        lost=len(lost),
        bits=sum(8 * len(p.payload.data) for p in packets),
        delivered_bits=sum(8 * len(p.received) for p in packets if p.received is not None),
        channel_uses=sum(p.format.num_resource_elements * len(p.versions) for p in packets),
        transmissions=tuple(sum(len(p.versions) > r for p in packets) for r in range(rounds)),
        effective_sinr_db=10 * math.log10(math.expm1(nats)),
        coded_bits=sum(
            p.format.num_symbols * p.format.mcs.bits_per_symbol * len(p.versions) for p in packets
        ),
        coded_bit_errors=sum(p.coded_bit_errors for p in packets),
        decodings=sum(p.decodings for p in packets),
        decoder_iterations=sum(p.iterations for p in packets),
        decoded_bits=sum(p.bits.numel() for p in packets),
        decoded_bit_errors=sum(p.decoded_bit_errors for p in packets),
    )


def _by_burst(packets: list[_Packet]) -> dict[int, list[_Packet]]:
    groups: dict[int, list[_Packet]] = defaultdict(list)
    for packet in packets:
        groups[packet.burst].append(packet)
    return groups


def _by_code(packets: list[_Packet]) -> dict[LdpcCode, list[_Packet]]:
    groups: dict[LdpcCode, list[_Packet]] = defaultdict(list)
    for packet in packets:
        groups[packet.code].append(packet)
    return groups


def _by_modulation(packets: list[_Packet]) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for i, packet in enumerate(packets):
        groups[packet.format.mcs.bits_per_symbol].append(i)
    return groups


def _map(packets: list[_Packet], coded: list[Tensor]) -> list[Tensor]:
    """QAM symbols of each packet, one call a modulation."""
    symbols: list[Tensor] = [Tensor()] * len(packets)
    for order, indices in _by_modulation(packets).items():
        mapped = mapper(order, "cpu")(torch.cat([coded[i].flatten() for i in indices]).float())
        parts = mapped.split([packets[i].format.num_symbols for i in indices])
        for i, part in zip(indices, parts, strict=True):
            symbols[i] = part
    return symbols


def _demap(packets: list[_Packet], estimates: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """LLRs [code blocks, n] of each packet, on the CPU, one call a modulation."""
    llrs: list[Tensor] = [Tensor()] * len(packets)
    for order, indices in _by_modulation(packets).items():
        y = torch.cat([estimates[i][0] for i in indices])
        llr = demapper(order, y.device.type)(y, torch.cat([estimates[i][1] for i in indices])).cpu()
        parts = llr.split([packets[i].format.num_symbols * order for i in indices])
        for i, part in zip(indices, parts, strict=True):
            llrs[i] = part.reshape(packets[i].format.num_code_blocks, -1)
    return llrs


@lru_cache
def mapper(bits_per_symbol: int, device: str) -> Mapper:
    """Return Sionna's Gray-labelled QAM mapper (TS 38.211 §5.1)."""
    from sionna.phy.mapping import Mapper

    return Mapper("qam", bits_per_symbol, precision="single", device=device)


class QamDemapper:
    """Exact (log-sum-exp) LLRs of Gray-labelled square QAM.

    Its even bits are those of the real part and its odd bits those of the imaginary one (TS 38.211 §5.1), so
    two of Sionna's demappers for amplitudes do what one over all points would, in a fraction of the time.
    """

    def __init__(self, bits_per_symbol: int, device: str) -> None:
        from sionna.phy.mapping import Demapper

        self._demapper = Demapper("app", "pam", bits_per_symbol // 2, precision="single", device=device)

    def __call__(self, y: Tensor, no: Tensor) -> Tensor:
        """LLRs [..., n * bits_per_symbol] of symbols `y` [..., n] with noise variances `no`, same shape."""
        # Sionna's amplitudes have unit energy on their own, those of a QAM half of it
        amplitudes = 2**0.5 * torch.stack([y.real, y.imag])
        llr = self._demapper(amplitudes.to(y.dtype), 2 * no.expand_as(amplitudes))
        return llr.unflatten(-1, (y.shape[-1], -1)).movedim(0, -1).flatten(-3)


@lru_cache
def demapper(bits_per_symbol: int, device: str) -> QamDemapper:
    """Return the demapper of a modulation."""
    return QamDemapper(bits_per_symbol, device)
