"""The abstract link: erasures drawn from post-equalisation SINRs, without coding a single bit.

    realisation of the seed ─ LMMSE SINR a resource element ─ EESM a packet ─ BLER table ─ a biased coin

Same arguments, same reports and, for the same seeds, the same channel realisations as `DigitalLink`; what
differs is that noise and decoder are replaced by their statistics. Several hundred times less work a packet
in large bursts, so that sweeps can be wide.

What is approximated: channel-estimation errors count as noise; SINRs are sampled on at most 64 subcarriers,
and once a slot where the channel moves slowly; incremental redundancy adds up capacity (Chase combining:
SINR).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from channels.effective_sinr import packet_error_rate, waterfall
from channels.grants import Payload, Scheduler, burst_snrs
from channels.ofdm import OfdmFrontEnd
from channels.randomness import derive_seed
from channels.report import ClassReport, Delivery
from channels.spec import LinkSpec
from channels.transport import TransportFormat

Floats = NDArray[np.float64]

_ERASURES = 2
_SUBCARRIER_SAMPLES = 64
# Below this Doppler shift times slot duration, one sample a slot will do
_SLOW = 0.1
_MOTHER_RATE = {"bg1": 1 / 3, "bg2": 1 / 5}


@dataclass
class _Packet:
    payload: Payload
    format: TransportFormat
    sinr: float = 0.0
    sinrs: tuple[float, ...] = ()
    received: bool = False


class AbstractLink:
    """Draws which packets of a burst are lost."""

    def __init__(self, spec: LinkSpec) -> None:
        self.spec = spec
        self._front_end = OfdmFrontEnd(spec.channel, spec.ofdm)
        self._scheduler = Scheduler(spec, self._front_end.num_data_res, self._front_end.num_pilot_res)
        self._sampler = _SinrSampler(spec, self._front_end)

    def send(
        self, bursts: Sequence[Sequence[Payload]], snr_db: float | Sequence[float], seeds: Sequence[int]
    ) -> list[Delivery]:
        """Send bursts, each over its own channel realisation; arguments and errors as `DigitalLink.send`."""
        snrs = burst_snrs(bursts, snr_db, seeds)
        return [self._send(burst, snr, seed) for burst, snr, seed in zip(bursts, snrs, seeds, strict=True)]

    def channel_uses(self, sizes: Iterable[tuple[str, int]]) -> int:
        """Count the resource elements of a burst's first transmissions; as `DigitalLink.channel_uses`."""
        return self._scheduler.burst_channel_uses(sizes)

    def bits_per_channel_use(self, protection_class: str) -> float:
        """Payload bits that a channel use carries; as `DigitalLink.bits_per_channel_use`."""
        return self._scheduler.bits_per_channel_use(protection_class)

    def error_probabilities(self, sizes: Sequence[tuple[str, int]], snr_db: float, seed: int) -> Floats:
        """Probability that each packet's first transmission fails on the realisation of `seed`, [packets]."""
        formats = [self._scheduler.format(name, num_bytes) for name, num_bytes in sizes]
        sinrs = self._effective_sinrs(formats, [name for name, _ in sizes], snr_db, seed, 0)
        return np.array([packet_error_rate(f, float(s)) for f, s in zip(formats, sinrs, strict=True)])

    def _send(self, burst: Sequence[Payload], snr_db: float, seed: int) -> Delivery:
        packets = [_Packet(p, self._scheduler.format(p.protection_class, len(p.data))) for p in burst]
        uses = pilot_uses = slot = 0
        for round_index in range(max(c.harq_rounds for c in self.spec.classes.values())):
            draws = np.random.default_rng(derive_seed(seed, _ERASURES, round_index)).random(len(packets))
            active = [
                i
                for i, p in enumerate(packets)
                if not p.received and round_index < self.spec.classes[p.payload.protection_class].harq_rounds
            ]
            if not active:
                break
            members = [packets[i] for i in active]
            names = [p.payload.protection_class for p in members]
            sinrs = self._effective_sinrs([p.format for p in members], names, snr_db, seed, slot)
            for packet, sinr, draw in zip(members, sinrs, draws[active], strict=True):
                packet.sinrs += (float(sinr),)
                packet.sinr = self._combined(packet)
                packet.received = bool(draw >= packet_error_rate(packet.format, packet.sinr))
            res = sum(p.format.num_resource_elements for p in members)
            uses += self._scheduler.channel_uses(res)
            pilot_uses += self._scheduler.channel_uses(res) - res
            slot += self._scheduler.num_slots(res) + self.spec.harq_round_trip_slots
        return Delivery(
            payloads=tuple(p.payload.data if p.received else None for p in packets),
            classes=_reports(packets),
            channel_uses=uses,
            pilot_uses=pilot_uses,
            snr_db=snr_db,
        )

    def _combined(self, packet: _Packet) -> float:
        """Effective SINR of all transmissions so far."""
        rate_left = packet.format.mcs.code_rate / len(packet.sinrs)
        new_bits = rate_left >= _MOTHER_RATE[packet.format.base_graph]
        if self.spec.harq_combining == "incremental-redundancy" and new_bits:
            return float(np.prod(1 + np.array(packet.sinrs)) - 1)
        return sum(packet.sinrs)

    def _effective_sinrs(
        self,
        formats: Sequence[TransportFormat],
        names: Sequence[str],
        snr_db: float,
        seed: int,
        first_slot: int,
    ) -> Floats:
        """EESM over each packet's resource elements, linear, [packets]."""
        sizes = np.array([fmt.num_resource_elements for fmt in formats])
        edges = np.concatenate([[0], np.cumsum(sizes)])
        num_slots = self._scheduler.num_slots(int(edges[-1]))
        sinr = self._sampler.sinr(snr_db, seed, first_slot, num_slots)
        powers = np.square(self._scheduler.amplitudes(formats, names))
        betas = np.array([waterfall(fmt.mcs).eesm_beta for fmt in formats])
        result = np.empty(len(formats))
        for beta, power in {*zip(betas, powers, strict=True)}:
            chosen = (betas == beta) & (powers == power)
            # Mean of exp(-sinr / beta) over the band and the streams, for every OFDM symbol of data
            symbols = np.exp(-power * sinr / beta).mean(axis=-1)
            cumulative = np.concatenate([[0.0], np.cumsum(symbols)]) * self.spec.ofdm.num_subcarriers
            integral = np.interp(
                edges, np.arange(len(cumulative)) * self.spec.ofdm.num_subcarriers, cumulative
            )
            mean = np.diff(integral)[chosen] / sizes[chosen]
            result[chosen] = -beta * np.log(np.maximum(mean, 1e-300))
        return result


