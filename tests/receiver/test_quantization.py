"""Precisions of the decoder's layers, against QLoRA's published levels and float arithmetic."""

import warnings

import pytest
import torch
from torch import nn

from semcom.receiver import integer_conv, quantization
from semcom.receiver.quantization import Quantization, quantise_decoder, resolved, round_to_nf4

# Dettmers et al., QLoRA (arXiv 2305.14314), appendix E: the sixteen NF4 levels.
NF4 = (
    -1.0, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0.0,
    0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0,
)  # fmt: skip


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(32, 32, 3), nn.Flatten(1), nn.Linear(128, 32)).eval().requires_grad_(False)


def test_nf4_weights_take_the_published_levels():
    net = quantise_decoder(network(), Quantization.NF4)
    weights = net[0].weight.flatten()
    for block in weights.split(64):
        scaled = (block / block.abs().max()).tolist()
        assert all(min(abs(value - level) for level in NF4) < 1e-3 for value in scaled)


@pytest.mark.parametrize(
    ("level", "tolerance"), [("fp32", 1e-6), ("bf16", 0.02), ("int8", 0.03), ("nf4", 0.25)]
)
def test_output_stays_close(level, tolerance):
    x = torch.randn(8, 32, 4, 4, generator=torch.Generator().manual_seed(1))
    exact = network()(x)
    net = quantise_decoder(network(), Quantization(level))
    result = net(x.bfloat16() if level == "bf16" else x).float()
    assert (result - exact).norm() < tolerance * exact.norm()
    assert level == "fp32" or not torch.equal(result, exact)


def test_narrow_layers_keep_their_weights():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 32, 3), nn.Conv2d(32, 12, 1)).requires_grad_(False)
    before = [layer.weight.clone() for layer in net]
    quantise_decoder(net, Quantization.NF4)
    for layer, weight in zip(net, before, strict=True):
        torch.testing.assert_close(layer.weight, weight, rtol=0, atol=0)


def test_rounded_linear_layers_compute_what_packed_ones_do():
    """What adapters are trained beside is what they run beside."""
    x = torch.randn(4, 128, generator=torch.Generator().manual_seed(1))
    rounded, packed = network()[2], quantise_decoder(network(), Quantization.NF4)[2]
    round_to_nf4(rounded, nn.Linear)
    assert not torch.equal(rounded.weight, network()[2].weight)
    torch.testing.assert_close(rounded(x), packed(x), rtol=1e-4, atol=1e-5)


def test_int8_convolutions_have_256_levels_a_channel():
    exact, net = network()[0].weight, quantise_decoder(network(), Quantization.INT8)[0].weight
    for before, after in zip(exact, net, strict=True):
        step = before.abs().max() / 127
        torch.testing.assert_close(after / step, (after / step).round(), rtol=0, atol=1e-3)
        assert 0 < (after - before).abs().max() <= 0.5001 * step


def test_nf4_compiles_nothing(monkeypatch):
    """Rows of odd length went to a compiled kernel: minutes, and warnings of torch.compile."""
    from bitsandbytes.backends.default import ops

    def compiled(*_):
        raise AssertionError("bitsandbytes would compile a kernel")

    monkeypatch.setattr(ops, "_dequantize_4bit_compute", compiled)
    net = quantise_decoder(network(), Quantization.NF4)  # a 3×3 convolution: rows of three
    assert net(torch.randn(1, 32, 4, 4)).isfinite().all()


@pytest.mark.parametrize("exact", [True, False])
def test_auto_is_int8_where_exact_else_fp32_and_never_bf16(monkeypatch, exact):
    monkeypatch.setattr(integer_conv, "has_integer_kernels", lambda: exact)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolved(Quantization.AUTO) is (Quantization.INT8 if exact else Quantization.FP32)


def test_bf16_warns_without_bfloat16_instructions(monkeypatch):
    monkeypatch.setattr(quantization, "has_bf16", lambda: False)
    with pytest.warns(UserWarning, match="no bfloat16 instructions"):
        assert resolved(Quantization.BF16) is Quantization.BF16
