"""Transport blocks: how many bytes become how many code blocks, coded bits and symbols.

One packet is one transport block. Its CRC is the 24-bit one (CRC24A) whatever its size, where TS 38.212
§7.2.1 has 16 bits up to 3824: a packet that arrives wrong but unnoticed would reach an image decoder as
garbage, and 2^-16 a packet is too often for a sweep of millions of them. So that the longer CRC does not cut
a packet in two, base graph 2 ends at 3816 payload bits instead of 3824. The rest is §5.2.2 and §7.2.2.

Packet sizes and the MCS of a class are the scheduler's grant: the receiver knows them as a terminal knows its
downlink control information, and their signalling isn't simulated or counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from channels.coding.crc import CRC_BITS, append_crc, crc_ok
from channels.coding.mcs import Mcs

BaseGraph = Literal["bg1", "bg2"]
_MAX_CODE_BLOCK_BITS: dict[BaseGraph, int] = {"bg1": 8448, "bg2": 3840}


@dataclass(frozen=True)
class TransportFormat:
    """The grant of one packet: everything that follows from its size and its MCS."""

    num_bytes: int
    mcs: Mcs
    num_layers: int
    base_graph: BaseGraph
    num_code_blocks: int
    num_padding_bits: int
    k: int
    """Information bits of each code block, its CRC included."""
    n: int
    """Coded bits of each code block: a whole number of symbols on every layer."""

    @property
    def num_symbols(self) -> int:
        """QAM symbols of a transmission, all layers together."""
        return self.num_code_blocks * self.n // self.mcs.bits_per_symbol

    @property
    def num_resource_elements(self) -> int:
        """Resource elements of a transmission; each carries one symbol a layer."""
        return self.num_symbols // self.num_layers


@lru_cache(maxsize=65536)
def transport_format(num_bytes: int, mcs: Mcs, num_layers: int = 1) -> TransportFormat:
    """Plan the transport block of a packet (TS 38.212 §5.2.2, §7.2.2).

    The MCS's code rate covers payload and CRC, so the code never runs above it. Bits of padding make the
    block divisible where it is segmented; 3GPP sees to that by quantising transport-block sizes, which a
    payload of any number of bytes can't.

    Raises:
        ValueError: the packet is empty.
    """
    if num_bytes < 1:
        raise ValueError("a packet must hold at least 1 byte")
    payload_bits = 8 * num_bytes
    base_graph = _base_graph(payload_bits, mcs.code_rate)
    limit = _MAX_CODE_BLOCK_BITS[base_graph]
    block_bits = payload_bits + CRC_BITS
    blocks = 1 if block_bits <= limit else math.ceil(block_bits / (limit - CRC_BITS))
    k = math.ceil(block_bits / blocks) + (CRC_BITS if blocks > 1 else 0)
    padding = blocks * (k - (CRC_BITS if blocks > 1 else 0)) - block_bits
    quantum = mcs.bits_per_symbol * num_layers
    n = quantum * math.ceil(k / (mcs.code_rate * quantum))
    return TransportFormat(num_bytes, mcs, num_layers, base_graph, blocks, padding, k, n)


def _base_graph(payload_bits: int, code_rate: float) -> BaseGraph:
    """TS 38.212 §7.2.2, with the limit at what one code block of base graph 2 holds."""
    one_block = payload_bits + CRC_BITS <= _MAX_CODE_BLOCK_BITS["bg2"]
    if payload_bits <= 292 or (one_block and code_rate <= 0.67) or code_rate <= 0.25:
        return "bg2"
    return "bg1"


def segment(data: bytes, fmt: TransportFormat) -> NDArray[np.uint8]:
    """Add CRCs and cut a packet into code blocks: bits [num_code_blocks, k], uint8."""
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8))
    bits = np.concatenate([bits, np.zeros(fmt.num_padding_bits, dtype=np.uint8)])
    blocks = append_crc(bits, "24A").reshape(fmt.num_code_blocks, -1)
    return append_crc(blocks, "24B") if fmt.num_code_blocks > 1 else blocks


def reassemble(blocks: NDArray[np.uint8], fmt: TransportFormat) -> bytes | None:
    """Undo `segment`; None where a CRC fails, so that a wrong packet is an erased one."""
    if fmt.num_code_blocks > 1:
        if not crc_ok(blocks, "24B").all():
            return None
        blocks = blocks[:, :-CRC_BITS]
    bits = blocks.reshape(-1)
    if not crc_ok(bits, "24A"):
        return None
    return np.packbits(bits[: 8 * fmt.num_bytes]).tobytes()


def payload_part(blocks: NDArray[Any], fmt: TransportFormat) -> NDArray[Any]:
    """What code blocks [num_code_blocks, k] hold of the payload, bits or LLRs [8 * num_bytes], unchecked."""
    if fmt.num_code_blocks > 1:
        blocks = blocks[:, :-CRC_BITS]
    return blocks.reshape(-1)[: 8 * fmt.num_bytes]
