"""Fast CPU decoder for the 5G NR LDPC codes (3GPP TS 38.212), a drop-in for Sionna's `LDPC5GDecoder`.

Layered belief propagation on 16-bit messages that stops as soon as every parity check holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from channels.coding.ldpc.schedule import Schedule, build_schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sionna.phy.fec.ldpc import LDPC5GEncoder


@dataclass(frozen=True)
class LdpcResult:
    """What one decoding gives for a batch of codewords.

    Attributes:
        bits: information bits, 0.0 or 1.0 in the encoder's precision [..., k].
        iterations: layered iterations used, int32 [...].
        converged: whether the hard decisions satisfy every parity check in use, bool [...].
            False says that the codeword is undecided; True can still be wrong, as with any code.
    """

    bits: torch.Tensor
    iterations: torch.Tensor
    converged: torch.Tensor


class LayeredDecoder:
    """Layered decoder for `LDPC5GEncoder`, called like `LDPC5GDecoder(encoder, harq_mode=True)`.

    The check-node rule is A-min* (Jones et al., "Approximate-MIN* constraint node updating for LDPC code
    decoding", IEEE MILCOM 2003) with a piecewise-linear correction: unlike min-sum it loses nothing at low
    rates, but like belief propagation it wants LLRs of the right scale. Decoding is deterministic, and a
    codeword's result does not depend on its batch.

    Args:
        encoder: the code: k, n, base graph, lifting and the output interleaver of TS 38.212 clause 5.4.2.2.
        num_iter: most iterations spent on a codeword; each updates every parity check once.

    Raises:
        ValueError: num_iter is below 1.
    """

    def __init__(self, encoder: LDPC5GEncoder, num_iter: int = 20) -> None:
        if num_iter < 1:
            raise ValueError(f"num_iter is {num_iter}: the decoder needs at least 1 iteration")
        self.encoder = encoder
        self.num_iter = num_iter
        self._schedules: dict[tuple[int, ...], Schedule] = {}

    def __call__(self, llr: torch.Tensor | np.ndarray, rv: Sequence[int] | None = None) -> torch.Tensor:
        """Information bits [..., k] of channel LLRs; see `decode` for the arguments."""
        return self.decode(llr, rv).bits

    def decode(
        self, llr: torch.Tensor | np.ndarray, rv: Sequence[int] | None = None, soft: bool = False
    ) -> LdpcResult:
        """Decode channel LLRs and report how it went.

        Args:
            llr: ln p(bit=1)/p(bit=0), Sionna's sign convention, real [..., n]; with `rv` given
                [..., len(rv), n], where, as in Sionna, a single redundancy version may come without its axis.
            rv: redundancy versions received (0 to 3, TS 38.212 Table 5.4.2.1-2), repeated for Chase
                combining; their LLRs are added in the circular buffer. None: one transmission with version 0.
            soft: whether `bits` of the result are LLRs ln p(1)/p(0), too certain where decoding failed.

        Raises:
            ValueError: the shape of `llr` fits neither n nor `rv`, `llr` contains NaN, or a redundancy
                version does not exist.
        """
        # Imported here because numba takes a second to load and `import channels` must stay light.
        from channels.coding.ldpc.kernel import decode

        encoder = self.encoder
        versions = (0,) if rv is None else tuple(rv)
        values = torch.as_tensor(llr).detach().to(torch.float32).numpy()
        if values.size and np.isnan(values.min()):
            raise ValueError("llr contains NaN: check the noise variance given to the demapper")
        batch_shape = self._batch_shape(values.shape, versions, rv is not None)
        blocks = np.ascontiguousarray(values.reshape(-1, len(versions), encoder.n))
        bits, iterations, converged = decode(blocks, self._schedule(versions), self.num_iter, encoder.k, soft)
        return LdpcResult(
            bits=torch.from_numpy(bits).to(encoder.dtype).reshape(*batch_shape, encoder.k),
            iterations=torch.from_numpy(iterations).reshape(batch_shape),
            converged=torch.from_numpy(converged).reshape(batch_shape),
        )

    def _schedule(self, versions: tuple[int, ...]) -> Schedule:
        if versions not in self._schedules:
            from channels.coding.ldpc.simd import LANES

            self._schedules[versions] = build_schedule(self.encoder, versions, LANES)
        return self._schedules[versions]

    def _batch_shape(
        self, shape: tuple[int, ...], versions: tuple[int, ...], has_rv: bool
    ) -> tuple[int, ...]:
        """Leading dimensions of the LLRs, after checking the trailing ones."""
        n = self.encoder.n
        if not shape or shape[-1] != n:
            raise ValueError(f"llr has shape {list(shape)}: its last dimension must be n={n}")
        if not has_rv:
            return shape[:-1]
        if len(shape) >= 2 and shape[-2] == len(versions) and (len(versions) > 1 or len(shape) >= 3):
            return shape[:-2]
        if len(versions) == 1:
            return shape[:-1]
        wanted = [len(versions), n]
        raise ValueError(
            f"llr has shape {list(shape)}: its last two dimensions must be {wanted}, one row per rv"
        )
