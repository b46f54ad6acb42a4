"""The sender's choice over fades, by a table made up so that the right answers are known."""

from functools import partial

import numpy as np
import pytest

from channels.spec import ChannelSpec, LinkSpec
from semcom.adaptation import McsWish, adapt_message
from semcom.air_quality import AirQuality
from semcom.chooser import Situation, choices
from semcom.cli.tables import _expected
from semcom.contracts import Budget
from semcom.picture import images


def table(analog_gain=0.0):
    """LPIPS = DISTS from 0.8 (nothing) to 0.1, linear in the octaves of bits that arrive."""
    bpp = 2.0 ** np.arange(-9, -1)
    scores = np.linspace(0.5, 0.1, 8)
    grey = np.array([0.9, 0.9, 10.0])

    def rows(values):
        return np.stack([values, values, 30 - 10 * values], 1)

    return AirQuality(bpp, rows(scores), bpp, rows(scores + 0.1 - analog_gain), grey)


def choose(snr_db, limit=3072, model="tdl-a", quality=None, objective="dists", **wishes):
    spec = LinkSpec(channel=ChannelSpec(model=model), mcs_table=3)
    known = Situation(spec, limit, 768, 512, snr_db, range(16))
    return choices(quality or table(), objective, known, **wishes)


def test_more_is_expected_of_better_channels_and_of_larger_budgets():
    by_snr = [choose(snr_db)[0].loss for snr_db in (-5.0, 5.0, 10.0, 20.0)]
    by_limit = [choose(5.0, limit)[0].loss for limit in (3072, 12288)]
    assert by_snr == sorted(by_snr, reverse=True)
    assert by_limit == sorted(by_limit, reverse=True)


def test_values_where_packets_are_lost_and_packets_where_they_are_not():
    assert choose(-5.0)[0].mode == "analog"
    assert choose(20.0, 12288)[0].mode == "digital"


def test_the_base_picture_pays_where_the_hci_is_at_risk_and_only_there():
    fading, steady = (choose(5.0, 12288, model, table(-1.0))[0] for model in ("tdl-a", "awgn"))
    assert fading.base_bytes > 0 == steady.base_bytes
    without = choose(5.0, 12288, "tdl-a", table(-1.0), base_bytes=(0,))[0]
    assert fading.loss < without.loss


def test_the_header_is_better_protected_than_the_hci():
    mcs = choose(10.0, 12288, quality=table(-1.0))[0].mcs
    assert mcs["critical"] < mcs["base"]


def test_a_grey_picture_is_no_choice_where_something_else_is():
    best = choose(5.0, 12288, quality=table(-1.0))[0]
    assert best.mode == "digital" and best.grey <= 0.001
    analog, digital = choose(-5.0, quality=table(-1.0))
    assert analog.mode == "analog" and digital.grey > 0.001 and digital.loss < analog.loss


def test_fixed_schemes_are_kept():
    (digital,) = (c for c in choose(10.0, fixed={"critical": 3, "base": 9}) if c.mode == "digital")
    assert digital.mcs == {"critical": 3, "base": 9, "detail": 9}


@pytest.mark.parametrize("objective", ["dists", "lpips", "psnr", "balanced"])
def test_what_is_expected_is_between_everything_and_nothing(objective):
    for choice in choose(0.0, objective=objective):
        assert 0.1 < choice.expected["lpips"] < 0.9
        assert choice.expected["psnr"] == pytest.approx(30 - 10 * choice.expected["lpips"], abs=11)


def test_nothing_fits_where_nothing_fits():
    assert choose(20.0, 40) == []


def test_rates_are_read_in_octaves():
    quality = table()
    assert quality.of_analog(2.0**-5.5)[0] == pytest.approx(
        quality.of_analog(2.0 ** np.array([-6.0, -5.0])).mean(0)[0]
    )
    assert np.allclose(quality.of_digital(1e-6), quality.grey)
    assert quality.of_digital(2.0**-10)[0] > quality.of_digital(2.0**-9)[0]


@pytest.fixture(scope="module")
def adapted(semantic, sample_photo):
    """What the profile's own table says of a small picture over a bad and a good channel."""
    photo = images.load(sample_photo)[:, 60:204, 40:232].contiguous()
    spec = LinkSpec(channel=ChannelSpec(model="tdl-a"), mcs_table=3)
    system = semantic.with_options(objective="dists")

    def adapt(snr_db, wish="auto"):
        budget = partial(Budget.of_channel_uses, 4000)
        return adapt_message(system, photo, spec, budget, snr_db, McsWish.parse(wish), realisations=20)

    return {snr_db: adapt(snr_db) for snr_db in (-5.0, 20.0)} | {"mcs 7": adapt(-5.0, 7)}


def test_the_profile_has_a_table_and_the_sender_goes_by_it(adapted):
    values, packets = adapted[-5.0], adapted[20.0]
    assert [stream.name for stream in values.message.streams] == ["analog"] and values.mcs == {}
    assert {stream.name for stream in packets.message.streams} >= {"header", "hci"}
    assert packets.mcs["critical"] <= packets.mcs["base"]
    assert packets.expected_quality["dists"] < values.expected_quality["dists"]
    assert "expected LPIPS" in values.reason


def test_who_fixes_an_mcs_wants_packets(adapted):
    assert set(adapted["mcs 7"].mcs.values()) == {7}


def test_nobody_asked_for_words(adapted):
    names = {stream.name for stream in adapted[20.0].message.streams}
    assert not names & {"caption", "spw", "card"}


def test_what_was_expected_is_printed_beside_what_came():
    report = {"expected_quality": {"dists": 0.3, "lpips": 0.5, "psnr": 20.0}, "dists": 0.25, "psnr": 21.0}
    assert _expected(report) == "DISTS 0.300 expected, 0.250 came; PSNR in dB 20.00 expected, 21.00 came"
