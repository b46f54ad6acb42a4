import pytest
import torch
from sionna.phy.fec.ldpc import LDPC5GEncoder

from channels.coding.rate_matching import RV_ORDER, ldpc_code
from channels.coding.scrambling import scrambling_sequence


def random_bits(*shape, seed=0):
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("base_graph", "k", "n", "order"),
    [("bg2", 56, 132, 2), ("bg2", 300, 900, 6), ("bg1", 2000, 2800, 8), ("bg1", 1024, 3072, 4)],
)
def test_transmissions_equal_sionnas_rate_matching(base_graph, k, n, order):
    code = ldpc_code(base_graph, k, n, order, 20)
    reference = LDPC5GEncoder(k, n, num_bits_per_symbol=order, bg=base_graph, device="cpu")
    bits = random_bits(3, k)
    expected = reference(bits.float(), rv=list(RV_ORDER))
    scrambling = torch.from_numpy(scrambling_sequence(n)).long()
    for i, rv in enumerate(RV_ORDER):
        sent = code.transmit(code.encode(bits), rv)
        assert torch.equal(sent ^ scrambling, expected[:, i].long())


@pytest.mark.parametrize("k", [32, 56, 192, 200, 564, 648, 3840])
@pytest.mark.parametrize("rate", [30 / 1024, 120 / 1024, 0.19])
def test_rates_below_the_mother_code_repeat_it(k, rate):
    n = 2 * round(k / rate / 2)
    code = ldpc_code("bg2", k, n, 2, 20)
    bits = random_bits(2, k)
    buffer = code.encode(bits)
    sent = code.transmit(buffer, 0)
    llr = torch.zeros_like(buffer)
    code.combine(llr, 2.0 * sent - 1.0, 0)
    # Every position of the buffer was sent floor or ceil(n / length) times, each time with the right sign
    assert torch.equal(llr.sign(), torch.where(llr == 0, 0.0, 2 * buffer - 1))
    assert llr.abs().max() - llr.abs().min() <= 1
    assert llr.abs().sum() == 2 * n
    assert torch.equal(code.decode(llr).bits, bits.float())


@pytest.mark.parametrize(("base_graph", "k", "n"), [("bg2", 300, 400), ("bg1", 900, 1000)])
def test_incremental_redundancy_decodes_what_neither_version_could(base_graph, k, n):
    code = ldpc_code(base_graph, k, n, 2, 20)
    bits = random_bits(4, k)
    buffer = code.encode(bits)
    llr = torch.zeros_like(buffer)
    generator = torch.Generator().manual_seed(1)
    no = 0.9
    for rv, decodable in ((0, False), (2, True)):
        symbols = 2.0 * code.transmit(buffer, rv) - 1.0
        received = symbols + torch.randn(symbols.shape, generator=generator) * (no / 2) ** 0.5
        code.combine(llr, 4 * received / no, rv)
        decoded = code.decode(llr, RV_ORDER[: RV_ORDER.index(rv) + 1]).bits
        assert bool((decoded == bits).all()) == decodable
