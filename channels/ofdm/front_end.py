"""The OFDM front end: data symbols in, equalised symbols and their noise variances out.

Simulated in the frequency domain: one complex coefficient a resource element, constant within an OFDM
symbol. What delays beyond the cyclic prefix and fading within a symbol add to that is counted as noise
(`channels.ofdm.interference`).

A burst is a run of consecutive slots on one fading realisation. In a slot, the streams' pilots share the
pilot symbols as combs (Kronecker pattern): a stream sounds its subcarriers alone, and every resource element
has energy one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from channels.ofdm.estimation import build_estimator
from channels.ofdm.interference import interference_to_signal
from channels.ofdm.phase_tracking import common_phase, data_symbols, ptrs_subcarriers
from channels.ofdm.receiver import equalise, post_equalisation_sinr, unbiased_error_variance
from channels.propagation.base import ChannelModel, frequency_response
from channels.propagation.factory import build_channel_model
from channels.randomness import derive_seed
from channels.spec import ChannelSpec, OfdmSpec

if TYPE_CHECKING:
    from channels.impairments.burst import RadioBurst
    from channels.impairments.chain import RadioChain
    from channels.impairments.report import RadioReport
    from channels.impairments.spec import RadioSpec
    from channels.ofdm.transform_precoding import TransformPrecoding

_CHANNEL, _NOISE = 0, 1
_GOLDEN_RATIO = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Equalised:
    """What the receiver has of one burst."""

    symbols: Tensor
    """[num_slots, num_data_res, num_streams], complex: unbiased estimates of the unit-energy symbols."""
    noise_variance: Tensor
    """Same shape, real: the variance of their error as the receiver believes it to be, from its estimate of
    the channel: what a demapper or a network is given."""
    sinr: Tensor
    """Same shape, real, linear: the SINR in truth, from the channel itself (`post_equalisation_sinr`)."""
    channel_nmse: Tensor
    """[], squared error of the channel estimate over the channel's power, in truth; zero with perfect CSI."""
    radio: RadioReport | None = None
    """What an impaired radio did; None of an ideal one."""


