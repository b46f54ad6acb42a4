import numpy as np
import pytest
import torch
from sionna.phy.channel import AWGN
from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder
from sionna.phy.mapping import Demapper, Mapper

from channels.links.digital import DigitalLink, Payload, demapper, mapper
from channels.links.report import wilson_interval
from channels.ofdm.front_end import OfdmFrontEnd
from channels.propagation.theory import awgn_erfc, rayleigh_erfc, square_qam_ber
from channels.randomness import seeded_sionna
from channels.spec import ChannelSpec, ClassSpec, LinkSpec, OfdmSpec


def packets(*sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [Payload(rng.bytes(size), name) for name, size in sizes]


IMAGE = [("critical", 40), ("critical", 67), ("base", 300), *[("detail", 90)] * 6, ("detail", 31)]


@pytest.mark.parametrize("model", ["awgn", "rayleigh", "tdl-a", "tdl-b", "tdl-c", "tdl-d", "tdl-e"])
def test_everything_arrives_at_30_db(model):
    link = DigitalLink(LinkSpec(channel=ChannelSpec(model=model)))
    bursts = [packets(*IMAGE, seed=i) for i in range(4)]
    # Flat fading has no diversity: seeds without a 20 dB fade
    for burst, delivery in zip(bursts, link.send(bursts, 30.0, [1, 2, 3, 4]), strict=True):
        assert delivery.payloads == tuple(p.data for p in burst)


def test_channel_uses_equal_a_hand_count():
    link = DigitalLink(LinkSpec())
    # QPSK at 157/1024 (MCS 1): (8 * 40 + 24) / 2 / R = 1121.8
    # QPSK at 679/1024 (MCS 9): (8 * 90 + 24) / 2 / R = 561.01
    # 3 slots hold 1122 + 12 * 562 = 7866 of 12 * 288 = 3456 each, and carry 2 * 288 pilots each.
    sizes = [("critical", 40), *[("detail", 90)] * 12]
    expected = 1122 + 12 * 562 + 3 * 2 * 288
    assert link.channel_uses(sizes) == expected
    (delivery,) = link.send([packets(*sizes)], 30.0, [0])
    assert delivery.channel_uses == expected
    assert delivery.pilot_uses == 3 * 2 * 288
    assert sum(c.channel_uses for c in delivery.classes.values()) == 1122 + 12 * 562


def test_channel_uses_of_a_segmented_packet():
    link = DigitalLink(LinkSpec(classes={"base": ClassSpec(mcs=20)}))
    # 3000 bytes: 24024 bits in ceil(24024 / 8424) = 3 blocks of 8008 + 24 bits; 64-QAM at 567/1024:
    # ceil(8032 / 6 / R) = 2418 symbols a block; 7254 symbols are 3 slots
    assert link.channel_uses([("base", 3000)]) == 3 * 2418 + 3 * 576


def test_a_burst_is_the_same_alone_in_a_batch_and_in_another_order():
    link = DigitalLink(
        LinkSpec(classes={n: ClassSpec(mcs=9, harq_rounds=2) for n in ("critical", "base", "detail")})
    )
    bursts = [packets(*IMAGE[: 3 + i % 4], seed=i) for i in range(64)]
    seeds = [1000 + i for i in range(64)]
    snrs = [float(i % 5) + 2 for i in range(64)]
    batch = link.send(bursts, snrs, seeds)
    erased = [sum(p is None for p in d.payloads) for d in batch]
    assert 0 < sum(erased) < sum(map(len, bursts))
    torch.manual_seed(7)  # the caller's generators don't matter
    order = np.random.default_rng(0).permutation(64)
    shuffled = link.send([bursts[i] for i in order], [snrs[i] for i in order], [seeds[i] for i in order])
    assert [shuffled[int(np.flatnonzero(order == i)[0])].payloads for i in range(64)] == [
        d.payloads for d in batch
    ]
    for i in range(0, 64, 8):
        assert link.send([bursts[i]], snrs[i], [seeds[i]])[0].payloads == batch[i].payloads


def test_the_callers_random_state_is_left_alone():
    state = torch.get_rng_state()
    DigitalLink(LinkSpec()).send([packets(("base", 20))], 10.0, [3])
    assert torch.equal(torch.get_rng_state(), state)


def test_another_seed_is_another_channel():
    link = DigitalLink(LinkSpec())
    a, b = link.send([packets(*IMAGE)] * 2, 10.0, [1, 2])
    assert a.classes["base"].effective_sinr_db != b.classes["base"].effective_sinr_db


@pytest.mark.parametrize(("mcs", "snr_db"), [(4, 4.0), (12, 11.0), (20, 17.0)])
def test_uncoded_ber_over_awgn(mcs, snr_db):
    channel, ofdm = ChannelSpec(model="awgn"), OfdmSpec(csi="perfect")
    link = DigitalLink(LinkSpec(channel=channel, ofdm=ofdm, classes={"base": ClassSpec(mcs=mcs)}))
    report = link.send([packets(("base", 1500))], snr_db, [5])[0].classes["base"]
    low, high = wilson_interval(report.coded_bit_errors, report.coded_bits, 0.99)
    bits_per_symbol = {"QPSK": 2, "16-QAM": 4, "64-QAM": 6}[report.modulation]
    assert low <= square_qam_ber(bits_per_symbol, 10 ** (snr_db / 10), awgn_erfc) <= high
    assert report.coded_bit_errors > 300


@pytest.mark.parametrize("bits_per_symbol", [2, 4, 6, 8])
def test_demapper_is_the_exact_one(bits_per_symbol):
    generator = torch.Generator().manual_seed(bits_per_symbol)
    y = 0.7 * torch.randn(3, 200, dtype=torch.complex64, generator=generator)
    no = 0.01 + torch.rand(3, 200, generator=generator)
    exact = Demapper("app", "qam", bits_per_symbol, device="cpu")(y, no)
    torch.testing.assert_close(demapper(bits_per_symbol, "cpu")(y, no), exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bits_per_symbol", [2, 4, 6, 8])
def test_uncoded_ber_over_flat_rayleigh(bits_per_symbol):
    snr_db, trials = 10.0, 2000
    front_end = OfdmFrontEnd(
        ChannelSpec(model="rayleigh"),
        OfdmSpec(num_subcarriers=12, num_ofdm_symbols=4, csi="perfect", pilot_symbols=(2,)),
    )
    generator = torch.Generator().manual_seed(0)
    bits = torch.randint(0, 2, (trials, front_end.num_data_res * bits_per_symbol), generator=generator)
    x = mapper(bits_per_symbol, "cpu")(bits.float())
    received = front_end.send([*x[:, None, :, None]], [snr_db] * trials, range(trials))
    y = torch.cat([r.symbols.flatten() for r in received])
    no = torch.cat([r.noise_variance.flatten() for r in received])
    hard = demapper(bits_per_symbol, "cpu")(y, no).reshape(bits.shape) > 0
    ber = (hard != bits.bool()).double().mean(1)
    # A realisation's bits share its fade, so realisations are the independent trials
    half = 2.576 * float(ber.std()) / trials**0.5
    expected = square_qam_ber(bits_per_symbol, 10 ** (snr_db / 10), rayleigh_erfc)
    assert abs(float(ber.mean()) - expected) < half
    assert half < 0.15 * expected


@pytest.mark.parametrize("snr_db", [1.2, 1.7])
def test_waterfall_equals_sionnas_reference_chain(snr_db):
    # Iterations enough for the layered and the flooding schedule to have converged alike
    num_bytes, blocks, iterations = 32, 200, 40
    spec = LinkSpec(
        channel=ChannelSpec(model="awgn"),
        ofdm=OfdmSpec(csi="perfect"),
        classes={"base": ClassSpec(mcs=7)},
        num_ldpc_iterations=iterations,
    )
    report = (
        DigitalLink(spec).send([packets(*[("base", num_bytes)] * blocks)], snr_db, [1])[0].classes["base"]
    )
    k, n = 8 * num_bytes + 24, 2 * report.channel_uses // blocks
    encoder = LDPC5GEncoder(k, n, num_bits_per_symbol=2, device="cpu")
    bits = torch.randint(0, 2, (blocks, k), generator=torch.Generator().manual_seed(2)).float()
    no = 10 ** (-snr_db / 10)
    with seeded_sionna(3):
        y = AWGN(device="cpu")(Mapper("qam", 2, device="cpu")(encoder(bits)), no)
    decoded = LDPC5GDecoder(encoder, num_iter=iterations, device="cpu")(
        Demapper("app", "qam", 2, device="cpu")(y, torch.tensor(no))
    )
    reference = int((decoded != bits).any(1).sum())
    pooled = (report.lost + reference) / (2 * blocks)
    assert 0.02 < pooled < 0.98
    assert abs(report.lost - reference) / blocks < 2.576 * (2 * pooled * (1 - pooled) / blocks) ** 0.5


def test_power_boost_favours_its_class_and_keeps_the_mean():
    def errors(boost):
        classes = {"critical": ClassSpec(mcs=9, power_boost_db=boost), "detail": ClassSpec(mcs=9)}
        link = DigitalLink(
            LinkSpec(channel=ChannelSpec(model="awgn"), ofdm=OfdmSpec(csi="perfect"), classes=classes)
        )
        delivery = link.send([packets(("critical", 200), ("detail", 200))], 5.0, [1])[0]
        return {name: report.effective_sinr_db for name, report in delivery.classes.items()}

    flat, boosted = errors(0.0), errors(3.0)
    assert flat == pytest.approx({"critical": 5.0, "detail": 5.0}, abs=1e-2)
    # Two equal halves, one twice as strong: powers 4/3 and 2/3
    assert boosted["critical"] == pytest.approx(5 + 10 * np.log10(4 / 3), abs=1e-2)
    assert boosted["detail"] == pytest.approx(5 + 10 * np.log10(2 / 3), abs=1e-2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([packets(("base", 3))], float("nan"), [1]), "snr_db must be a number from -50 to 100 dB, not nan"),
        (([packets(("base", 3))], 3.0, [1, 2]), "one value a burst: 1 bursts, 1 SNRs, 2 seeds"),
        (([packets(("hidden", 3))], 3.0, [1]), "'hidden' is not one of the link's: critical, base, detail"),
        (([packets(("base", 0))], 3.0, [1]), "at least 1 byte"),
        (([[]], 3.0, [1]), "at least 1 packet"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        DigitalLink(LinkSpec()).send(*arguments)


def test_everything_arrives_over_four_streams():
    channel = ChannelSpec(model="tdl-a", num_tx_antennas=4, num_rx_antennas=4)
    link = DigitalLink(LinkSpec(channel=channel, ofdm=OfdmSpec(num_streams=4)))
    burst = packets(*IMAGE)
    (delivery,) = link.send([burst], 30.0, [1])
    assert delivery.payloads == tuple(p.data for p in burst)
    # Four streams a resource element, each packet rounded up to a whole one
    single = DigitalLink(LinkSpec())
    sizes = [(p.protection_class, len(p.data)) for p in burst]
    data = delivery.channel_uses - delivery.pilot_uses
    assert data == pytest.approx((single.channel_uses(sizes) - 4 * 576) / 4, abs=len(burst))


def throughput(combining, rounds, snr_db):
    spec = LinkSpec(
        channel=ChannelSpec(model="tdl-a", speed_kmh=60),
        classes={"base": ClassSpec(mcs=9, harq_rounds=rounds)},
        harq_combining=combining,
    )
    deliveries = DigitalLink(spec).send([packets(*[("base", 40)] * 5)] * 24, snr_db, range(24))
    reports = [d.classes["base"] for d in deliveries]
    return (
        sum(r.delivered_bits for r in reports) / sum(r.channel_uses for r in reports),
        sum(r.lost for r in reports) / sum(r.packets for r in reports),
    )


def test_harq_raises_throughput_and_lowers_residual_errors():
    (single, single_bler), (chase, chase_bler), (ir, ir_bler) = (
        throughput("chase", 1, 6.5),
        throughput("chase", 4, 6.5),
        throughput("incremental-redundancy", 4, 6.5),
    )
    assert single_bler > 0.4 > 0.1 > chase_bler >= ir_bler
    assert ir > chase > single


def test_chase_combining_of_two_rounds_gains_3_db():
    def bler(rounds, snr_db):
        spec = LinkSpec(
            channel=ChannelSpec(model="awgn"),
            ofdm=OfdmSpec(csi="perfect"),
            classes={"base": ClassSpec(mcs=9, harq_rounds=rounds)},
            harq_combining="chase",
        )
        report = DigitalLink(spec).send([packets(*[("base", 61)] * 150)], snr_db, [1])[0].classes["base"]
        return report.lost, report.packets

    # The same error rate 3.01 dB lower, in the middle of the waterfall
    (one, n), (two, _) = bler(1, 2.76), bler(2, 2.76 - 3.01)
    pooled = (one + two) / (2 * n)
    assert 0.2 < pooled < 0.8
    assert abs(one - two) / n < 2.576 * (2 * pooled * (1 - pooled) / n) ** 0.5


@pytest.mark.parametrize(
    ("model", "csi", "snr_db"),
    [
        ("tdl-a", "perfect", -50.0),
        ("tdl-a", "lmmse", -40.0),
        ("tdl-a", "perfect", -30.0),
        ("rayleigh", "perfect", -20.0),
    ],
)
def test_no_wrong_packet_is_accepted_far_below_the_waterfall(model, csi, snr_db):
    link = DigitalLink(LinkSpec(channel=ChannelSpec(model=model), ofdm=OfdmSpec(csi=csi)))
    burst = packets(("critical", 20), ("base", 40), *[("detail", 90)] * 2)
    deliveries = link.send([burst] * 150, snr_db, range(150))
    assert sum(p is not None for d in deliveries for p in d.payloads) == 0


@pytest.mark.parametrize("csi", ["perfect", "lmmse"])
def test_even_minus_50_db_has_a_capacity(csi):
    link = DigitalLink(LinkSpec(channel=ChannelSpec(model="rayleigh"), ofdm=OfdmSpec(csi=csi)))
    deliveries = link.send([packets(("base", 20))] * 5, -50.0, range(5))
    assert all(-1000 < d.classes["base"].effective_sinr_db < -40 for d in deliveries)


def test_a_negative_seed_is_named():
    with pytest.raises(ValueError, match="seeds must be whole numbers from 0 on, not -1"):
        DigitalLink(LinkSpec()).send([packets(("base", 3))], 3.0, [-1])


def test_reports_count_the_decoders_iterations():
    link = DigitalLink(LinkSpec(channel=ChannelSpec(model="awgn")))
    good, bad = (
        link.send([packets(*[("base", 50)] * 4)], snr, [1])[0].classes["base"] for snr in (20.0, -20.0)
    )
    assert (good.decodings, bad.decodings) == (4, 4)
    assert good.decoder_iterations <= 8
    assert bad.decoder_iterations == 4 * 20


@pytest.mark.parametrize("csi", ["perfect", "ls-linear", "ls-cp"])
def test_error_of_the_channel_estimate(csi):
    spec = LinkSpec(channel=ChannelSpec(model="awgn"), ofdm=OfdmSpec(csi=csi))
    link = DigitalLink(spec)
    (delivery,) = link.send([packets(("base", 600))], 10.0, [1])
    front_end = OfdmFrontEnd(spec.channel, spec.ofdm)
    expected = float(front_end.error_variance(torch.tensor([0.1])).mean())
    assert delivery.channel_nmse == pytest.approx(expected, rel=0.35)
    assert (csi == "perfect") == (expected == 0)
