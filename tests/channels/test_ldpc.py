"""The layered decoder against Sionna's encoder and decoder."""

import pytest
import torch
from sionna.phy.fec.ldpc import LDPC5GEncoder

from channels.ldpc import LayeredDecoder


def bits(batch: int, k: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 2, (batch, k), generator=torch.Generator().manual_seed(seed)).float()


@pytest.mark.parametrize(("k", "n"), [(128, 640), (1024, 2048), (1024, 1152), (3000, 9000)])
def test_round_trip_without_noise(k: int, n: int) -> None:
    encoder = LDPC5GEncoder(k, n, num_bits_per_symbol=2, device="cpu")
    message = bits(9, k)
    result = LayeredDecoder(encoder).decode(8 * encoder(message) - 4)
    assert torch.equal(result.bits, message)
    assert result.converged.all()
