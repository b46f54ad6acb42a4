import pytest

from channels.coding.mcs import mcs
from channels.links.abstraction import AbstractLink
from channels.links.adaptation import adapt
from channels.spec import ChannelSpec, ClassSpec, LinkSpec

SPEC = LinkSpec(channel=ChannelSpec(model="tdl-a", delay_spread_ns=300))
SIZES = {"critical": 40, "detail": 100}
SEEDS = range(12)


def error_rate(spec, name, index, snr_db):
    link = AbstractLink(spec.model_copy(update={"classes": {name: ClassSpec(mcs=index)}}))
    return link.error_probabilities([(name, SIZES[name])], snr_db, SEEDS).mean()


@pytest.mark.parametrize("snr_db", [7.0, 14.0])
def test_the_fastest_mcs_that_meets_the_target_is_chosen(snr_db):
    adapted = adapt(SPEC, {"critical": 0.01, "detail": 0.2}, SIZES, snr_db, SEEDS)
    for name, target in (("critical", 0.01), ("detail", 0.2)):
        index = adapted.classes[name].mcs
        assert error_rate(SPEC, name, index, snr_db) <= target
        # Rates 9 and 10, 16 and 17 are near-ties of two modulations: look two steps up
        assert error_rate(SPEC, name, index + 2, snr_db) > target
    assert adapted.classes["base"] == SPEC.classes["base"]
    efficiency = {name: mcs(1, c.mcs).spectral_efficiency for name, c in adapted.classes.items()}
    assert efficiency["detail"] > efficiency["critical"]


def test_a_hopeless_channel_gets_the_most_robust_mcs():
    assert adapt(SPEC, {"detail": 0.01}, SIZES, -30.0, [1]).classes["detail"].mcs == 0


@pytest.mark.parametrize(
    ("targets", "seeds", "message"),
    [
        ({"detail": 0.0}, [1], r"target_bler\.detail must be between 0 and 1, both excluded, not 0\.0"),
        ({"hidden": 0.1}, [1], r"'hidden' is not one of the link's: critical, base, detail"),
        ({"detail": 0.1}, [], r"at least 1 seed"),
    ],
)
def test_bad_arguments(targets, seeds, message):
    with pytest.raises(ValueError, match=message):
        adapt(SPEC, targets, SIZES, 5.0, seeds)
