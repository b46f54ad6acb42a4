"""The MCS of each protection class: by SNR, within the targets, and what a budget in channel uses leaves."""

import itertools

import pytest
import torch

from channels.coding.mcs import mcs
from channels.links.abstraction import AbstractLink
from channels.spec import LinkSpec
from semcom.adaptation import McsWish, adapt_message, target_bler
from semcom.contracts import Budget, BudgetError
from semcom.mcs import with_mcs
from semcom.message import AnalogStream, Message, Protection, Reconstruction, Stream
from semcom.packets import packet_sizes

PHOTO = torch.zeros(3, 64, 64)
SPEC = LinkSpec.model_validate({"channel": {"model": "rayleigh"}, "ofdm": {"csi": "perfect"}})
SIZES = {Protection.CRITICAL: 40, Protection.BASE: 300, Protection.DETAIL: 60}


class Toy:
    """Three classes; the base stream takes what the budget leaves, 20 bytes at least."""

    def encode(self, image, budget):
        message = self._message(20)
        if not budget.fits(message):
            raise BudgetError(budget.limit, budget.cost(packet_sizes(message)), budget.unit)
        low, high = 20, 4000
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if budget.fits(self._message(middle)) else (low, middle)
        return self._message(low)

    def decode(self, received):
        return Reconstruction(PHOTO)

    def _message(self, base):
        sizes = SIZES | {Protection.BASE: base}
        return Message(tuple(Stream(p.value, p, (bytes(n),)) for p, n in sizes.items()), 64, 64)


def in_bytes(link):
    return Budget(500, lambda sizes: sum(size for _, size in sizes), "bytes")


def in_channel_uses(limit):
    return lambda link: Budget.of_channel_uses(limit, link)


def adapted(snr_db, budget=in_bytes, wish="auto", spec=SPEC):
    return adapt_message(Toy(), PHOTO, spec, budget, snr_db, McsWish.parse(wish))


def efficiency(index):
    return mcs(SPEC.mcs_table, index).spectral_efficiency


@pytest.mark.parametrize("budget", [in_bytes, in_channel_uses(4000)])
def test_better_channels_carry_faster_mcs(budget):
    choices = [adapted(snr_db, budget) for snr_db in (5, 15, 25)]
    for slower, faster in itertools.pairwise(choices):
        for name in slower.mcs:
            assert efficiency(slower.mcs[name]) <= efficiency(faster.mcs[name])
    assert choices[0].mcs != choices[1].mcs != choices[2].mcs


def test_targets_are_kept_with_realisations_of_the_judges_own_and_classes_are_unequal():
    choice = adapted(25.0)
    sizes = packet_sizes(choice.message)
    losses = AbstractLink(choice.spec).error_probabilities(sizes, 25.0, range(10_000, 12_000)).mean(0)
    for (name, _), loss in zip(sizes, losses, strict=True):
        assert choice.expected_loss[name] <= target_bler(name)
        assert loss <= 2.5 * target_bler(name)  # four hundred realisations chose, two thousand judge
    assert efficiency(choice.mcs["critical"]) < efficiency(choice.mcs["detail"])
    assert "critical 1 %" in choice.reason


def test_without_fading_the_next_faster_mcs_would_miss_its_target():
    spec = LinkSpec.model_validate({"channel": {"model": "awgn"}, "ofdm": {"csi": "perfect"}})
    choice = adapted(10.0, spec=spec)
    sizes = packet_sizes(choice.message)
    by_rate = sorted(range(29), key=efficiency)
    for position, (name, _) in enumerate(sizes):
        faster = by_rate[by_rate.index(choice.mcs[name]) + 1]
        link = AbstractLink(with_mcs(choice.spec, dict(choice.mcs) | {name: faster}))
        assert link.error_probabilities(sizes, 10.0, [1])[0, position] > target_bler(name)


def test_hopeless_channels_get_the_most_robust():
    choice = adapted(-5.0)
    assert set(choice.mcs.values()) == {min(range(29), key=efficiency)}
    assert "most robust" in choice.reason


def test_channel_uses_buy_more_bits_on_a_better_channel_and_are_kept():
    poor, good = (adapted(snr_db, in_channel_uses(4000)) for snr_db in (8, 25))
    assert good.message["base"].num_bytes > 2 * poor.message["base"].num_bytes
    for choice in (poor, good):
        assert AbstractLink(choice.spec).channel_uses(packet_sizes(choice.message)) <= 4000


def test_bits_stay_the_same_whatever_the_channel():
    assert adapted(5.0).message == adapted(25.0).message


def test_a_budget_too_small_for_the_targets_makes_all_classes_alike():
    choice = adapted(0.0, in_channel_uses(900))
    assert len(set(choice.mcs.values())) == 1
    assert "smallest message" in choice.reason
    with pytest.raises(BudgetError):
        adapted(0.0, in_channel_uses(50))


def test_wishes_are_kept_and_the_rest_adapted():
    free, mixed, fixed = adapted(25.0), adapted(25.0, wish="critical=2"), adapted(25.0, wish="9")
    assert mixed.mcs == free.mcs | {"critical": 2}
    assert set(fixed.mcs.values()) == {9}
    assert fixed.reason == "as asked for"


@pytest.mark.parametrize("wish", ["fast", "critical=x", "9.5", "base"])
def test_what_is_no_wish(wish):
    with pytest.raises(ValueError, match="neither auto"):
        McsWish.parse(wish)


@pytest.mark.parametrize(("wish", "named"), [("29", "29"), ({"bas": 3}, "bas")])
def test_wishes_that_the_link_cannot_fulfil(wish, named):
    with pytest.raises(ValueError, match=named):
        adapted(10.0, wish=wish)


def test_uncoded_values_have_no_mcs():
    class Analog(Toy):
        def encode(self, image, budget):
            return Message((AnalogStream.of("image", torch.ones(100)),), 64, 64)

    choice = adapt_message(Analog(), PHOTO, SPEC, in_channel_uses(4000), 10.0, McsWish.parse("auto"))
    assert (dict(choice.mcs), dict(choice.expected_loss)) == ({}, {})
