"""A link in plain words and units: what is simulated, and what isn't."""

from __future__ import annotations

import math

from channels.coding.mcs import mcs
from channels.impairments.spec import RadioSpec
from channels.propagation.registry import entry
from channels.spec import ChannelSpec, LinkSpec, OfdmSpec

_CSI = {
    "perfect": "known perfectly",
    "ls-cp": "estimated by least squares at the pilots, projected on delays inside the cyclic prefix",
    "ls-linear": "estimated by least squares at the pilots, linear interpolation",
    "ls-nearest": "estimated by least squares at the pilots, nearest neighbour",
    "lmmse": "estimated by LMMSE from the pilots with the model's own statistics",
}


_LOS = {None: "drawn as TR 38.901 says", True: "always", False: "never"}


def describe(spec: LinkSpec) -> str:
    """Describe a link in a few lines of plain words with units."""
    parts = (_channel(spec.channel), _grid(spec.channel, spec.ofdm), _radio(spec.radio), _coding(spec))
    return "\n".join(line for lines in parts for line in lines)


def _channel(channel: ChannelSpec) -> list[str]:
    model = entry(channel.model)
    carrier = f"carrier {channel.carrier_frequency_hz / 1e9:g} GHz"
    if "speed_kmh" in model.reads:
        carrier += f", speed {channel.speed_kmh:g} km/h (Doppler up to {channel.max_doppler_hz:.1f} Hz)"
    where = channel.ray_tracing
    of_field = {
        "delay_spread_ns": f"delay spread {channel.delay_spread_ns:g} ns RMS",
        "rician_k_db": f"K factor {channel.rician_k_db:g} dB",
        "los": f"line of sight: {_LOS[channel.los]}",
        "ray_tracing": f"scene {where.scene}, transmitter at {_place(where.tx_position_m)}, receiver at "
        f"{_place(where.rx_position_m)}, up to {where.max_depth} interactions a path; each burst draws the "
        "phase of every path and the direction of motion",
        "dataset": f"{channel.dataset.file or 'the corridor that comes with semcom'}, motion "
        f"{channel.dataset.motion}; each burst draws a record, an instant and a common phase",
        "options": f"options {', '.join(f'{k} {v}' for k, v in channel.options.items()) or 'none'}",
    }
    arrays = f"{channel.num_tx_antennas} transmit and {channel.num_rx_antennas} receive antenna(s)"
    if "antenna_pattern" in model.reads:
        arrays += f", {channel.antenna_polarization} polarisation, {channel.antenna_pattern} pattern"
    return [
        f"Channel   {channel.model}: {model.summary}",
        f"          {carrier}",
        *(f"          {words}" for name, words in of_field.items() if name in model.reads),
        f"          {arrays}",
        "          mean power one: snr_db is Es/N0 a resource element and receive antenna; no path loss",
        "          one realisation a burst, which goes on in time from slot to slot and HARQ round to round",
    ]


def _place(position_m: tuple[float, ...]) -> str:
    return f"({', '.join(f'{x:g}' for x in position_m)}) m"


def _grid(channel: ChannelSpec, ofdm: OfdmSpec) -> list[str]:
    spacing = ofdm.subcarrier_spacing_khz
    bandwidth = ofdm.num_subcarriers * spacing / 1e3
    low, high = ofdm.guard_carriers
    return [
        f"OFDM      {ofdm.num_subcarriers} subcarriers x {spacing} kHz = {bandwidth:g} MHz, "
        f"FFT {ofdm.effective_fft_size} with {low} + {high} guard carriers"
        f"{' and DC empty' if ofdm.dc_null else ''}",
        f"          slots of {ofdm.num_ofdm_symbols} symbols, {ofdm.slot_duration_s * 1e3:.4g} ms; "
        f"cyclic prefix {ofdm.cyclic_prefix_s * 1e9:.0f} ns ({ofdm.cyclic_prefix})",
        f"          pilots in symbols {', '.join(map(str, ofdm.pilot_symbols))}; channel {_CSI[ofdm.csi]}",
        *_waveform(ofdm),
        f"          {ofdm.num_streams} stream(s), {_precoding(channel, ofdm)}; LMMSE equaliser",
        "          added to the noise: interference between symbols (what comes after the cyclic prefix)",
        f"          and between carriers, {_carriers_db(channel, ofdm)} (Doppler is "
        f"{channel.max_doppler_hz / (spacing * 1e3):.2%} of the spacing)",
    ]


