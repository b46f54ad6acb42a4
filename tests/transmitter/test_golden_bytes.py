"""The wire format is frozen: bytes of the sample photo as they were before streams became files.

`data/golden_streams.json` beside this file holds every stream but the header, in hex, of commit 8497dea.
"""

import json
from pathlib import Path

import pytest

from semcom.contracts import Budget
from semcom.picture import images
from semcom.transmitter.regions import RegionSelector

CAPTION = "a black dog is sitting on a wooden bench"  # what was found then
GOLDEN = json.loads((Path(__file__).parent / "data" / "golden_streams.json").read_text())


@pytest.mark.parametrize(
    ("name", "bpp", "options"), [("default", 0.030, {}), ("keyed", 0.048, {"key_share": 0.25})]
)
def test_bytes_are_those_of_before(semantic, sample_photo, name, bpp, options):
    photo = images.load(sample_photo)
    message = semantic.with_options(caption=CAPTION, **options).encode(
        photo, Budget.of_bpp(bpp, photo.shape[2], photo.shape[1])
    )
    sent = {s.name: [chunk.hex() for chunk in s.chunks] for s in message.streams if s.name != "header"}
    assert sent == GOLDEN[name]


def test_nobody_looks_for_regions_that_are_not_sent(semantic, small_photo, monkeypatch):
    """Saliency and SAM were a third of the work at the default rate, and their answer was thrown away."""
    asked = []
    look = RegionSelector.importance
    monkeypatch.setattr(
        RegionSelector, "importance", lambda self, *args: asked.append(1) or look(self, *args)
    )
    budget = Budget.of_bpp(0.1, 200, 150)
    for options, needed in (
        ({"key_share": 0}, False),
        ({"key_share": 0, "points": [(100, 75)]}, False),
        ({"key_area": 0, "key_share": 0.3}, False),
        ({"key_share": 0, "caption": "background"}, True),
        ({"key_share": 0.3}, True),
    ):
        asked.clear()
        semantic.with_options(num_words=0, **{"caption": "none", **options}).encode(small_photo, budget)
        assert bool(asked) == needed, options


def test_wishes_are_checked_where_they_are_not_followed(semantic, small_photo):
    outside = semantic.with_options(key_share=0, points=[(900, 75)], caption="none", num_words=0)
    with pytest.raises(ValueError, match="outside the picture"):
        outside.encode(small_photo, Budget.of_bpp(0.1, 200, 150))
