import warnings

import numpy as np
import pytest
import torch

from channels.ofdm.front_end import OfdmFrontEnd
from channels.ofdm.interference import (
    intercarrier_interference,
    interference_to_signal,
    intersymbol_interference,
)
from channels.propagation.base import Statistics
from channels.spec import ChannelSpec, OfdmSpec

SPACING_HZ, FFT = 30e3, 256


def ofdm_symbols(samples, prefix, frames, generator):
    """Random QPSK on all carriers: [frames, carriers] and on the air, symbol after symbol."""
    sent = np.exp(0.5j * np.pi * generator.integers(0, 4, (frames, samples)))
    time = np.fft.ifft(sent, axis=1) * samples**0.5
    return sent, np.concatenate([time[:, -prefix:], time], axis=1)


def interference_of(received, sent):
    """Share of the power that isn't the carriers' own symbols times one coefficient a carrier and symbol."""
    own = (received * sent.conj()).mean(axis=0) / np.square(np.abs(sent)).mean(axis=0)
    return np.square(np.abs(received - own * sent)).mean() / np.square(np.abs(received)).mean()


@pytest.mark.parametrize("late", [6, 30])
def test_delays_beyond_the_prefix_disturb_as_in_the_time_domain(late):
    prefix, frames, share = 18, 400, 0.4  # 144 / 2048 of the symbol
    generator = np.random.default_rng(late)
    sent, air = ofdm_symbols(FFT, prefix, frames, generator)
    stream = air.ravel()
    delay = prefix + late
    late_path = np.concatenate([np.zeros(delay), stream[:-delay]])
    both = (1 - share) ** 0.5 * stream + share**0.5 * late_path
    received = np.fft.fft(both.reshape(frames, -1)[:, prefix:], axis=1) / FFT**0.5
    statistics = Statistics(
        torch.tensor([0.0, delay / FFT / SPACING_HZ], dtype=torch.float64),
        torch.tensor([1 - share, share]),
        0.0,
    )
    expected = intersymbol_interference(statistics, OfdmSpec())
    assert interference_of(received[1:], sent[1:]) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("line_of_sight", [0.0, 1.0])
def test_fading_within_a_symbol_disturbs_as_in_the_time_domain(line_of_sight):
    doppler_hz, fades, generator = 3000.0, 1500, np.random.default_rng(1)
    time = np.arange(FFT) / FFT / SPACING_HZ
    angles, phases = generator.uniform(0, 2 * np.pi, (2, fades, 64, 1))
    fading = np.exp(1j * (2 * np.pi * doppler_hz * np.cos(angles) * time + phases)).sum(axis=1) / 8
    if line_of_sight:
        fading = np.exp(2j * np.pi * doppler_hz * time)[None]
    # What one carrier spreads over all: the power off its own is that between carriers
    spectrum = np.square(np.abs(np.fft.fft(fading, axis=1) / FFT))
    measured = 1 - spectrum[:, 0].sum() / spectrum.sum()
    statistics = Statistics(torch.zeros(1), torch.ones(1), doppler_hz, line_of_sight, doppler_hz)
    assert intercarrier_interference(statistics, OfdmSpec()) == pytest.approx(measured, rel=0.06)


@pytest.mark.parametrize(
    ("channel", "spacing_khz", "sir_db"),
    [
        # What an independent audit computed
        ({"model": "tdl-a", "delay_spread_ns": 2000}, 30, 14.7),
        ({"model": "tdl-a", "delay_spread_ns": 1000}, 30, 22.0),
        ({"model": "tdl-c", "delay_spread_ns": 300}, 120, 20.7),
        ({"model": "tdl-a", "speed_kmh": 500}, 30, 23.2),
        ({"model": "tdl-a", "speed_kmh": 500}, 15, 17.2),
    ],
)
def test_interference_is_noise_and_warned_of(channel, spacing_khz, sir_db):
    with pytest.warns(UserWarning, match="signal to interference is"):
        front_end = OfdmFrontEnd(
            ChannelSpec(**channel), OfdmSpec(num_subcarriers=24, subcarrier_spacing_khz=spacing_khz)
        )
    assert 10 * np.log10(front_end.interference) == pytest.approx(-sir_db, abs=0.2)
    (no,) = front_end.noise_variance([60.0]).tolist()
    assert no == pytest.approx(front_end.interference + 1e-6)


def test_without_interference_nothing_is_said():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert OfdmFrontEnd(ChannelSpec(speed_kmh=60), OfdmSpec()).interference < 1e-3
        assert OfdmFrontEnd(ChannelSpec(model="awgn"), OfdmSpec()).interference < 1e-9


def test_a_void_model_is_refused():
    late = Statistics(torch.tensor([0.0, 1e-3]), torch.tensor([0.4, 0.6]), 0.0)
    with pytest.raises(ValueError, match="interference between symbols exceeds the signal"):
        interference_to_signal(late, OfdmSpec())
    fast = Statistics(torch.zeros(1), torch.ones(1), 8000.0)
    with pytest.raises(ValueError, match="more than a quarter"):
        interference_to_signal(fast, OfdmSpec())