def _waveform(ofdm: OfdmSpec) -> list[str]:
    words = []
    if ofdm.waveform == "dft-s-ofdm":
        words.append("          DFT-s-OFDM: the data of each symbol behind a DFT")
    if ofdm.ptrs_prb_spacing:
        spacing = ofdm.ptrs_prb_spacing
        words.append(f"          PT-RS in every {spacing} PRBs correct the phase of each symbol")
    return words


def _radio(radio: RadioSpec) -> list[str]:
    """Nothing of an ideal radio."""
    said = {
        "clipping_db": f"envelope clipped {radio.clipping_db} dB over the mean power",
        "pa_backoff_db": f"Rapp amplifier, saturation {radio.pa_backoff_db} dB over the mean power, p = "
        f"{radio.pa_smoothness:g}; snr_db counts the power behind it",
        "phase_noise": f"phase noise of both ends by mask {radio.phase_noise} scaled to the carrier",
        "cfo_hz": f"carrier frequency offset {radio.cfo_hz:g} Hz",
        "timing_offset_ns": f"receiver's window {radio.timing_offset_ns:g} ns early",
        "iq_gain_db": f"IQ gain imbalance {radio.iq_gain_db:g} dB",
        "iq_phase_deg": f"IQ phase imbalance {radio.iq_phase_deg:g} degrees",
        "adc_bits": f"ADC of {radio.adc_bits} bits in I and Q",
    }
    ideal = RadioSpec()
    words = [line for name, line in said.items() if getattr(radio, name) != getattr(ideal, name)]
    if not words:
        return []
    told = "the receiver knows the mean power of the distortion; the abstraction and MCS adaptation don't"
    return [f"{'' if i else 'Radio':10}{line}" for i, line in enumerate([*words, told])]


def _precoding(channel: ChannelSpec, ofdm: OfdmSpec) -> str:
    if channel.num_tx_antennas == ofdm.num_streams:
        return "one transmit antenna each"
    return "one DFT beam each, without channel knowledge and normalised to no array gain"


def _carriers_db(channel: ChannelSpec, ofdm: OfdmSpec) -> str:
    import torch

    from channels.ofdm.interference import intercarrier_interference
    from channels.propagation.base import Statistics

    jakes = Statistics(torch.zeros(1), torch.ones(1), channel.max_doppler_hz)
    share = intercarrier_interference(jakes, ofdm)
    return f"{10 * math.log10(share):.1f} dB" if share > 1e-9 else "none"


def _coding(spec: LinkSpec) -> list[str]:
    combining = spec.harq_combining.replace("-", " ")
    lines = [
        f"Coding    CRC24A, 5G LDPC, at most {spec.num_ldpc_iterations} iterations; "
        f"MCS table {spec.mcs_table}"
    ]
    for name, c in spec.classes.items():
        entry = mcs(spec.mcs_table, c.mcs)
        boost = f", power boost {c.power_boost_db:+g} dB" if c.power_boost_db else ""
        harq = f", HARQ up to {c.harq_rounds} rounds ({combining})" if c.harq_rounds > 1 else ""
        lines.append(
            f"          {name}: MCS {c.mcs}, {entry.modulation} at rate {entry.code_rate:.3f}, "
            f"{entry.spectral_efficiency:.3f} bit a symbol{boost}{harq}"
        )
    return lines
