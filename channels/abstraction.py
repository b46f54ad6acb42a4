"""The abstract link: erasures drawn from post-equalisation SINRs, without coding a single bit.

    realisation of the seed ─ LMMSE SINR a resource element ─ EESM a packet ─ BLER table ─ a biased coin

Same arguments, same reports and, for the same seeds, the same channel realisations as `DigitalLink`; what
differs is that noise and decoder are replaced by their statistics, so that sweeps can be wide.

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

from channels.effective_sinr import Floats, packet_error_rate, waterfall
from channels.grants import Payload, Scheduler, burst_snrs
from channels.ofdm import OfdmFrontEnd
from channels.randomness import derive_seed
from channels.report import ClassReport, Delivery
from channels.spec import LinkSpec
from channels.transport import TransportFormat

_ERASURES = 2
_SUBCARRIER_SAMPLES = 64
# Below this Doppler shift times slot duration, one sample a slot will do
_SLOW = 0.1
_MOTHER_RATE = {"bg1": 1 / 3, "bg2": 1 / 5}


@dataclass
class _Burst:
    """Packets of a burst as arrays; packets of equal class and size share a transport format."""

    names: list[str]
    formats: list[TransportFormat]
    which: NDArray[np.int64]
    """Index into `formats`, [packets]."""
    received: NDArray[np.bool_]
    sinrs: list[Floats]
    """Effective SINR of each round, [packets]; zero for packets that it didn't send again."""

    def of_packet(self, values: Iterable[float]) -> Floats:
        """Spread one value a format over the packets."""
        return np.fromiter(values, dtype=np.float64)[self.which]

    @property
    def resource_elements(self) -> NDArray[np.int64]:
        return np.array([fmt.num_resource_elements for fmt in self.formats])[self.which]


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
        burst = self._burst(sizes)
        everyone = np.arange(len(sizes))
        return _error_rates(burst, everyone, self._effective_sinrs(burst, everyone, snr_db, seed, 0))

    def _burst(self, sizes: Sequence[tuple[str, int]]) -> _Burst:
        kinds = {kind: i for i, kind in enumerate(dict.fromkeys(sizes))}
        return _Burst(
            names=[name for name, _ in sizes],
            formats=[self._scheduler.format(*kind) for kind in kinds],
            which=np.array([kinds[kind] for kind in sizes]),
            received=np.zeros(len(sizes), dtype=bool),
            sinrs=[],
        )

    def _send(self, payloads: Sequence[Payload], snr_db: float, seed: int) -> Delivery:
        burst = self._burst([(p.protection_class, len(p.data)) for p in payloads])
        rounds = np.array([self.spec.classes[name].harq_rounds for name in burst.names])
        uses = pilot_uses = slot = 0
        for round_index in range(rounds.max()):
            active = np.flatnonzero(~burst.received & (rounds > round_index))
            if not len(active):
                break
            burst.sinrs.append(np.zeros(len(payloads)))
            burst.sinrs[-1][active] = self._effective_sinrs(burst, active, snr_db, seed, slot)
            lost = _error_rates(burst, active, self._combined(burst)[active])
            draws = np.random.default_rng(derive_seed(seed, _ERASURES, round_index)).random(len(payloads))
            burst.received[active] = draws[active] >= lost
            res = int(burst.resource_elements[active].sum())
            uses += self._scheduler.channel_uses(res)
            pilot_uses += self._scheduler.channel_uses(res) - res
            slot += self._scheduler.num_slots(res) + self.spec.harq_round_trip_slots
        return Delivery(
            payloads=tuple(p.data if ok else None for p, ok in zip(payloads, burst.received, strict=True)),
            classes=_reports(burst),
            channel_uses=uses,
            pilot_uses=pilot_uses,
            snr_db=snr_db,
        )

    def _combined(self, burst: _Burst) -> Floats:
        """Effective SINR of all transmissions so far, [packets]."""
        history = np.stack(burst.sinrs)
        chase = history.sum(axis=0)
        if self.spec.harq_combining == "chase":
            return np.asarray(chase)
        # New parity bits add capacity, until the mother code has no more of them
        rates = (fmt.mcs.code_rate - len(history) * _MOTHER_RATE[fmt.base_graph] for fmt in burst.formats)
        return np.where(burst.of_packet(rates) >= 0, np.prod(1 + history, axis=0) - 1, chase)

    def _effective_sinrs(
        self, burst: _Burst, active: NDArray[np.int64], snr_db: float, seed: int, first_slot: int
    ) -> Floats:
        """EESM over each active packet's resource elements, linear."""
        sizes = burst.resource_elements[active]
        edges = np.concatenate([[0], np.cumsum(sizes)])
        sinr = self._sampler.sinr(snr_db, seed, first_slot, self._scheduler.num_slots(int(edges[-1])))
        powers = np.square(self._scheduler.amplitudes(sizes, [burst.names[i] for i in active]))
        betas = burst.of_packet(waterfall(fmt.mcs).eesm_beta for fmt in burst.formats)[active]
        grid = np.arange(len(sinr) + 1) * self.spec.ofdm.num_subcarriers
        result = np.empty(len(active))
        for beta, power in set(zip(betas, powers, strict=True)):
            chosen = (betas == beta) & (powers == power)
            # Mean of exp(-sinr / beta) over the band and the streams, for every OFDM symbol of data
            symbols = np.exp(-power * sinr / beta).mean(axis=-1) * self.spec.ofdm.num_subcarriers
            integral = np.interp(edges, grid, np.concatenate([[0.0], np.cumsum(symbols)]))
            mean = np.diff(integral)[chosen] / sizes[chosen]
            # Never quite zero, which would read as not sent
            result[chosen] = np.maximum(-beta * np.log(np.clip(mean, 1e-300, 1.0)), 1e-12)
        return result


def _error_rates(burst: _Burst, active: NDArray[np.int64], sinrs: Floats) -> Floats:
    rates = np.empty(len(active))
    for kind, fmt in enumerate(burst.formats):
        chosen = burst.which[active] == kind
        rates[chosen] = packet_error_rate(fmt, sinrs[chosen])
    return rates


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


def _reports(burst: _Burst) -> dict[str, ClassReport]:
    names = np.array(burst.names)
    return {name: _class_report(burst, np.flatnonzero(names == name)) for name in dict.fromkeys(burst.names)}


def _class_report(burst: _Burst, members: NDArray[np.int64]) -> ClassReport:
    history = np.stack(burst.sinrs)[:, members]
    sent = history > 0
    res, received = burst.resource_elements[members], burst.received[members]
    bits = np.array([8 * fmt.num_bytes for fmt in burst.formats])[burst.which[members]]
    capacity = (np.log2(1 + history) * res).sum() / (sent * res).sum()
    mcs = burst.formats[burst.which[members[0]]].mcs
    return ClassReport(
        mcs=mcs.index,
        modulation=mcs.modulation,
        code_rate=mcs.code_rate,
        packets=len(members),
        lost=int((~received).sum()),
        bits=int(bits.sum()),
        delivered_bits=int(bits[received].sum()),
        channel_uses=int((sent * res).sum()),
        transmissions=tuple(int(n) for n in sent.sum(axis=1) if n),
        effective_sinr_db=float(10 * np.log10(np.maximum(2**capacity - 1, 1e-12))),
    )
