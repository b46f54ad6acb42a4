"""The layered decoder against Sionna's encoder, parity-check matrix and belief-propagation decoder."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder

from channels.coding.ldpc.decoder import LayeredDecoder
from channels.coding.ldpc.kernel import decode
from channels.coding.ldpc.schedule import build_schedule
from channels.coding.ldpc.simd import LANES


def make_encoder(k: int, n: int, bg: str | None = None, qm: int | None = None) -> LDPC5GEncoder:
    return LDPC5GEncoder(k, n, num_bits_per_symbol=qm, bg=bg, device="cpu")


def draw_bits(batch: int, k: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 2, (batch, k), generator=torch.Generator().manual_seed(seed)).float()


def awgn_llr(code_bits: torch.Tensor, snr_db: float, seed: int = 1) -> torch.Tensor:
    """LLRs of QPSK over AWGN at Es/N0 = snr_db."""
    n0 = 10 ** (-snr_db / 10)
    noise = torch.randn(code_bits.shape, generator=torch.Generator().manual_seed(seed)) * n0**0.5
    return (2 * code_bits - 1 + noise) * (2 / n0)


def wrong_blocks(decided: torch.Tensor, message: torch.Tensor) -> int:
    return int((decided != message).any(dim=-1).sum())


@given(data=st.data())
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_noise_free_round_trip(data: st.DataObject) -> None:
    bg = data.draw(st.sampled_from(["bg1", "bg2"]), label="base graph")
    k = data.draw(st.integers(12, 2000), label="k")
    low = 1 / 3 if bg == "bg1" else 1 / 5
    rate = data.draw(st.floats(low, 0.9), label="rate")
    qm = data.draw(st.sampled_from([None, 1, 2, 4, 6, 8]), label="bits per symbol")
    n = int(k / rate) // (qm or 1) * (qm or 1)
    encoder = make_encoder(k, max(n, -(-k * 10 // (9 * (qm or 1))) * (qm or 1)), bg, qm)
    message = draw_bits(5, k)
    result = LayeredDecoder(encoder).decode(8 * encoder(message) - 4)
    assert torch.equal(result.bits, message)
    assert result.converged.all()


@pytest.mark.parametrize(
    ("k", "n", "bg", "snr_db"),
    [(100, 500, "bg2", -1.0), (400, 1200, "bg1", 1.5), (640, 960, "bg2", 4.5), (1000, 1126, "bg1", 7.5)],
)
def test_same_bits_as_sionna_well_above_threshold(k: int, n: int, bg: str, snr_db: float) -> None:
    encoder = make_encoder(k, n, bg, qm=2)
    llr = awgn_llr(encoder(draw_bits(40, k)), snr_db)
    expected = LDPC5GDecoder(encoder, num_iter=20, device="cpu")(llr)
    decided = LayeredDecoder(encoder)(llr)
    assert decided.dtype == expected.dtype
    assert torch.equal(decided, expected)


@pytest.mark.parametrize(
    ("k", "n", "bg", "snr_db"), [(128, 256, "bg2", 2.0), (200, 600, "bg1", -0.6), (256, 288, "bg1", 6.6)]
)
def test_bler_near_threshold_is_no_worse_than_sionnas(k: int, n: int, bg: str, snr_db: float) -> None:
    encoder = make_encoder(k, n, bg)
    message = draw_bits(200, k)
    llr = awgn_llr(encoder(message), snr_db)
    theirs = LDPC5GDecoder(encoder, num_iter=20, device="cpu")(llr) != message
    ours = LayeredDecoder(encoder)(llr) != message
    only_ours = int((ours.any(-1) & ~theirs.any(-1)).sum())
    only_theirs = int((theirs.any(-1) & ~ours.any(-1)).sum())
    assert 10 < int(theirs.any(-1).sum()) < 190, "the operating point must lie inside the waterfall"
    # McNemar: discordant blocks are binomial(1/2) if both are equally good; 4 sigma allows for chance
    assert only_ours - only_theirs <= 4 * max(1.0, (only_ours + only_theirs) ** 0.5)


@pytest.mark.parametrize(("k", "n"), [(24, 72), (128, 640), (1024, 2048)])
def test_result_does_not_depend_on_the_batch(k: int, n: int) -> None:
    encoder = make_encoder(k, n)
    llr = awgn_llr(encoder(draw_bits(64, k)), {72: -1.0, 640: -4.0, 2048: 1.0}[n])
    decoder = LayeredDecoder(encoder)
    together = decoder.decode(llr)
    assert together.iterations.unique().numel() > 2, (
        "codewords must stop at different times for this to mean anything"
    )
    order = torch.randperm(64, generator=torch.Generator().manual_seed(3))
    shuffled = decoder.decode(llr[order])
    alone = [decoder.decode(llr[i]) for i in range(64)]
    for field in ("bits", "iterations", "converged"):
        expected = getattr(together, field)
        assert torch.equal(getattr(shuffled, field), expected[order])
        assert torch.equal(torch.stack([getattr(a, field) for a in alone]), expected)


@pytest.mark.parametrize(
    ("k", "n", "bg", "rv"),
    [
        (300, 400, "bg1", [0]),
        (300, 400, "bg1", [0, 2]),
        (300, 400, "bg1", [2, 3, 1]),
        (120, 160, "bg2", [0, 0]),
        (120, 160, "bg2", [0, 2, 3, 1]),
    ],
)
def test_harq_combining_matches_sionna(k: int, n: int, bg: str, rv: list[int]) -> None:
    encoder = make_encoder(k, n, bg, qm=4)
    message = draw_bits(60, k)
    snr_db = 6.0 - 10 * np.log10(len(rv)) - (1.0 if len(set(rv)) > 1 else 0.0)
    llr = awgn_llr(encoder(message, rv=rv), snr_db)
    theirs = wrong_blocks(
        LDPC5GDecoder(encoder, num_iter=20, harq_mode=True, device="cpu")(llr, rv=rv), message
    )
    ours = wrong_blocks(LayeredDecoder(encoder)(llr, rv=rv), message)
    assert abs(ours - theirs) <= 6
    assert ours < 30


def test_chase_combining_equals_adding_the_llrs() -> None:
    encoder = make_encoder(200, 300, qm=2)
    llr = awgn_llr(encoder(draw_bits(50, 200), rv=[0, 0]), 0.0)
    decoder = LayeredDecoder(encoder)
    assert torch.equal(decoder(llr, rv=[0, 0]), decoder(llr.sum(dim=1)))


@pytest.mark.parametrize(("k", "n", "bg", "snr_db"), [(100, 300, "bg1", -1.0), (60, 120, "bg2", 2.0)])
def test_converged_means_that_every_parity_check_holds(k: int, n: int, bg: str, snr_db: float) -> None:
    encoder = make_encoder(k, n, bg)
    llr = awgn_llr(encoder(draw_bits(200, k)), snr_db)
    schedule = build_schedule(encoder, [0], LANES)
    code_bits, _, converged = decode(llr.numpy()[:, None], schedule, 5, encoder.n_ldpc)
    column = np.arange(encoder.n_ldpc) // encoder.z
    code_bits[:, ~np.isin(column, schedule.columns)] = 0
    parity_column = encoder.k_ldpc // encoder.z + np.arange(encoder.pcm.shape[0]) // encoder.z
    checks = encoder.pcm[np.isin(parity_column, schedule.columns)]
    satisfied = (checks @ code_bits.T % 2 == 0).all(axis=0)
    assert 20 < satisfied.sum() < 180
    assert np.array_equal(converged, satisfied)


def test_accepts_numpy_and_any_leading_shape() -> None:
    encoder = make_encoder(50, 100)
    message = draw_bits(6, 50).reshape(2, 3, 50)
    llr = 8 * encoder(message) - 4
    decoder = LayeredDecoder(encoder)
    result = decoder.decode(llr.double().numpy())
    assert torch.equal(result.bits, message)
    assert result.iterations.shape == result.converged.shape == (2, 3)
    assert decoder(llr[0, 0]).shape == (50,)
    assert decoder(llr[:0]).shape == (0, 3, 50)


def test_bad_input_gives_one_clear_error() -> None:
    encoder = make_encoder(50, 100)
    decoder = LayeredDecoder(encoder)
    with pytest.raises(ValueError, match="last dimension must be n=100"):
        decoder(torch.zeros(4, 99))
    with pytest.raises(ValueError, match=r"must be \[2, 100\]"):
        decoder(torch.zeros(4, 3, 100), rv=[0, 2])
    with pytest.raises(ValueError, match="Invalid RV index 4"):
        decoder(torch.zeros(4, 2, 100), rv=[0, 4])
    with pytest.raises(ValueError, match="llr contains NaN"):
        decoder(torch.full((4, 100), float("nan")))
    with pytest.raises(ValueError, match="num_iter"):
        LayeredDecoder(encoder, num_iter=0)


def test_huge_llrs_do_not_drown_the_rest():
    """At 30 dB some LLRs are in the thousands, and in a fade some are small: the packet must decode."""
    encoder = LDPC5GEncoder(2424, 8060)
    generator = torch.Generator().manual_seed(0)
    bits = torch.randint(0, 2, (20, 2424), generator=generator).float()
    gain = torch.empty(20, 8060).exponential_(generator=generator)  # Rayleigh fading
    noise = torch.randn(20, 8060, generator=generator)
    no = 10 ** (-24 / 10)
    received = gain.sqrt() * (2 * encoder(bits) - 1) + (no / 2) ** 0.5 * noise
    llr = 4 * gain.sqrt() * received / no
    assert llr.abs().max() > 2000
    result = LayeredDecoder(encoder).decode(llr)
    assert result.converged.all()
    assert torch.equal(result.bits, bits)
