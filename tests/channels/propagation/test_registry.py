import subprocess
import sys

import pytest

from channels.propagation import registry
from channels.propagation.base import Statistics
from channels.propagation.factory import build_channel_model
from channels.propagation.registry import Entry, entry, names
from channels.spec import ChannelSpec

PLUGIN = """
import torch

from channels.propagation.base import Statistics
from channels.propagation.registry import Entry


class TwoRay:
    def __init__(self, spec):
        self.delays = torch.tensor([0.0, spec.delay_spread_ns * 2e-9])

    def impulse_responses(self, seeds, num_steps, step_s):
        gains = [torch.randn(1, 1, 2, 1, dtype=torch.complex64, generator=torch.Generator().manual_seed(s))
                 for s in seeds]
        return torch.stack(gains).expand(-1, -1, -1, -1, num_steps) / 2**0.5, self.delays[None]

    def statistics(self):
        return Statistics(self.delays, torch.tensor([0.5, 0.5]), 0.0)


ENTRY = Entry("two rays of equal power", TwoRay, reads=("delay_spread_ns",))
"""
USE = """
from channels.describe import describe
from channels.links.digital import DigitalLink, Payload
from channels.spec import ChannelSpec, ClassSpec, LinkSpec

spec = LinkSpec(channel=ChannelSpec(model="two-ray"), classes={"base": ClassSpec(mcs=4)})
print("two rays of equal power" in describe(spec))
print(DigitalLink(spec).send([[Payload(b"hello", "base")]], 40.0, [1])[0].payloads)
"""


@pytest.fixture
def installed(tmp_path):
    """A folder with an installed package that registers the channel model two-ray."""
    (tmp_path / "two_ray.py").write_text(PLUGIN)
    info = tmp_path / "two_ray-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: two-ray\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[semcom.channel_models]\ntwo-ray = two_ray:ENTRY\nawgn = two_ray:X\n"
    )
    return tmp_path


def test_a_package_adds_a_model_that_links_and_describe_know(installed):
    code = f"import sys; sys.path.insert(0, {str(installed)!r})\n" + USE
    run = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code], capture_output=True, text=True
    )
    assert run.stdout.split("\n")[:2] == ["True", "(b'hello',)"], run.stderr


def test_every_model_is_built_by_its_entry_and_reads_fields_of_the_spec():
    for name in names():
        assert set(entry(name).reads) <= set(ChannelSpec.model_fields)
    model = build_channel_model(ChannelSpec(model="tdl-e"))
    assert type(model).__name__ == "Tdl"
    assert isinstance(model.statistics(), Statistics)


def test_a_name_built_in_cannot_be_taken_and_a_wrong_entry_point_is_named(installed, monkeypatch):
    monkeypatch.syspath_prepend(str(installed))
    registry._installed.cache_clear()
    try:
        assert names().count("awgn") == 1
        assert entry("awgn").summary.startswith("no fading")
        assert isinstance(entry("two-ray"), Entry)
        monkeypatch.setattr("two_ray.ENTRY", 3)
        with pytest.raises(ValueError, match=r"'two-ray': two_ray:ENTRY must be an Entry"):
            entry("two-ray")
    finally:
        registry._installed.cache_clear()