class OfdmFrontEnd:
    """Resource grid, pilots, channel, estimation and equalisation of a link."""

    def __init__(
        self, channel: ChannelSpec, ofdm: OfdmSpec, device: str = "cpu", radio: RadioSpec | None = None
    ) -> None:
        self.spec = ofdm
        self._device = device
        self._model = build_channel_model(channel)
        self.statistics = self._model.statistics()
        self.interference = interference_to_signal(self.statistics, ofdm)
        _check_bandwidth(self._model, ofdm)
        self._precoder = _precoder(self._model, channel.num_tx_antennas, ofdm.num_streams)
        self._num_rx = channel.num_rx_antennas
        self._frequencies = _subcarrier_frequencies(ofdm)
        self._pilots = _pilot_sequence(ofdm).to(device)
        self._data_index = _data_order(ofdm).to(device)
        self._estimator = build_estimator(ofdm, self.statistics, self._frequencies)
        self._ptrs = ptrs_subcarriers(ofdm)
        self._chain: RadioChain | None = None
        if radio is not None and radio.on:
            from channels.impairments.chain import RadioChain

            self._chain = RadioChain(radio, ofdm, channel.carrier_frequency_hz, self._frequencies)
        self._transform: TransformPrecoding | None = None
        if ofdm.waveform == "dft-s-ofdm":
            from channels.ofdm.transform_precoding import TransformPrecoding

            self._transform = TransformPrecoding(self._data_index, ofdm.num_subcarriers)

    @property
    def num_data_res(self) -> int:
        """Resource elements for data in a slot."""
        return len(self._data_index)

    @property
    def num_pilot_res(self) -> int:
        """Resource elements for pilots in a slot."""
        return self.spec.num_ofdm_symbols * self.spec.num_subcarriers - self.num_data_res

    def send(
        self,
        bursts: Sequence[Tensor],
        snr_db: Sequence[float],
        seeds: Sequence[int],
        first_slots: Sequence[int] | None = None,
        amplitudes: Sequence[Tensor] | None = None,
    ) -> list[Equalised]:
        """Send bursts of data symbols, each over its own channel realisation.

        Args:
            bursts: one complex tensor a burst, [num_slots, num_data_res, num_streams], of unit mean energy.
            snr_db: Es/N0 a resource element and receive antenna, of each burst.
            seeds: the seed of each burst; it alone decides its channel and noise.
            first_slots: the slot of its realisation that each burst starts in; 0 by default.
            amplitudes: what each burst's data symbols are multiplied by on the air, [num_slots,
                num_data_res], known to the receiver, which divides by them; pilots stay at one. One by
                default.
        """
        offsets = first_slots or [0] * len(bursts)
        num_slots = [len(burst) for burst in bursts]
        x = torch.cat([burst.to(self._device) for burst in bursts])
        amplitude = x.real.new_ones(x.shape[:2])
        if amplitudes is not None:
            amplitude = torch.cat([a.to(amplitude) for a in amplitudes])
        drawn = [
            self._draw(seed, start, count)
            for seed, start, count in zip(seeds, offsets, num_slots, strict=True)
        ]
        h = torch.cat([d[0] for d in drawn]).to(self._device)
        noise = torch.cat([d[1] for d in drawn]).to(self._device)
        levels, of_burst = np.unique(snr_db, return_inverse=True)
        level = torch.from_numpy(np.repeat(of_burst, num_slots)).to(self._device)
        no_of_level = self.noise_variance([float(snr) for snr in levels]).to(self._device)
        no = no_of_level[level].float()
        if self._transform is not None:
            x = self._transform.spread(x)
        grid = self._to_grid(x * amplitude[..., None])
        radio: RadioBurst | None = None
        if self._chain is not None:
            from channels.impairments.burst import RadioBurst

            radio = RadioBurst(self._chain, seeds, offsets, num_slots)
            grid = radio.transmit(grid)
        y = torch.einsum("srltf,sltf->srtf", h.to(x.dtype), grid) + no.sqrt()[:, None, None, None] * noise
        if radio is not None:
            y, h = radio.receive(y, h)
        h_hat = h if self._estimator is None else self._estimator.estimate(self._pilot_estimates(y), no)
        if len(self._ptrs):
            turn = common_phase(y, h_hat[:, :, 0], self.spec)
            y, h = y * turn, h * turn.unsqueeze(1)
        missed, power = (t.detach().abs().square().sum(dim=(1, 2, 3, 4)) for t in (h_hat - h, h))
        # Once a noise level, not once a slot
        error = self.error_variance(no_of_level)
        believed = self._on_data(error.sum(dim=1)).float()[level]
        n0 = no[:, None]
        if radio is not None:
            n0 = n0 + radio.evm_squared[:, None] * self._on_data(h.abs().square().sum(2).mean(1)).detach()
        unbiased = self._on_data(unbiased_error_variance(error, self.spec.num_streams)).float()[level]
        symbols, variance = equalise(
            self._on_data(y).transpose(1, 2),
            self._on_data(h_hat.to(x.dtype)).permute(0, 3, 1, 2) * amplitude[..., None, None],
            n0 + believed * amplitude.square(),
        )
        sinr = post_equalisation_sinr(
            self._on_data(h).permute(0, 3, 1, 2), unbiased, n0, amplitude.detach().square().float()
        )
        if self._transform is not None:
            symbols, variance = self._transform.despread(symbols, variance)
            sinr = self._transform.sinr(sinr)
        parts = zip(*(t.split(num_slots) for t in (symbols, variance, sinr, missed, power)), strict=True)
        reports = [None] * len(bursts) if radio is None else radio.reports()
        return [
            Equalised(s, v, truth.detach(), error.sum() / total.sum(), report)
            for (s, v, truth, error, total), report in zip(parts, reports, strict=True)
        ]

    def heard(self, burst: Tensor, snr_db: float, seed: int) -> Tensor:
        """What the first receive antenna hears of a burst's data symbols, [num_slots, num_data_res], complex.

        For looking at, before any equaliser; channel and noise are those of `send` with this seed.
        """
        h, noise = self._draw(seed, 0, len(burst))
        no = self.noise_variance([snr_db]).sqrt().float()
        y = torch.einsum("sltf,sltf->stf", h[:, 0], self._to_grid(burst)) + no * noise[:, 0]
        return self._on_data(y)

    def noise_variance(self, snr_db: Sequence[float]) -> Tensor:
        """N0 at SNRs in dB, interference between symbols and carriers included, [len(snr_db)], float64."""
        return 10 ** (-torch.tensor(snr_db, dtype=torch.float64) / 10) + self.interference

    def error_variance(self, no: Tensor) -> Tensor:
        """Variance of the channel estimate's error at noise variances `no` [slots].

        [slots, num_streams, num_ofdm_symbols, num_subcarriers], float64, on the device of `no`; zero with
        perfect CSI.
        """
        if self._estimator is None:
            shape = (self.spec.num_streams, self.spec.num_ofdm_symbols, self.spec.num_subcarriers)
            return torch.zeros(len(no), *shape, dtype=torch.float64, device=no.device)
        return self._estimator.error_variance(no)

    def channel(self, seed: int, num_slots: int, first_slot: int = 0) -> Tensor:
        """H of a burst: [num_slots, num_rx, num_streams, num_ofdm_symbols, num_subcarriers], complex64."""
        every = torch.arange(self.spec.num_subcarriers)
        return self.sampled_channels([seed], [first_slot], num_slots, self.spec.num_ofdm_symbols, every)[0]

    def sampled_channels(
        self,
        seeds: Sequence[int],
        first_slots: Sequence[int],
        num_slots: int,
        samples_a_slot: int,
        subcarriers: Tensor,
    ) -> Tensor:
        """The same H of several bursts, at fewer places.

        [len(seeds), num_slots, num_rx, num_streams, samples_a_slot, len(subcarriers)], complex64.
        """
        gains, delays = self._model.impulse_responses(
            seeds=[derive_seed(seed, _CHANNEL) for seed in seeds],
            num_steps=(max(first_slots) + num_slots) * samples_a_slot,
            step_s=self.spec.slot_duration_s / samples_a_slot,
        )
        gains = gains.unflatten(-1, (-1, samples_a_slot))
        starts = zip(gains, first_slots, strict=True)
        gains = torch.stack([g[..., first : first + num_slots, :] for g, first in starts])
        gains = torch.einsum("brtpns,tl->bnrlsp", gains, self._precoder)
        shape = gains.shape[2:5]
        h = frequency_response(
            gains.flatten(2, 4).contiguous(), delays[:, None], self._frequencies[subcarriers]
        )
        return h.unflatten(2, shape)

    def _draw(self, seed: int, first_slot: int, num_slots: int) -> tuple[Tensor, Tensor]:
        shape = (self._num_rx, self.spec.num_ofdm_symbols, self.spec.num_subcarriers)
        noise = torch.stack(
            [
                torch.randn(
                    shape,
                    dtype=torch.complex64,
                    generator=torch.Generator().manual_seed(derive_seed(seed, _NOISE, first_slot + slot)),
                )
                for slot in range(num_slots)
            ]
        )
        return self.channel(seed, num_slots, first_slot), noise

    def _to_grid(self, symbols: Tensor) -> Tensor:
        """[slots, data REs, streams] to [slots, streams, OFDM symbols, subcarriers], pilots added."""
        num_slots, _, streams = symbols.shape
        size = self.spec.num_ofdm_symbols * self.spec.num_subcarriers
        grid = symbols.new_zeros(num_slots, streams, size)
        grid = grid.index_copy(-1, self._data_index, symbols.transpose(1, 2))
        pilots = self._pilots.to(symbols.dtype)
        grid = grid.unflatten(-1, (self.spec.num_ofdm_symbols, self.spec.num_subcarriers)).clone()
        grid[:, :, list(self.spec.pilot_symbols)] = pilots
        if len(self._ptrs):
            # Of the first stream, in whose place the others are silent, at the energy of all
            grid[:, 0, data_symbols(self.spec)[:, None], self._ptrs] = self.spec.num_streams**0.5
        return grid

    def _pilot_estimates(self, y: Tensor) -> Tensor:
        """Least squares at the pilots: [slots, rx, streams, pilot symbols, pilots a symbol]."""
        received = y[:, :, list(self.spec.pilot_symbols)]
        combs = []
        for stream in range(self.spec.num_streams):
            comb = slice(stream, None, self.spec.num_streams)
            combs.append(received[..., comb] / self._pilots[stream, :, comb].to(y.dtype))
        return torch.stack(combs, dim=2)

    def _on_data(self, grid: Tensor) -> Tensor:
        """Values of the data REs, in their order: [..., symbols, subcarriers] to [..., REs]."""
        return grid.flatten(-2)[..., self._data_index]


