"""Phase-tracking pilots (PT-RS, TS 38.211 §7.4.1.2): a subcarrier in some PRBs, in every data symbol."""

from __future__ import annotations

import torch
from torch import Tensor

from channels.spec import SUBCARRIERS_PER_PRB, OfdmSpec


def ptrs_subcarriers(spec: OfdmSpec) -> Tensor:
    """Subcarriers of the phase-tracking pilots: the middle one of every `ptrs_prb_spacing` PRBs."""
    if not spec.ptrs_prb_spacing:
        return torch.empty(0, dtype=torch.int64)
    step = SUBCARRIERS_PER_PRB * spec.ptrs_prb_spacing
    return torch.arange(SUBCARRIERS_PER_PRB // 2, spec.num_subcarriers, step)


def data_symbols(spec: OfdmSpec) -> Tensor:
    """OFDM symbols of a slot that hold data."""
    return torch.tensor([t for t in range(spec.num_ofdm_symbols) if t not in spec.pilot_symbols])


def common_phase(y: Tensor, h_hat: Tensor, spec: OfdmSpec) -> Tensor:
    """What turns each data symbol back by the common phase error that its PT-RS see.

    Args:
        y: received, [slots, rx, symbols, subcarriers].
        h_hat: estimate of the first stream's channel, the same shape.
        spec: the grid.

    Returns:
        [slots, 1, symbols, 1], of unit modulus; one on pilot symbols.
    """
    symbols = data_symbols(spec)
    at = (slice(None), slice(None), symbols[:, None], ptrs_subcarriers(spec))
    seen = (y[at] * h_hat.to(y.dtype)[at].conj()).sum(dim=(1, 3))
    turn = torch.ones(len(y), spec.num_ofdm_symbols, dtype=y.dtype, device=y.device)
    turn[:, symbols] = seen.conj() / seen.abs().clamp_min(1e-12)
    return turn[:, None, :, None]
