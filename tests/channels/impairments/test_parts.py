"""Each impairment on its own against a closed form."""

import math

import pytest
import torch
from scipy.special import erfc

from channels.impairments.amplifier import bussgang, clip, evm, rapp
from channels.impairments.converter import convert, quantise
from channels.impairments.mixer import image_rejection_db, imbalance, mix
from channels.impairments.phase_noise import phases, spectrum

GAUSSIAN = torch.randn(400_000, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))


def decomposed(out, x=GAUSSIAN):
    """Gain and EVM of an output over its input."""
    gain = (out * x.conj()).mean() / x.abs().square().mean()
    wanted = gain * x
    return abs(gain), float(((out - wanted).abs().square().mean() / wanted.abs().square().mean()).sqrt())


@pytest.mark.parametrize("level_db", [-3.0, 0.0, 3.0, 6.0])
def test_clipping_has_the_gain_and_evm_of_bussgangs_theorem(level_db):
    g = 10 ** (level_db / 20)
    gain = 1 - math.exp(-(g**2)) + math.sqrt(math.pi) / 2 * g * erfc(g)
    power = 1 - math.exp(-(g**2))
    assert bussgang(lambda x: clip(x, level_db)) == pytest.approx((gain, power), rel=1e-4)
    found, error = decomposed(clip(GAUSSIAN, level_db))
    assert found == pytest.approx(gain, rel=5e-3)
    assert error == pytest.approx(math.sqrt(power - gain**2) / gain, rel=0.02)


@pytest.mark.parametrize(("backoff_db", "smoothness"), [(3.0, 1.0), (6.0, 2.0), (8.0, 3.0)])
def test_rapps_amplifier_has_the_evm_of_bussgangs_theorem(backoff_db, smoothness):
    gain, power = bussgang(lambda x: rapp(x, backoff_db, smoothness))
    found, error = decomposed(rapp(GAUSSIAN, backoff_db, smoothness))
    assert (found, error) == pytest.approx((gain, evm(gain, power)), rel=0.02)


def test_rapps_amplifier_saturates_and_a_sharp_one_clips():
    strong = torch.tensor([100.0 + 0j], dtype=torch.complex128)
    assert abs(rapp(strong, 6.0, 2.0)) == pytest.approx(10 ** (6 / 20), rel=1e-3)
    torch.testing.assert_close(rapp(GAUSSIAN, 3.0, 20.0), clip(GAUSSIAN, 3.0), atol=0.06, rtol=0)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_uniform_quantiser_of_uniform_values_has_six_decibels_a_bit(bits):
    x = torch.rand(200_000, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    noise = (quantise(x, bits, 1.0) - x).square().mean()
    assert 10 * math.log10(x.square().mean() / noise) == pytest.approx(20 * bits * math.log10(2), abs=0.05)


@pytest.mark.parametrize(("bits", "mse"), [(1, 0.3634), (2, 0.1188), (3, 0.03744), (4, 0.01154)])
def test_the_converter_loses_what_the_best_uniform_quantiser_does(bits, mse):
    """Max (1960), Table 2."""
    x = GAUSSIAN[None]
    assert (convert(x, bits) - x).abs().square().mean() == pytest.approx(mse, rel=0.03)


def test_an_image_is_rejected_by_the_closed_form():
    signal, image = imbalance(1.0, 5.0)
    assert 20 * math.log10(abs(signal) / abs(image)) == pytest.approx(image_rejection_db(1.0, 5.0), abs=1e-9)
    assert 10 * math.log10(abs(signal) ** 2 + abs(image) ** 2) == pytest.approx(0.0, abs=1e-9)
    tone = torch.exp(2j * math.pi * 5 * torch.arange(64).double() / 64)
    bins = torch.fft.fft(mix(tone, 1.0, 5.0)).abs()
    assert 20 * math.log10(bins[5] / bins[-5]) == pytest.approx(image_rejection_db(1.0, 5.0), abs=1e-6)


@pytest.mark.parametrize(
    ("mask", "carrier_hz", "offset_hz", "level_db"),
    [
        ("set-a", 30e9, 1.0, -79.4),
        ("set-a", 60e9, 1.0, -79.4 + 20 * math.log10(2)),
        ("set-b", 60e9, 1.0, -70.0),
        ("tr-38.803", 29.55e9, 1e-3, 32.0),
    ],
)
def test_masks_begin_at_their_level_and_scale_with_the_carrier(mask, carrier_hz, offset_hz, level_db):
    found = spectrum(mask, torch.tensor([offset_hz]), carrier_hz)
    assert 10 * math.log10(float(found)) == pytest.approx(level_db, abs=0.02)


def test_phase_noise_has_the_variance_and_the_common_phase_error_of_its_spectrum():
    """The mean phase over a symbol has the variance of the spectrum behind a Dirichlet kernel."""
    rate_hz, samples, symbol = 61.44e6, 8192, 512
    drawn = torch.stack([phases("set-a", 140e9, rate_hz, samples, seed) for seed in range(400)])
    offset = torch.arange(1, samples // 2).double() * rate_hz / samples
    density, step = spectrum("set-a", offset, 140e9), rate_hz / samples
    assert float(drawn.var()) == pytest.approx(2 * float(density.sum() * step), rel=0.05)
    x = math.pi * offset / rate_hz
    kernel = (torch.sin(symbol * x) / (symbol * torch.sin(x))).square()
    cpe = drawn.unflatten(1, (-1, symbol)).mean(-1)
    assert float(cpe.var()) == pytest.approx(2 * float((density * kernel).sum() * step), rel=0.05)