def _check_bandwidth(model: ChannelModel, ofdm: OfdmSpec) -> None:
    """Raise where the grid is wider than what a measurement covers."""
    known, wanted = (
        getattr(model, "bandwidth_hz", math.inf),
        ofdm.num_subcarriers * ofdm.subcarrier_spacing_khz * 1e3,
    )
    if wanted > known:
        raise ValueError(
            f"the grid is {wanted / 1e6:g} MHz wide, and the channel was measured over {known / 1e6:g} MHz: "
            "lower ofdm.num_subcarriers or ofdm.subcarrier_spacing_khz"
        )


def _subcarrier_frequencies(spec: OfdmSpec) -> Tensor:
    """Baseband frequencies of the subcarriers in Hz, [num_subcarriers], float64, centred on the carrier."""
    # The lower guard is the larger one where they differ, as in Sionna's ResourceGrid
    k = torch.arange(spec.num_subcarriers + spec.dc_null, dtype=torch.float64)
    k += spec.guard_carriers[0] - spec.effective_fft_size // 2
    return (k[k != 0] if spec.dc_null else k) * spec.subcarrier_spacing_khz * 1e3


def _precoder(model: ChannelModel, num_tx: int, num_streams: int) -> Tensor:
    """Antennas x streams: every stream arrives with its share of mean power one at a receive antenna.

    One antenna a stream where they match, otherwise the first beams of a DFT: no channel knowledge is assumed
    at the transmitter. A beam's mean gain over the model's realisations is divided out, so that `snr_db` is
    the SNR after the precoder; how the gain varies with where the terminal is remains.
    """
    if num_tx == num_streams:
        return torch.eye(num_tx, dtype=torch.complex64) / num_streams**0.5
    n, beam = torch.arange(num_tx)[:, None], torch.arange(num_streams)[None, :]
    beams = torch.exp(-2j * torch.pi * n * beam / num_tx).to(torch.complex128) / num_tx**0.5
    gains = torch.einsum("nl,nm,ml->l", beams.conj(), model.transmit_correlation(), beams).real
    if not bool((gains > 1e-9).all()):
        raise ValueError(
            f"a DFT beam of {num_tx} transmit antennas never reaches the receiver over this channel: set "
            f"channel.num_tx_antennas to ofdm.num_streams ({num_streams})"
        )
    return (beams / (num_streams * gains).sqrt()).to(torch.complex64)


