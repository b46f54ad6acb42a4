"""The abstract link: erasures drawn from post-equalisation SINRs, without coding a single bit.

    realisation of the seed ─ LMMSE SINR a resource element ─ EESM a packet ─ BLER table ─ a biased coin

Same arguments, same reports and, for the same seeds, the same channel realisations as `DigitalLink`; what
differs is that noise and decoder are replaced by their statistics, so that sweeps can be wide.

What is approximated (`channels.links.validity` says where it doesn't hold): channel-estimation errors count
as noise; SINRs are sampled on at most 64 subcarriers, and once a slot where the channel moves slowly;
combined transmissions go by the information of their bits (`channels.links.combining`). Small bursts are
quickest many to a call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from channels.coding.transport import TransportFormat
from channels.links.combining import combined_error_rate
from channels.links.effective_sinr import Floats, packet_error_rate, waterfall
from channels.links.grants import Payload, Scheduler, burst_snrs
from channels.links.mutual_information import (
    bit_information,
    repeated_sinr_of_sums,
    sinr_of_information,
)
from channels.links.report import ClassReport, Delivery
from channels.links.validity import refusal, refusal_of_channel
from channels.ofdm.front_end import OfdmFrontEnd
from channels.ofdm.sinr import SinrSampler
from channels.randomness import counter_uniforms
from channels.spec import LinkSpec

Ints = NDArray[np.int64]
Kind = tuple[str, int]
"""Protection class and bytes of a packet: packets of a kind share their transport format."""
_WORD = 2**64 - 1
# The capacity that is reported is averaged over every fifth sample, which takes turns among 1 to 4 streams
_CAPACITY_STEP = 5
# In effect none, whatever the channel
_NO_NOISE = 1e-9
# What bursts computed together may hold: 32 MB of SINRs
_MOST_SINRS = 4_000_000


@dataclass
class _Batch:
    """Packets of some bursts as arrays, burst by burst; a row of `formats` serves all packets of a kind."""

    snr_db: Sequence[float]
    seeds: Sequence[int]
    formats: list[TransportFormat]
    class_of_kind: Ints
    kind: Ints
    """Index into `formats`, [packets]."""
    burst: Ints
    """Rising, [packets]."""
    sinrs: list[Floats] = field(default_factory=list)
    """Effective SINR of each round for combining, [packets]; zero for packets that it didn't send again."""
    summed: Floats | None = None
    """Of Chase combining: SINRs by subcarrier and stream, and their squares, added up over the rounds,
    [2, packets, samples]."""

    def __post_init__(self) -> None:
        self.received = np.zeros(len(self.kind), dtype=bool)
        self.nats = np.zeros(len(self.kind))
        """Capacity of a packet's symbols on one stream, all rounds together."""
        self.protection = self.class_of_kind[self.kind]
        self.resource_elements = self.of_packet(fmt.num_resource_elements for fmt in self.formats)

    def of_packet(self, values: Iterable[int]) -> Ints:
        """Spread one value a format over the packets."""
        return np.array(list(values))[self.kind]

    def add(self, packets: Ints, sinrs: Floats) -> None:
        """Add the SINRs [packets, samples] of a round to those of the rounds before."""
        if self.summed is None:
            self.summed = np.zeros((2, len(self.kind), sinrs.shape[1]))
        self.summed[:, packets] += np.stack([sinrs, sinrs**2])

    def sums(self, values: Ints) -> Ints:
        """Sum of what packets have, [bursts]."""
        return np.bincount(self.burst, values, minlength=len(self.seeds)).astype(np.int64)


