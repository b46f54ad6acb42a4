import numpy as np
import pytest

from channels.coding.mcs import mcs as mcs_of
from channels.coding.transport import transport_format
from channels.links.abstraction import AbstractLink
from channels.links.adaptation import adapt
from channels.links.combining import combined_error_rate
from channels.links.digital import DigitalLink
from channels.links.grants import Payload
from channels.links.report import wilson_interval
from channels.spec import ChannelSpec, ClassSpec, LinkSpec, OfdmSpec

AWGN = {"channel": ChannelSpec(model="awgn"), "ofdm": OfdmSpec(csi="perfect")}


def packets(*sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [Payload(rng.bytes(size), name) for name, size in sizes]


@pytest.mark.parametrize(("mcs", "snr_db"), [(4, -2.0), (9, 2.9), (13, 6.0)])
def test_awgn_error_rate_equals_the_bit_exact_one(mcs, snr_db):
    spec = LinkSpec(**AWGN, classes={"base": ClassSpec(mcs=mcs)})
    sizes = [("base", 60)] * 75
    reports = [d.classes["base"] for d in DigitalLink(spec).send([packets(*sizes)] * 4, snr_db, range(4))]
    lost, sent = sum(r.lost for r in reports), sum(r.packets for r in reports)
    predicted = AbstractLink(spec).error_probabilities(sizes, snr_db, [0])[0]
    low, high = wilson_interval(lost, sent, 0.99)
    assert 0.02 < predicted[0] < 0.98
    assert low <= predicted[0] <= high
    assert np.ptp(predicted) < 1e-9


@pytest.mark.parametrize("streams", [1, 2])
def test_the_same_seed_is_the_same_channel_as_bit_exact(streams):
    channel = ChannelSpec(model="tdl-a", num_tx_antennas=streams, num_rx_antennas=streams)
    spec = LinkSpec(channel=channel, ofdm=OfdmSpec(num_streams=streams), classes={"base": ClassSpec(mcs=4)})
    bursts = [packets(*[("base", 100)] * 6)] * 12
    exact, abstract = (link.send(bursts, 6.0, range(12)) for link in (DigitalLink(spec), AbstractLink(spec)))
    sinr = np.array([[d.classes["base"].effective_sinr_db for d in run] for run in (exact, abstract)])
    assert abs(sinr[0] - sinr[1]).max() < 0.7
    assert abs((sinr[0] - sinr[1]).mean()) < 0.15
    assert [d.channel_uses for d in exact] == [d.channel_uses for d in abstract]


@pytest.mark.parametrize("csi", ["ls-linear", "ls-cp", "lmmse", "perfect"])
@pytest.mark.parametrize("snr_db", [-20.0, -10.0, 0.0, 10.0])
def test_both_links_report_the_same_effective_sinr(csi, snr_db):
    spec = LinkSpec(
        channel=ChannelSpec(model="awgn"),
        ofdm=OfdmSpec(csi=csi),
        classes={"base": ClassSpec(mcs=0, power_boost_db=6), "detail": ClassSpec(mcs=4)},
    )
    burst = packets(("base", 60), *[("detail", 60)] * 4)
    exact, abstract = (
        link.send([burst], snr_db, [3])[0].classes for link in (DigitalLink(spec), AbstractLink(spec))
    )
    for name in ("base", "detail"):
        assert abstract[name].effective_sinr_db == pytest.approx(exact[name].effective_sinr_db, abs=0.5)
    assert exact["detail"].effective_sinr_db < snr_db + 0.01


def test_erasures_follow_the_probabilities():
    spec = LinkSpec(classes={"base": ClassSpec(mcs=9)})
    link = AbstractLink(spec)
    sizes, seeds = [("base", 60)] * 10, range(150)
    probabilities = link.error_probabilities(sizes, 6.0, seeds)
    lost = sum(d.classes["base"].lost for d in link.send([packets(*sizes)] * 150, 6.0, seeds))
    variance = (probabilities * (1 - probabilities)).sum()
    assert abs(lost - probabilities.sum()) < 3.5 * variance**0.5
    assert variance > 10


@pytest.mark.filterwarnings("ignore:signal to interference")
@pytest.mark.parametrize(("model", "speed_kmh"), [("tdl-c", 3), ("tdl-c", 300), ("rayleigh", 3)])
def test_a_burst_is_the_same_alone_in_a_batch_and_in_another_order(model, speed_kmh, monkeypatch):
    classes = {"base": ClassSpec(mcs=9, harq_rounds=3), "detail": ClassSpec(mcs=13, power_boost_db=2)}
    channel = ChannelSpec(model=model, speed_kmh=speed_kmh)
    link = AbstractLink(LinkSpec(channel=channel, classes=classes))
    # From one slot to four
    sizes = [[("base", 40 + i)] * 5 + [("detail", 300)] * (i % 7) for i in range(64)]
    bursts = [packets(*size, seed=i) for i, size in enumerate(sizes)]
    snrs = [3.0 + i % 4 for i in range(64)]
    batch = link.send(bursts, snrs, range(64))
    assert [link.send([bursts[i]], [snrs[i]], [i])[0] for i in range(0, 64, 5)] == batch[::5]
    backwards = link.send(bursts[::-1], snrs[::-1], range(63, -1, -1))
    assert backwards[::-1] == batch
    monkeypatch.setattr("channels.links.abstraction._MOST_SINRS", 20_000)
    assert link.send(bursts, snrs, range(64)) == batch
    assert any(None in d.payloads for d in batch)


def test_harq_lowers_the_residual_error_rate_and_counts_what_it_costs():
    def run(rounds, combining):
        classes = {"base": ClassSpec(mcs=9, harq_rounds=rounds)}
        link = AbstractLink(LinkSpec(classes=classes, harq_combining=combining))
        return link.send([packets(*[("base", 60)] * 10)] * 400, 6.0, range(400))

    single, chase, ir = run(1, "chase"), run(4, "chase"), run(4, "incremental-redundancy")
    lost = [sum(d.classes["base"].lost for d in deliveries) for deliveries in (single, chase, ir)]
    assert lost[0] > 3 * lost[1] >= 3 * lost[2]
    for delivery in chase:
        report = delivery.classes["base"]
        assert delivery.channel_uses - delivery.pilot_uses == report.channel_uses
        # (8 * 60 + 24) / 2 / (679 / 1024) = 380.04
        assert report.channel_uses == sum(report.transmissions) * 381
        assert list(report.transmissions) == sorted(report.transmissions, reverse=True)


def test_segmented_packets_are_lost_with_any_of_their_blocks():
    spec = LinkSpec(**AWGN, classes={"base": ClassSpec(mcs=20)})
    link = AbstractLink(spec)
    # 1050 bytes are one block of 8424 bits, 3 x 1050 three of them (to within the CRCs)
    one, three = link.error_probabilities([("base", 1050), ("base", 3153)], 11.1, [0])[0]
    assert 0.02 < one < 0.9
    assert three == pytest.approx(1 - (1 - one) ** 3, rel=0.05)


@pytest.mark.parametrize("combining", ["chase", "incremental-redundancy"])
@pytest.mark.parametrize(
    ("mcs", "snr_db"),
    [(13, 0.5), (13, 1.0), (20, 4.0), (20, 4.5), (20, 8.5), (26, 9.0), (9, -1.0), (1, -6.0)],
)
def test_no_round_makes_a_packet_worse(mcs, snr_db, combining):
    fmt = transport_format(100, mcs_of(1, mcs))
    sinrs = np.full((4, 1), 10 ** (snr_db / 10))
    rates = [float(combined_error_rate(fmt, sinrs[:n], combining)[0]) for n in (2, 3, 4)]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize(
    ("mcs", "snr_db", "combining", "rounds"),
    [
        (13, 1.0, "incremental-redundancy", 2),
        (20, 4.0, "incremental-redundancy", 3),
        (20, 5.2, "incremental-redundancy", 2),
        (20, 8.9, "chase", 2),
    ],
)
def test_residual_error_rate_after_harq_is_the_bit_exact_one_half_a_db_around(mcs, snr_db, combining, rounds):
    spec = LinkSpec(
        **AWGN, classes={"base": ClassSpec(mcs=mcs, harq_rounds=rounds)}, harq_combining=combining
    )
    exact = DigitalLink(spec).send([packets(*[("base", 100)] * 40)], snr_db, [1])[0].classes["base"]
    low, high = (
        sum(
            d.classes["base"].lost
            for d in AbstractLink(spec).send([packets(*[("base", 100)] * 40)] * 10, snr, range(10))
        )
        / 400
        for snr in (snr_db + 0.3, snr_db - 0.3)
    )
    interval = wilson_interval(exact.lost, exact.packets, 0.99)
    assert low <= interval[1]
    assert high >= interval[0]


def test_no_bursts_are_no_deliveries():
    assert AbstractLink(LinkSpec()).send([], 5.0, []) == DigitalLink(LinkSpec()).send([], 5.0, []) == []


@pytest.mark.parametrize(
    ("table", "index", "csi", "refused"),
    [
        (3, 2, "ls-linear", True),
        (3, 2, "ls-nearest", True),
        (3, 2, "ls-cp", False),
        (3, 6, "ls-linear", False),
        (1, 0, "ls-linear", False),
        (3, 0, "perfect", False),
    ],
)
def test_what_the_abstraction_does_not_hold_for_is_refused_and_never_chosen(table, index, csi, refused):
    spec = LinkSpec(ofdm=OfdmSpec(csi=csi), mcs_table=table, classes={"base": ClassSpec(mcs=index)})
    link = AbstractLink(spec)
    assert link.channel_uses([("base", 60)]) > 0
    if refused:
        with pytest.raises(ValueError, match=r"classes\.base\.mcs: code rate 50/1024 .*use csi 'ls-cp'"):
            link.send([packets(("base", 60))], 0.0, [1])
        with pytest.raises(ValueError, match=r"more than 0\.3 dB optimistic"):
            link.error_probabilities([("base", 60)], 0.0, [1])
        assert adapt(spec, {"base": 0.01}, {"base": 60}, -30.0, [1]).classes["base"].mcs == 6
    else:
        assert link.error_probabilities([("base", 60)], 0.0, [1]).shape == (1, 1)


@pytest.mark.filterwarnings("ignore:signal to interference")
@pytest.mark.parametrize(
    ("channel", "ofdm", "reason"),
    [
        (
            {"model": "tdl-a", "speed_kmh": 500},
            {},
            "MCS 4 at channel.speed_kmh 500 .*misses even without noise",
        ),
        ({"model": "tdl-a", "speed_kmh": 500}, {"csi": "perfect"}, None),
        ({"model": "tdl-a", "speed_kmh": 500}, {"pilot_symbols": (2, 5, 8, 11)}, None),
        ({"model": "tdl-a", "speed_kmh": 500}, {"pilot_symbols": (6,)}, "more ofdm.pilot_symbols"),
        ({"model": "tdl-a", "speed_kmh": 350}, {}, None),
        ({"model": "rayleigh"}, {"csi": "ls-linear"}, "model 'rayleigh' fades the whole band alike"),
        ({"model": "rician"}, {"csi": "ls-nearest"}, "use csi 'ls-cp' or 'lmmse'"),
        ({"model": "rayleigh"}, {"csi": "ls-cp"}, None),
        ({"model": "tdl-a"}, {"csi": "ls-linear"}, None),
        ({"model": "awgn"}, {"csi": "ls-linear"}, None),
    ],
)
def test_channels_that_the_abstraction_does_not_hold_for_are_refused_but_planned_for(channel, ofdm, reason):
    spec = LinkSpec(channel=ChannelSpec(**channel), ofdm=OfdmSpec(**ofdm), classes={"base": ClassSpec(mcs=4)})
    link = AbstractLink(spec)
    if reason is None:
        assert link.send([packets(("base", 60))], 0.0, [1])[0].classes["base"].packets == 1
    else:
        with pytest.raises(ValueError, match=f"(?s){reason}.*bit-exact link"):
            link.send([packets(("base", 60))], 0.0, [1])
    assert link.error_probabilities([("base", 60)], 0.0, [1]).shape == (1, 1)


@pytest.mark.filterwarnings("ignore:signal to interference")
@pytest.mark.parametrize(
    ("mcs", "speed_kmh", "refused"), [(4, 350, False), (13, 350, True), (13, 200, False)]
)
def test_what_an_estimate_may_miss_depends_on_the_noise_that_an_mcs_bears(mcs, speed_kmh, refused):
    spec = LinkSpec(channel=ChannelSpec(speed_kmh=speed_kmh), classes={"base": ClassSpec(mcs=mcs)})
    reason = AbstractLink(spec).refused(["base"])
    assert (reason is not None) == refused
    assert not refused or reason.startswith("classes.base.mcs: MCS 13 at channel.speed_kmh 350")


@pytest.mark.parametrize(("combining", "snr_db"), [("chase", 8.0), ("incremental-redundancy", 2.0)])
def test_combined_rounds_over_a_selective_channel_lose_what_the_bit_exact_ones_do(combining, snr_db):
    # By EESM, whose beta is of the SINR where one transmission is enough, 0.16 and 0.10 fewer are lost
    spec = LinkSpec(
        channel=ChannelSpec(model="tdl-c", delay_spread_ns=300),
        ofdm=OfdmSpec(csi="perfect"),
        classes={"base": ClassSpec(mcs=20, harq_rounds=4)},
        harq_combining=combining,
    )
    bursts, seeds = [packets(*[("base", 90)] * 4)] * 80, range(80)
    exact, abstract = (
        sum(d.classes["base"].lost for d in link.send(bursts, snr_db, seeds)) / 320
        for link in (DigitalLink(spec), AbstractLink(spec))
    )
    assert exact == pytest.approx(abstract, abs=0.075)


@pytest.mark.parametrize("csi", ["perfect", "ls-cp"])
def test_bursts_of_one_call_may_have_their_own_snrs(csi):
    link = AbstractLink(LinkSpec(ofdm=OfdmSpec(csi=csi)))
    burst = packets(("base", 60))
    together = link.send([burst] * 3, [-10.0, 5.0, 20.0], [1, 1, 1])
    assert together == [link.send([burst], snr, [1])[0] for snr in (-10.0, 5.0, 20.0)]