def _pilot_sequence(spec: OfdmSpec) -> Tensor:
    """QPSK pilots [streams, pilot symbols, subcarriers], zero outside each stream's comb."""
    generator = torch.Generator().manual_seed(0)
    shape = (len(spec.pilot_symbols), spec.num_subcarriers)
    quadrant = torch.randint(0, 4, shape, generator=generator)
    qpsk = torch.exp(1j * torch.pi * (quadrant / 2 + 0.25)).to(torch.complex64)
    comb = torch.arange(spec.num_subcarriers) % spec.num_streams
    streams = torch.arange(spec.num_streams)
    return qpsk * (comb[None, None, :] == streams[:, None, None]) * spec.num_streams**0.5


def _data_order(spec: OfdmSpec) -> Tensor:
    """Where in a flattened slot the data symbols go, in order.

    Symbol by symbol, and within an OFDM symbol in the order of a golden-ratio sequence: any few symbols in a
    row lie spread over the whole band, so that even a small packet sees all of its diversity. (The aim of
    NR's interleaved resource mapping, TS 38.211 §7.3.1.6.)
    """
    subcarriers = torch.arange(spec.num_subcarriers, dtype=torch.float64)
    spread = torch.argsort(torch.argsort((subcarriers * _GOLDEN_RATIO) % 1.0))
    if spec.ptrs_prb_spacing:
        spread = spread[~torch.isin(spread, ptrs_subcarriers(spec))]
    data_symbols = [t for t in range(spec.num_ofdm_symbols) if t not in spec.pilot_symbols]
    return torch.cat([t * spec.num_subcarriers + spread for t in data_symbols])
