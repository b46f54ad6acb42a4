"""What an LMMSE receiver makes of resource elements, and how good that is in truth."""

from __future__ import annotations

import torch
from torch import Tensor


def equalise(y: Tensor, h: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Unbiased LMMSE estimates of unit-energy symbols and the variance that the receiver believes they have.

    Args:
        y: received, [slots, REs, rx].
        h: channel estimate times the symbols' amplitude, [slots, REs, rx, streams].
        noise: N0 and the estimate's error, [slots, REs].

    Returns:
        Two tensors [slots, REs, streams].
    """
    if h.shape[-2:] == (1, 1):
        # The unbiased LMMSE estimate of a single symbol is the zero-forcing one
        gain = h[..., 0].abs().square().clamp_min(1e-20)
        return y * h[..., 0].conj() / gain, noise[..., None] / gain
    from sionna.phy.mimo import lmmse_equalizer

    covariance = torch.diag_embed(noise[..., None].expand(*noise.shape, h.shape[-2])).to(y.dtype)
    precision = "double" if y.dtype == torch.complex128 else "single"
    symbols, variance = lmmse_equalizer(y, h, covariance, whiten_interference=True, precision=precision)
    return symbols, variance


def unbiased_error_variance(error_variance: Tensor, num_streams: int) -> Tensor:
    """Error variance of estimates scaled so that their mean is the channel, summed over the streams.

    `error_variance` [slots, streams, symbols, subcarriers] is that of estimates that are uncorrelated with
    their error: they hold the share 1 - error_variance / power of the channel, where a stream's power is one
    over their number. [slots, symbols, subcarriers].
    """
    kept = (1 - error_variance * num_streams).clamp_min(1e-12)
    return (error_variance / kept).sum(dim=1)


def post_equalisation_sinr(
    h: Tensor, error: Tensor, no: Tensor, energy: Tensor, error_share: float = 1.0
) -> Tensor:
    """SINR of the unbiased LMMSE receiver over a known channel, in the mean over its estimates' errors.

    With r receive antennas, symbols a x of energy a^2 and an estimate h + e, the matched filter's output
    (h + e)^H (a h x + n) has, beside a |h|^2 x, the power |h|^2 (N0 + a^2 E|e|^2) + r N0 E|e|^2. The last
    term costs most at low SNR; it makes the SINR the true one where an estimate is mostly noise, whereas
    |h + e|^2 / (N0 + E|e|^2) would flatter it. With several streams the errors of all count as noise of an
    MMSE receiver, whose SINR is 1 / [(I + a^2 H^H H / noise)^-1]_kk - 1.

    Args:
        h: the channel, [..., rx, streams].
        error: of the unbiased estimate, a receive antenna and all streams together, [...].
        no: noise variance, [...].
        energy: a^2, [...].
        error_share: how much of E|e|^2 in the middle term counts as noise.

    Returns:
        [..., streams], linear.
    """
    power = (h.real.square() + h.imag.square()).sum(dim=(-2, -1)).clamp_min(1e-12)
    noise = no + error * (error_share * energy + no * h.shape[-2] / power)
    if h.shape[-1] == 1:
        return (energy * power / noise)[..., None]
    gram = h.mH @ h * (energy / noise)[..., None, None]
    eye = torch.eye(h.shape[-1], dtype=gram.dtype, device=gram.device)
    residual = torch.linalg.inv(eye + gram).diagonal(dim1=-2, dim2=-1).real
    return (1 / residual - 1).clamp_min(0)
