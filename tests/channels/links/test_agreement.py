"""The judge of the abstraction, `benchmarks/agreement.py`."""

import importlib.util
from pathlib import Path

import pytest

from channels.spec import ChannelSpec, ClassSpec, LinkSpec, OfdmSpec

FILE = Path(__file__).parents[3] / "benchmarks" / "agreement.py"
SPEC = importlib.util.spec_from_file_location("agreement", FILE)
assert SPEC is not None and SPEC.loader is not None
agreement = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(agreement)


@pytest.mark.parametrize(
    ("gap_db", "interval_db", "decided", "within"),
    [
        (0.1, (-0.1, 0.3), True, True),
        (0.35, (0.2, 0.5), True, False),
        (1.2, (0.6, 1.9), True, False),
        (-1.2, (-1.9, -0.6), True, False),
        (0.1, (-0.3, 0.3), False, None),
        (0.0, (-2.0, 2.0), False, None),
    ],
)
def test_wide_intervals_decide_nothing_unless_they_lie_outside(gap_db, interval_db, decided, within):
    found = agreement.verdict(gap_db, interval_db, (-2.0, 2.0))
    assert found["decided"] is decided
    assert found.get("within_0.3_db") is within
    assert decided or "too few realisations" in found["reason"]


def test_a_gap_is_found_with_its_sign(monkeypatch):
    spec = LinkSpec(
        channel=ChannelSpec(model="awgn"), ofdm=OfdmSpec(csi="perfect"), classes={"base": ClassSpec(mcs=4)}
    )
    probabilities = agreement.AbstractLink.error_probabilities
    monkeypatch.setattr(
        agreement.AbstractLink,
        "error_probabilities",
        lambda link, sizes, snr_db, seeds: probabilities(link, sizes, snr_db + 0.5, seeds),
    )
    row = agreement.compare(spec, range(10), 0.5, [("base", 60)] * 10, (-0.8, -0.6, -0.4, -0.2, 0.0, 0.2))
    # An abstract link that is 0.5 dB optimistic: the bit-exact one needs so much more
    assert row["gap_db"] == pytest.approx(0.5, abs=0.2)


def test_a_refused_channel_is_refused_here_too():
    spec = LinkSpec(channel=ChannelSpec(model="rayleigh"), ofdm=OfdmSpec(csi="ls-linear"))
    with pytest.raises(ValueError, match="fades the whole band alike"):
        agreement.compare(spec, range(2), 0.1)
