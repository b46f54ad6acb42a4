"""A link in plain words and units: what is simulated, and what isn't."""

from __future__ import annotations

from channels.coding.mcs import mcs
from channels.spec import ChannelSpec, LinkSpec, OfdmSpec

MODELS: dict[str, str] = {
    "awgn": "no fading: constant unit gain, white Gaussian noise",
    "rayleigh": "Rayleigh block fading: flat in frequency, one coefficient a burst",
    "rician": "Rician block fading: a line of sight of given K factor over Rayleigh scattering",
    "tdl-a": "TR 38.901 tapped delay line A: no line of sight, 23 taps",
    "tdl-b": "TR 38.901 tapped delay line B: no line of sight, 23 taps",
    "tdl-c": "TR 38.901 tapped delay line C: no line of sight, 24 taps",
    "tdl-d": "TR 38.901 tapped delay line D: line of sight",
    "tdl-e": "TR 38.901 tapped delay line E: line of sight",
    "tdl-a10": "TS 38.101-4 fixed profile TDLA10: 10 ns delay spread",
    "tdl-a30": "TS 38.101-4 fixed profile TDLA30: 30 ns delay spread",
    "tdl-b100": "TS 38.101-4 fixed profile TDLB100: 100 ns delay spread",
    "tdl-c60": "TS 38.101-4 fixed profile TDLC60: 60 ns delay spread",
    "tdl-c300": "TS 38.101-4 fixed profile TDLC300: 300 ns delay spread",
    "tdl-d10": "TS 38.101-4 fixed profile TDLD10: 10 ns delay spread, line of sight",
    "tdl-d30": "TS 38.101-4 fixed profile TDLD30: 30 ns delay spread, line of sight",
    "cdl-a": "TR 38.901 clustered delay line A with antenna arrays: no line of sight",
    "cdl-b": "TR 38.901 clustered delay line B with antenna arrays: no line of sight",
    "cdl-c": "TR 38.901 clustered delay line C with antenna arrays: no line of sight",
    "cdl-d": "TR 38.901 clustered delay line D with antenna arrays: line of sight",
    "cdl-e": "TR 38.901 clustered delay line E with antenna arrays: line of sight",
    "umi": "TR 38.901 urban micro, street canyon: a terminal dropped anew every burst, 0.5 to 100 GHz",
    "uma": "TR 38.901 urban macro: a terminal dropped anew every burst, 0.5 to 100 GHz",
    "rma": "TR 38.901 rural macro: a terminal dropped anew every burst, 0.5 to 30 GHz",
    "inh": "TR 38.901 indoor hotspot, open office: a terminal dropped anew every burst, 0.5 to 100 GHz",
    "rt": "ray tracing: paths between two places of a scene (extra [rt], Sionna RT), 1 to 100 GHz",
}
_CSI = {
    "perfect": "known perfectly",
    "ls-cp": "estimated by least squares at the pilots, projected on delays inside the cyclic prefix",
    "ls-linear": "estimated by least squares at the pilots, linear interpolation",
    "ls-nearest": "estimated by least squares at the pilots, nearest neighbour",
    "lmmse": "estimated by LMMSE from the pilots with the model's own statistics",
}


def describe(spec: LinkSpec) -> str:
    """Describe a link in a few lines of plain words with units."""
    return "\n".join([*_channel(spec.channel), *_grid(spec.channel, spec.ofdm), *_coding(spec)])


def _channel(channel: ChannelSpec) -> list[str]:
    lines = [
        f"Channel   {channel.model}: {MODELS[channel.model]}",
        f"          carrier {channel.carrier_frequency_hz / 1e9:g} GHz, speed {channel.speed_kmh:g} km/h "
        f"(Doppler up to {channel.max_doppler_hz:.1f} Hz)",
    ]
    if channel.model[:3] in ("tdl", "cdl") and len(channel.model) == 5:
        lines.append(f"          delay spread {channel.delay_spread_ns:g} ns RMS")
    if channel.model == "rt":
        where = channel.ray_tracing
        lines.append(
            f"          scene {where.scene}, transmitter at {_place(where.tx_position_m)}, receiver at "
            f"{_place(where.rx_position_m)}, up to {where.max_depth} interactions a path"
        )
        lines.append("          each burst draws the phase of every path and the direction of motion")
    if channel.model == "rician":
        lines.append(f"          K factor {channel.rician_k_db:g} dB")
    arrays = f"{channel.num_tx_antennas} transmit and {channel.num_rx_antennas} receive antenna(s)"
    if channel.model[:3] in ("cdl", "umi", "uma", "rma", "inh", "rt"):
        arrays += f", {channel.antenna_polarization} polarisation, {channel.antenna_pattern} pattern"
    return [
        *lines,
        f"          {arrays}",
        "          mean power one: snr_db is Es/N0 a resource element and receive antenna; no path loss",
    ]


def _place(position_m: tuple[float, ...]) -> str:
    return f"({', '.join(f'{x:g}' for x in position_m)}) m"


def _grid(channel: ChannelSpec, ofdm: OfdmSpec) -> list[str]:
    spacing = ofdm.subcarrier_spacing_khz
    bandwidth = ofdm.num_subcarriers * spacing / 1e3
    low, high = ofdm.guard_carriers
    shift = channel.max_doppler_hz / (spacing * 1e3)
    return [
        f"OFDM      {ofdm.num_subcarriers} subcarriers x {spacing} kHz = {bandwidth:g} MHz, "
        f"FFT {ofdm.effective_fft_size} with {low} + {high} guard carriers"
        f"{' and DC empty' if ofdm.dc_null else ''}",
        f"          slots of {ofdm.num_ofdm_symbols} symbols, {ofdm.slot_duration_s * 1e3:.4g} ms; "
        f"cyclic prefix {ofdm.cyclic_prefix_s * 1e9:.0f} ns ({ofdm.cyclic_prefix})",
        f"          pilots in symbols {', '.join(map(str, ofdm.pilot_symbols))}; channel {_CSI[ofdm.csi]}",
        f"          {ofdm.num_streams} stream(s), LMMSE equaliser",
        f"          not simulated: interference between carriers (Doppler is {shift:.2%} of the spacing) and "
        "between symbols",
    ]


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