class AbstractLink:
    """Draws which packets of a burst are lost.

    Raises:
        ValueError: asked to send where the abstraction doesn't hold, or for errors of a class that it doesn't
            hold for (`channels.links.validity`).
    """

    def __init__(self, spec: LinkSpec) -> None:
        self.spec = spec
        if spec.radio.on or spec.ofdm.waveform != "cp-ofdm":
            what = "radio impairments" if spec.radio.on else f"waveform {spec.ofdm.waveform!r}"
            raise ValueError(f"the abstraction knows no {what}: use the bit-exact link (kind: digital)")
        self._front_end = OfdmFrontEnd(spec.channel, spec.ofdm)
        self._scheduler = Scheduler(spec, self._front_end.num_data_res, self._front_end.num_pilot_res)
        self._sampler = SinrSampler(spec, self._front_end)
        self._names = list(spec.classes)
        pilots = spec.ofdm.pilot_symbols
        self._data_symbols = [t for t in range(spec.ofdm.num_ofdm_symbols) if t not in pilots]
        self._res_a_symbol = self._front_end.num_data_res / len(self._data_symbols)
        self._boosts = np.array([10 ** (c.power_boost_db / 10) for c in spec.classes.values()])

    def send(
        self, bursts: Sequence[Sequence[Payload]], snr_db: float | Sequence[float], seeds: Sequence[int]
    ) -> list[Delivery]:
        """Send bursts, each over its own channel realisation; arguments and errors as `DigitalLink.send`."""
        snrs = burst_snrs(bursts, snr_db, seeds)
        if not bursts:
            return []
        reason = self.refused({p.protection_class for burst in bursts for p in burst})
        if reason is not None:
            raise ValueError(reason)
        if any(p.delivery != "erase" for burst in bursts for p in burst):
            raise ValueError(
                "a packet wants its bits where its CRC fails, and the abstraction draws erasures only: use "
                "the bit-exact link (kind: digital)"
            )
        kinds = [[(p.protection_class, len(p.data)) for p in burst] for burst in bursts]
        deliveries: list[Delivery] = []
        for some in self._in_parts(kinds):
            batch = self._batch(kinds[some], snrs[some], seeds[some])
            deliveries += self._deliver(batch, bursts[some])
        return deliveries

    def refused(self, classes: Iterable[str]) -> str | None:
        """Why packets of these classes are not sent over this channel; None where they are.

        Their error probabilities, by which MCSs are planned, are estimated all the same.
        """
        statistics = self._front_end.statistics
        for name in sorted(set(classes) & self._scheduler.mcs.keys()):
            reason = refusal_of_channel(self.spec, self._scheduler.mcs[name], statistics, self._missed)
            if reason is not None:
                return f"classes.{name}.mcs: {reason}"
        return None

    @cached_property
    def _missed(self) -> float:
        """Mean-square error of the channel estimate without noise, of the channel's power."""
        error = self._front_end.error_variance(torch.tensor([_NO_NOISE], dtype=torch.float64))
        return float(error[:, :, self._data_symbols].sum(dim=1).mean())

    def channel_uses(self, sizes: Iterable[Kind]) -> int:
        """Count the resource elements of a burst's first transmissions; as `DigitalLink.channel_uses`."""
        return self._scheduler.burst_channel_uses(sizes)

    def error_probabilities(self, sizes: Sequence[Kind], snr_db: float, seeds: Sequence[int]) -> Floats:
        """Probability that each packet's first transmission fails on each realisation, [seeds, packets]."""
        rates = []
        for some in self._in_parts([sizes] * len(seeds)):
            part = seeds[some]
            batch = self._batch([sizes] * len(part), [snr_db] * len(part), part)
            everyone, start = np.arange(len(batch.kind)), np.zeros(len(part), dtype=np.int64)
            sinrs, _ = self._effective_sinrs(batch, everyone, start)
            rates.append(_error_rates(batch, everyone, sinrs).reshape(len(part), -1))
        return np.concatenate(rates)

    def _in_parts(self, kinds: Sequence[Sequence[Kind]]) -> Iterator[slice]:
        """Cut bursts into runs that are small enough to be computed together."""
        res = {kind: self._scheduler.format(*kind).num_resource_elements for kind in set().union(*kinds)}
        samples_a_slot = self.spec.ofdm.num_ofdm_symbols * self._sampler.samples_a_data_symbol
        first = largest = 0
        for i, burst in enumerate(kinds):
            samples = samples_a_slot * self._scheduler.num_slots(sum(map(res.__getitem__, burst)))
            largest = max(largest, samples)
            if i > first and (i + 1 - first) * largest > _MOST_SINRS:
                yield slice(first, i)
                first, largest = i, samples
        yield slice(first, len(kinds))

    def _batch(
        self, kinds: Sequence[Sequence[Kind]], snr_db: Sequence[float], seeds: Sequence[int]
    ) -> _Batch:
        for name in {name for burst in kinds for name, _ in burst} & self._scheduler.mcs.keys():
            reason = refusal(self.spec.ofdm, self._scheduler.mcs[name])
            if reason is not None:
                raise ValueError(f"classes.{name}.mcs: {reason}")
        index: dict[Kind, int] = {}
        which = [index.setdefault(kind, len(index)) for burst in kinds for kind in burst]
        return _Batch(
            snr_db=snr_db,
            seeds=seeds,
            formats=[self._scheduler.format(*kind) for kind in index],
            class_of_kind=np.array([self._names.index(name) for name, _ in index]),
            kind=np.array(which),
            burst=np.repeat(np.arange(len(kinds)), [len(burst) for burst in kinds]),
        )

    def _deliver(self, batch: _Batch, bursts: Sequence[Sequence[Payload]]) -> list[Delivery]:
        """Send the packets, again where HARQ allows, and report."""
        rounds = np.array([c.harq_rounds for c in self.spec.classes.values()])[batch.protection]
        data_uses, pilot_uses, slot = np.zeros((3, len(bursts)), dtype=np.int64)
        # One draw for all rounds: LLRs add up, so what decodes with fewer of them decodes with more, and the
        # probability of losing a packet in the end is the last round's
        draws, lost = _draws(batch), np.ones(len(batch.kind))
        latency = np.zeros(len(bursts), dtype=np.int64)
        for round_index in range(rounds.max()):
            active = np.flatnonzero(~batch.received & (rounds > round_index))
            if not len(active):
                break
            batch.sinrs.append(np.zeros(len(batch.kind)))
            sinrs, batch.sinrs[-1][active] = self._effective_sinrs(batch, active, slot, True)
            if round_index == 0:
                lost[active] = _error_rates(batch, active, sinrs)
            else:
                lost[active] = np.minimum(lost[active], self._combined_error_rates(batch, active))
            batch.received[active] = draws[active] >= lost[active]
            res = batch.sums(batch.resource_elements * (batch.sinrs[-1] > 0))
            slots = -(-res // self._front_end.num_data_res)
            data_uses += res
            pilot_uses += slots * self._front_end.num_pilot_res
            slot += slots + self.spec.harq_round_trip_slots
            latency = np.where(slots > 0, slot - self.spec.harq_round_trip_slots, latency)
        reports, ends = self._reports(batch), np.cumsum([len(burst) for burst in bursts]).tolist()
        received = batch.received.tolist()
        return [
            Delivery(
                payloads=tuple(
                    p.data if ok else None
                    for p, ok in zip(burst, received[end - len(burst) : end], strict=True)
                ),
                classes=reports[i],
                channel_uses=int(data_uses[i] + pilot_uses[i]),
                pilot_uses=int(pilot_uses[i]),
                snr_db=batch.snr_db[i],
                channel_nmse=None,
                latency_slots=int(latency[i]),
                slot_s=self.spec.ofdm.slot_duration_s,
            )
            for i, (burst, end) in enumerate(zip(bursts, ends, strict=True))
        ]

    def _combined_error_rates(self, batch: _Batch, active: Ints) -> Floats:
        """Probability that each active packet is lost after all of its transmissions so far, [active]."""
        history = np.stack(batch.sinrs)[:, active]
        rates = np.empty(len(active))
        for kind in np.unique(batch.kind[active]):
            chosen = batch.kind[active] == kind
            together = None
            if batch.summed is not None:
                name = self._names[batch.class_of_kind[kind]]
                bits, beta = self._scheduler.mcs[name].bits_per_symbol, self._beta(name)
                total = repeated_sinr_of_sums(bits, *batch.summed[:, active[chosen]])
                faded = np.exp(total / -beta).mean(axis=-1)
                together = -beta * np.log(np.clip(faded, 1e-300, 1.0))
            rates[chosen] = combined_error_rate(
                batch.formats[kind], history[:, chosen], self.spec.harq_combining, together
            )
        return rates

    def _effective_sinrs(
        self, batch: _Batch, active: Ints, first_slots: Ints, sending: bool = False
    ) -> tuple[Floats, Floats]:
        """Effective SINRs of each active packet, linear, [active]; `sending` adds to what `batch` counts.

        By EESM, for this transmission on its own, and for combining: EESM's beta holds around the SINR where
        one transmission is enough, and several are at less. Incremental redundancy therefore goes by the
        mean information of the bits; Chase combining by EESM over what each resource element has after all
        rounds, for which SINRs are followed by subcarrier: a packet that comes again mostly finds itself
        where it was.
        """
        bursts, row = np.unique(batch.burst[active], return_inverse=True)
        sizes, protection = batch.resource_elements[active], batch.protection[active]
        totals = np.bincount(row, sizes)
        ends = np.cumsum(sizes) - (np.cumsum(totals) - totals)[row]
        sampled = self._sampler.sample(
            [batch.snr_db[b] for b in bursts],
            [batch.seeds[b] for b in bursts],
            first_slots[bursts].tolist(),
            self._scheduler.num_slots(int(totals.max())),
        )
        mean_power = np.bincount(row, self._boosts[protection] * sizes) / totals
        alone, informed = np.empty((2, len(active)))
        sinrs: dict[float, Floats] = {}
        for index in np.unique(protection):
            chosen = protection == index
            name, boost = self._names[index], float(self._boosts[index])
            beta = self._beta(name)
            if boost not in sinrs:
                sinrs[boost] = sampled.at(boost / mean_power)
            edges = np.stack([ends - sizes, ends])[:, chosen] / self._res_a_symbol
            # Means over the band and the streams, for every OFDM symbol of data
            faded = np.exp(sinrs[boost] * (-1 / beta)).mean(axis=-1)
            mean = _mean_between(faded, row[chosen], edges)
            alone[chosen] = -beta * np.log(np.clip(mean, 1e-300, 1.0))
            informed[chosen] = alone[chosen]
            if self.spec.classes[name].harq_rounds > 1 and self.spec.harq_combining == "chase":
                if sending:
                    over_time = _mean_between(np.exp(sinrs[boost] * (-1 / beta)), row[chosen], edges)
                    batch.add(active[chosen], -beta * np.log(np.clip(over_time, 1e-300, 1.0)))
            elif self.spec.classes[name].harq_rounds > 1:
                bits = self._scheduler.mcs[name].bits_per_symbol
                information = bit_information(bits, sinrs[boost]).mean(axis=-1)
                mean = _mean_between(information, row[chosen], edges)
                informed[chosen] = sinr_of_information(bits, mean)
            if sending:
                capacity = np.log1p(sinrs[boost][..., ::_CAPACITY_STEP]).mean(axis=-1)
                batch.nats[active[chosen]] += sizes[chosen] * _mean_between(capacity, row[chosen], edges)
        # Never quite zero, which would read as not sent
        return np.maximum(alone, 1e-12), np.maximum(informed, 1e-12)

    def _beta(self, protection_class: str) -> float:
        return waterfall(self._scheduler.mcs[protection_class]).eesm_beta

    def _reports(self, batch: _Batch) -> list[dict[str, ClassReport]]:
        """One report a protection class that a burst has packets of, for every burst."""
        num_classes = len(self._names)
        group = batch.burst * num_classes + batch.protection
        groups = len(batch.seeds) * num_classes

        def totals(values: Ints | NDArray[np.bool_]) -> list[int]:
            return [int(v) for v in np.bincount(group, values, minlength=groups)]

        history = np.stack(batch.sinrs)
        sent, res = history > 0, batch.resource_elements
        bits = batch.of_packet(8 * fmt.num_bytes for fmt in batch.formats)
        packets, lost = totals(np.ones_like(group)), totals(~batch.received)
        offered, delivered = totals(bits), totals(bits * batch.received)
        transmissions = list(zip(*(totals(in_round) for in_round in sent), strict=True))
        uses = totals((sent * res).sum(axis=0))
        nats = np.bincount(group, batch.nats, minlength=groups)
        with np.errstate(invalid="ignore"):
            sinr_db = (10 * np.log10(np.maximum(np.expm1(nats / np.array(uses)), 1e-12))).tolist()
        reports: list[dict[str, ClassReport]] = [{} for _ in batch.seeds]
        for i in np.unique(group).tolist():
            burst, index = divmod(i, num_classes)
            name = self._names[index]
            mcs = self._scheduler.mcs[name]
            reports[burst][name] = ClassReport(
                mcs=mcs.index,
                modulation=mcs.modulation,
                code_rate=mcs.code_rate,
                packets=packets[i],
                lost=lost[i],
                bits=offered[i],
                delivered_bits=delivered[i],
                channel_uses=uses[i],
                transmissions=tuple(n for n in transmissions[i] if n),
                effective_sinr_db=sinr_db[i],
            )
        return reports


def _error_rates(batch: _Batch, active: Ints, sinrs: Floats) -> Floats:
    return packet_error_rate(batch.formats, batch.kind[active], sinrs)


def _draws(batch: _Batch) -> Floats:
    """A uniform number for every packet, of its own (seed of the burst, place in the burst)."""
    counts = np.bincount(batch.burst, minlength=len(batch.seeds))
    place = np.arange(len(batch.burst)) - (np.cumsum(counts) - counts)[batch.burst]
    seeds = np.array([seed & _WORD for seed in batch.seeds], dtype=np.uint64)
    return counter_uniforms(seeds[batch.burst], 0, place)


def _mean_between(symbols: Floats, row: Ints, edges: Floats) -> Floats:
    """Mean of `symbols` [rows, length, ...], read in row `row` [n], between fractional `edges` [2, n]."""
    more = symbols.ndim - 2
    integral = np.pad(np.cumsum(symbols, axis=1), ((0, 0), (1, 0), *[(0, 0)] * more))
    low = np.minimum(edges.astype(np.int64), integral.shape[1] - 2)
    before, after = integral[row, low], integral[row, low + 1]
    first, last = before + (edges - low).reshape(2, -1, *[1] * more) * (after - before)
    return np.asarray((last - first) / (edges[1] - edges[0]).reshape(-1, *[1] * more))