class _SinrSampler:
    """SINRs after LMMSE equalisation on a thinned resource grid."""

    def __init__(self, spec: LinkSpec, front_end: OfdmFrontEnd) -> None:
        ofdm = spec.ofdm
        self._front_end = front_end
        self._data_symbols = [t for t in range(ofdm.num_ofdm_symbols) if t not in ofdm.pilot_symbols]
        step = -(-ofdm.num_subcarriers // _SUBCARRIER_SAMPLES)
        self._subcarriers = torch.arange(step // 2, ofdm.num_subcarriers, step)
        slow = spec.channel.max_doppler_hz * ofdm.slot_duration_s < _SLOW
        self._samples_a_slot = 1 if slow else ofdm.num_ofdm_symbols

    def sinr(self, snr_db: float, seed: int, first_slot: int, num_slots: int) -> Floats:
        """SINRs, linear: [num_slots * data symbols a slot, subcarrier samples * streams]."""
        no = torch.tensor([10 ** (-snr_db / 10)])
        error = self._front_end.error_variance(no)[0].sum(dim=0)[self._data_symbols][:, self._subcarriers]
        h = self._front_end.sampled_channel(
            seed, num_slots, first_slot, self._samples_a_slot, self._subcarriers
        )
        # h: [slots, rx, streams, samples a slot, subcarriers]
        if self._samples_a_slot > 1:
            h = h[:, :, :, self._data_symbols]
        noise = no + error
        if h.shape[1:3] == (1, 1):
            sinr = h[:, 0, 0].abs().square() / noise
            return sinr.reshape(-1, sinr.shape[-1]).double().numpy()
        h = h.permute(0, 3, 4, 1, 2)
        gram = h.mH @ h / noise[..., None, None]
        eye = torch.eye(h.shape[-1], dtype=gram.dtype)
        # Of the MMSE receiver: 1 / [(I + H^H H / N0)^-1]_kk - 1
        residual = torch.linalg.inv(eye + gram).diagonal(dim1=-2, dim2=-1).real
        sinr = (1 / residual - 1).clamp_min(0).flatten(-2)
        return sinr.reshape(-1, sinr.shape[-1]).double().numpy()


def _reports(packets: Sequence[_Packet]) -> dict[str, ClassReport]:
    return {
        name: _class_report([p for p in packets if p.payload.protection_class == name])
        for name in dict.fromkeys(p.payload.protection_class for p in packets)
    }


def _class_report(packets: Sequence[_Packet]) -> ClassReport:
    sent = [(p, s) for p in packets for s in p.sinrs]
    symbols = sum(p.format.num_symbols for p, _ in sent)
    capacity = sum(float(np.log2(1 + s)) * p.format.num_symbols for p, s in sent) / symbols
    mcs = packets[0].format.mcs
    return ClassReport(
        mcs=mcs.index,
        modulation=mcs.modulation,
        code_rate=mcs.code_rate,
        packets=len(packets),
        lost=sum(not p.received for p in packets),
        bits=sum(8 * len(p.payload.data) for p in packets),
        delivered_bits=sum(8 * len(p.payload.data) for p in packets if p.received),
        channel_uses=sum(p.format.num_resource_elements for p, _ in sent),
        transmissions=tuple(
            sum(len(p.sinrs) > r for p in packets) for r in range(max(len(p.sinrs) for p in packets))
        ),
        effective_sinr_db=float(10 * np.log10(np.maximum(2**capacity - 1, 1e-12))),
    )
