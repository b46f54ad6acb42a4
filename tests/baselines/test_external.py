"""Published codecs as systems: a real program of Debian, an object in process, and what can go wrong."""

from __future__ import annotations

import shutil
import sys

import pytest
import torch

from semcom.baselines.external import CommandError, PublishedSystem, external
from semcom.contracts import Budget, BudgetError
from semcom.link import PerfectLink
from semcom.message import ReceivedStream
from semcom.metrics.psnr import psnr
from semcom.sweep.scenario import ScenarioError, load

WEBP = {
    "encode": "cwebp -quiet -q {quality} {input} -o {output}",
    "decode": "dwebp -quiet {input} -o {output}",
    "qualities": [0, 100],
}
needs_webp = pytest.mark.skipif(shutil.which("cwebp") is None, reason="apt-get install webp")


def crossed(message):
    (received,) = PerfectLink().send([message], 0.0, [0])
    return received


class Halves:
    """An in-process codec: every pixel in `quality` bits, as bytes."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset, self.calls = offset, 0

    def compress(self, image, quality):
        self.calls += 1
        size = quality.to_bytes(1) + bytes(n for side in image.shape[1:] for n in side.to_bytes(2))
        return size + bytes(100 * quality)

    def decompress(self, data):
        height, width = int.from_bytes(data[1:3]), int.from_bytes(data[3:5])
        return torch.full((3, height, width), data[0] / 10 + self.offset)


@needs_webp
def test_a_program_over_the_link_at_two_budgets(small_photo):
    system = external(**WEBP)
    quality = {}
    for bpp in (0.4, 2.0):
        budget = Budget.of_bpp(bpp, 200, 150)
        message = system.encode(small_photo, budget)
        assert budget.fits(message)
        quality[bpp] = psnr(system.decode(crossed(message)).image[None], small_photo[None]).item()
        assert message["image"].chunks[0].startswith(b"RIFF")
    assert 20 < quality[0.4] < quality[2.0]
    with pytest.raises(BudgetError):
        system.encode(small_photo, Budget.of_bpp(0.01, 200, 150))


@needs_webp
def test_a_damaged_payload_is_a_grey_picture(small_photo):
    system = external(**WEBP)
    received = crossed(system.encode(small_photo, Budget.of_bpp(0.5, 200, 150)))
    for chunk in (None, b"", b"RIFFnonsense"):
        stream = ReceivedStream("image", (chunk,))
        grey = system.decode(type(received)((stream,), 200, 150, received.report))
        assert grey.image.unique().tolist() == [0.5] and grey.notes


def test_an_object_in_process_fills_the_budget(small_photo):
    codec = Halves()
    system = PublishedSystem(codec, (1, 9))
    message = system.encode(small_photo, Budget(460, lambda sizes: sum(n for _, n in sizes), "bytes"))
    assert message["image"].chunks[0][0] == 4  # 4·100 bytes and headers; 5·100 are too many
    calls = codec.calls
    assert system.encode(small_photo, Budget(460, lambda s: sum(n for _, n in s), "bytes")) == message
    assert codec.calls == calls  # nothing is compressed twice
    assert system.decode(crossed(message)).image.unique().tolist() == pytest.approx([0.4])


def test_a_codec_that_makes_nonsense_is_a_grey_picture(small_photo):
    system = PublishedSystem(Halves(float("nan")), (1, 9))
    received = crossed(system.encode(small_photo, Budget.of_bpp(1.0, 200, 150)))
    assert system.decode(received).image.unique().tolist() == [0.5]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "give encode and decode"),
        ({"encode": "cp {input}", "decode": "cp {input} {output}"}, r"encode lacks \{output\}"),
        ({"encode": "no-such-program {input} {output}", "decode": "cp {input} {output}"}, "no program"),
        (
            {"encode": "cp {input} {output}", "decode": "cp {input} {output}", "qualities": [1, 5]},
            "no {quality}",
        ),
    ],
)
def test_a_bad_configuration_is_one_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        external(**options)


def test_what_a_program_says_when_it_fails_is_passed_on(small_photo):
    failing = f"{sys.executable} -c \"import sys; sys.exit('no licence')\" {{input}} {{output}}"
    system = external(encode=failing, decode="cp {input} {output}")
    with pytest.raises(CommandError, match="ended with 1: no licence"):
        system.encode(small_photo, Budget.of_bpp(1.0, 200, 150))


def test_no_shell_sees_a_command(small_photo, tmp_path):
    """`;` and `$( )` of a template are words for the program, not for a shell."""
    trap = tmp_path / "trap"
    system = external(encode=f"cp {{input}} {{output}} ; touch {trap}", decode="cp {input} {output}")
    with pytest.raises(CommandError):
        system.encode(small_photo, Budget.of_bpp(50.0, 200, 150))
    assert not trap.exists()


def test_a_scenario_with_programs_needs_consent(sample_photo):
    scenario = {
        "name": "published",
        "images": [str(sample_photo)],
        "systems": {"mine": {"system": "external", "options": {"encode": "cp {input} {output}"}}},
        "budget": {"bpp": 1.0},
        "grid": {"snr_db": [10]},
    }
    with pytest.raises(ScenarioError, match=r"runs the programs .* --allow-imports"):
        load(scenario)
    assert load(scenario, allow_imports=True).systems["mine"].system == "external"
