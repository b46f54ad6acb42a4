"""LDPC coding with the rate matching of TS 38.212 §5.4.2: any rate, any redundancy version.

`LdpcCode` sees a code block as the circular buffer of its mother code, filler bits removed. A transmission
reads `n` bits of it, starting where its redundancy version says and wrapping round; the receiver adds the
log-likelihood ratios (LLRs) of every transmission into the same buffer. Chase combining (the same version
again), incremental redundancy (another version) and repetition below the mother rate are then one mechanism.

LLRs follow Sionna's convention, log p(1) / p(0). Coding runs on the CPU, whatever the rest of a link runs on:
the waterfalls that links are planned with are those of this decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from channels.coding.ldpc.decoder import LayeredDecoder, LdpcResult
from channels.coding.scrambling import scrambling_sequence
from channels.coding.transport import BaseGraph

if TYPE_CHECKING:
    from sionna.phy.fec.ldpc import LDPC5GEncoder

# TS 38.214 §5.1.2.1: order of the redundancy versions
RV_ORDER = (0, 2, 3, 1)
# Sionna's encoder refuses rates below those of the mother codes
_MAX_EXPANSION: dict[BaseGraph, int] = {"bg1": 3, "bg2": 5}


class LdpcCode:
    """One 5G LDPC code block format: `k` information bits, `n` coded bits a transmission."""

    def __init__(
        self, base_graph: BaseGraph, k: int, n: int, bits_per_symbol: int, num_iterations: int
    ) -> None:
        self.k, self.n = k, n
        # The encoder for min(n, mother rate) bits; its circular buffer holds every coded bit once
        self._encoder = _encoder(base_graph, k, min(n, _MAX_EXPANSION[base_graph] * k))
        self._decoder = _decoder(self._encoder, num_iterations)
        self.buffer_length = self._encoder.n_cb_comp
        self._cover = self._covering_versions()
        columns = torch.arange(n).reshape(bits_per_symbol, -1)
        self._interleaver = columns.T.reshape(-1)  # TS 38.212 §5.4.2.2
        self._scrambling = torch.from_numpy(scrambling_sequence(n))

    def encode(self, bits: Tensor) -> Tensor:
        """Encode [..., k] bits to circular buffers [..., buffer_length], float."""
        slices = self._encoder(bits.float(), rv=self._cover)
        buffer = torch.zeros(*bits.shape[:-1], self.buffer_length)
        for i, rv in enumerate(self._cover):
            buffer[..., self._slice_positions(rv)] = slices[..., i, :]
        return buffer

    def transmit(self, buffer: Tensor, rv: int) -> Tensor:
        """Read the `n` scrambled and interleaved bits of a redundancy version: [..., n], int64 of 0 and 1."""
        return buffer[..., self._positions(rv)].long() ^ self._scrambling.long()

    def combine(self, buffer_llr: Tensor, llr: Tensor, rv: int) -> None:
        """Add the LLRs [..., n] of a transmission into the buffers [..., buffer_length], in place."""
        signed = llr * (1 - 2 * self._scrambling.float())
        buffer_llr.index_add_(-1, self._positions(rv), signed)

    def decode(self, buffer_llr: Tensor, versions: Sequence[int] = (0,), soft: bool = False) -> LdpcResult:
        """Decode buffers [batch, buffer_length], filled by `versions`, to bits or LLRs [batch, k]."""
        if self.n > self._encoder.n:
            versions = self._cover
        if set(versions) == {0}:
            return self._decoder.decode(buffer_llr[..., : self._encoder.n], soft=soft)
        distinct = list(dict.fromkeys(versions))
        slices = buffer_llr.new_zeros(*buffer_llr.shape[:-1], len(distinct), self._encoder.n)
        taken = torch.zeros(self.buffer_length, dtype=torch.bool)
        for i, rv in enumerate(distinct):
            positions = self._slice_positions(rv)
            slices[..., i, :] = buffer_llr[..., positions] * ~taken[positions]
            taken[positions] = True
        return self._decoder.decode(slices, rv=distinct, soft=soft)

    def _positions(self, rv: int) -> Tensor:
        start = self._encoder.get_start_positions_comp([rv])[0]
        return (start + self._interleaver) % self.buffer_length

    def _slice_positions(self, rv: int) -> Tensor:
        start = self._encoder.get_start_positions_comp([rv])[0]
        return (start + torch.arange(self._encoder.n)) % self.buffer_length

    def _covering_versions(self) -> list[int]:
        """The redundancy versions of the encoder that together hold the whole buffer."""
        versions: list[int] = []
        seen = torch.zeros(self.buffer_length, dtype=torch.bool)
        for rv in RV_ORDER:
            versions.append(rv)
            seen[self._slice_positions(rv)] = True
            if seen.all():
                break
        return versions


@lru_cache(maxsize=1024)
def ldpc_code(base_graph: BaseGraph, k: int, n: int, bits_per_symbol: int, num_iterations: int) -> LdpcCode:
    """Return the code of this format, built once a process (tens of milliseconds each)."""
    return LdpcCode(base_graph, k, n, bits_per_symbol, num_iterations)


@lru_cache(maxsize=1024)
def _encoder(base_graph: BaseGraph, k: int, n: int) -> LDPC5GEncoder:
    from sionna.phy.fec.ldpc import LDPC5GEncoder

    return LDPC5GEncoder(k, n, bg=base_graph, device="cpu", precision="single", check_input=False)


@lru_cache(maxsize=1024)
def _decoder(encoder: LDPC5GEncoder, num_iterations: int) -> LayeredDecoder:
    return LayeredDecoder(encoder, num_iterations)
