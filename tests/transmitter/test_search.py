"""Search at the sender: never worse on real bytes, within the budget, repeatable, paid once."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semcom import pretrained
from semcom.contracts import Budget
from semcom.link import PerfectLink
from semcom.options import Objective as ObjectiveName
from semcom.options import SemanticOptions
from semcom.picture import images
from semcom.picture.pixels import to_pixels, to_tensor
from semcom.semantic import SemanticSystem
from semcom.streams.coding import av1
from semcom.transmitter import hci, search, shaping
from semcom.transmitter.objective import OBJECTIVES, Objective, excess
from semcom.transmitter.search import Draft

LEAN = {"card": False, "num_words": 0, "caption": "none", "key_area": 0.0}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(search, "cache_directory", lambda: tmp_path)
    monkeypatch.setattr(search, "STEPS", 3)
    return tmp_path


@pytest.fixture(scope="module")
def photo(sample_photo: Path) -> torch.Tensor:
    """[3,90,96]: rows are no whole key cells."""
    return images.load(sample_photo)[:, 150:240, 230:326].contiguous()


@pytest.fixture(scope="module")
def budget(photo: torch.Tensor) -> Budget:
    return Budget.of_bpp(0.2, photo.shape[2], photo.shape[1])


def _chunks(message):
    return [(stream.name, stream.chunks) for stream in message.streams]


def _received(system: SemanticSystem, message):
    (received,) = PerfectLink().send([message], 0.0, [0])
    return system.decode(received)


@pytest.mark.parametrize(
    ("effort", "objective"), [(1, "psnr"), pytest.param(2, "balanced", marks=pytest.mark.slow)]
)
def test_never_worse_than_tables_and_within_the_budget(semantic, photo, budget, effort, objective) -> None:
    plain = semantic.with_options(**LEAN)
    searching = plain.with_options(effort=effort, objective=objective)
    before, after = plain.encode(photo, budget), searching.encode(photo, budget)
    assert budget.fits(after)
    judge = Objective(objective)
    original = judge.reference(photo[None])
    results = [_received(plain, message) for message in (before, after)]
    assert results[1].notes == ()
    scores = [judge.score(result.image[None].clone(), original) for result in results]
    assert scores[1] <= scores[0] + 0.01  # the search looks at whole key cells, this at the picture


def test_the_gradient_improves_what_the_receiver_makes(semantic, photo, budget, monkeypatch) -> None:
    monkeypatch.setattr(search, "STEPS", 8)
    plain = semantic.with_options(**LEAN)
    squares = []
    for system in (plain, plain.with_options(effort=2, objective="psnr")):
        picture = _received(plain, system.encode(photo, budget)).image
        squares.append((picture - photo).square().mean().item())
    assert squares[1] < 0.97 * squares[0]


@pytest.mark.slow
def test_the_same_twice_and_once_from_the_cache(semantic, photo, budget, empty_cache, monkeypatch) -> None:
    system = semantic.with_options(**LEAN, effort=2, objective="psnr")
    first = system.encode(photo, budget)
    (file,) = (empty_cache / "search").iterdir()
    file.unlink()
    assert _chunks(system.encode(photo, budget)) == _chunks(first)
    monkeypatch.setattr(shaping, "shape", lambda *_: pytest.fail("searched again"))
    assert _chunks(system.encode(photo, budget)) == _chunks(first)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_caller_without_gradients_changes_nothing(semantic, photo, budget, monkeypatch, mode) -> None:
    """`semcom send` and the sweep's workers run without autograd."""
    monkeypatch.setattr(search, "STEPS", 2)
    system = semantic.with_options(**LEAN, effort=2, objective="psnr")
    with mode():
        found = system.encode(photo.clone(), budget)
    assert budget.fits(found)


def test_another_picture_budget_or_objective_is_another_search(semantic, photo, budget, monkeypatch) -> None:
    monkeypatch.setattr(search, "STEPS", 1)
    system = semantic.with_options(**LEAN, effort=2, objective="psnr")
    finder = system.transmitter.search
    plain = semantic.with_options(**LEAN).encode(photo, budget)
    other = Budget.of_bpp(0.3, 96, 90)
    changed = photo.clone()
    changed[0, 0, 0] += 1 / 255
    names = {
        finder._file(image, plain, of, effort, name)
        for image in (photo, changed)
        for of in (budget, other)
        for effort in (1, 2)
        for name in ("psnr", "dists")
    }
    assert len(names) == 16


@pytest.mark.slow
def test_a_damaged_cache_entry_is_searched_again(semantic, photo, budget, empty_cache, monkeypatch) -> None:
    monkeypatch.setattr(search, "STEPS", 1)
    system = semantic.with_options(**LEAN, effort=2, objective="psnr")
    first = system.encode(photo, budget)
    (file,) = (empty_cache / "search").iterdir()
    file.write_text(file.read_text()[:40])
    assert _chunks(system.encode(photo, budget)) == _chunks(first)


def test_effort_and_objective_are_checked() -> None:
    for wrong in ({"effort": 3}, {"effort": -1}, {"objective": "beauty"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            SemanticOptions(**wrong)
    assert set(get_args(ObjectiveName)) == set(OBJECTIVES)


def test_without_network_one_sentence_says_so(monkeypatch) -> None:
    def unreachable(name: str):
        raise pretrained.PretrainedError("cannot fetch it")

    monkeypatch.setattr(pretrained, "load", unreachable)
    with pytest.raises(ValueError, match=r"efforts 1 and 2 .* need the metrics' networks: cannot fetch it"):
        Objective("balanced")
    assert Objective("psnr").reference(torch.zeros(1, 3, 64, 64)).dists is None


@pytest.mark.slow
def test_the_key_stream_stays_with_a_shaped_picture(semantic, photo) -> None:
    """Named regions are the user's wish: the search shapes around them and does not drop them."""
    box = {"boxes": ((16, 16, 64, 64),), "key_area": 0.3, "key_share": 0.4}
    budget = Budget.of_bpp(0.5, 96, 90)
    wishes = LEAN | box
    plain = semantic.with_options(**wishes)
    assert "key" in dict(_chunks(plain.encode(photo, budget)))
    found = plain.with_options(effort=2, objective="psnr").encode(photo, budget)
    assert budget.fits(found)
    assert "key" in dict(_chunks(found))


def test_what_the_search_sees_is_what_the_receiver_enhances(semantic, photo, budget) -> None:
    """In float32 the loss of the search's forward pass is that of `Enhancer.restore`, its rim too."""
    system = semantic.with_options(**LEAN, quantization="fp32")
    message = system.encode(photo, budget)
    enhancer, objective = system._parts.float_enhancer(), Objective("psnr")
    seen = system.transmitter.search.view(message)
    whole = torch.nn.functional.pad(photo[None], (0, 0, 0, 6), mode="replicate")
    restored = enhancer.restore(seen.source, seen.quality, seen.detail, seen.texture(seen.surprises))
    tiles = [((0, 0, 24, 24), objective.reference(whole))]
    loss, in_thumb, in_levels = shaping._gradient(seen, tiles, enhancer, objective)
    assert loss == pytest.approx(objective.score(restored[None].clone(), tiles[0][1]), abs=0.01)
    assert in_thumb.abs().max() > 0
    assert in_levels.abs().max() > 0


def test_stepping_against_the_bits_gradient_saves_real_bytes(sample_photo) -> None:
    thumb = hci.thumbnail(images.load(sample_photo)[:, :384, :576])
    value = to_tensor(thumb)
    gradient = shaping._bits_gradient(value, 40, 8000)
    step = 0.01 * gradient / gradient.square().mean().sqrt()
    sizes = [len(av1.encode(to_pixels((value + s * step).clamp(0, 1)), 40, 6)) for s in (-1, 0, 1)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_excess_is_of_lines_in_the_spectrum_that_the_original_lacks() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = [0.5 + 0.1 * torch.randn(1, 3, 96, 96, generator=generator) for _ in range(2)]
    hatching = 0.05 * torch.sin(torch.arange(96.0) * 2 * torch.pi / 5)
    same_kind, hatched = excess(noise[1], noise[0]), excess(noise[0] + hatching, noise[0])
    assert excess(noise[0], noise[0]) == 0
    assert hatched > 0.02
    assert excess(0.5 + hatching.expand(1, 3, 96, 96), torch.full((1, 3, 96, 96), 0.5)) > 1
    assert excess(0.8 * noise[0] + 0.1, noise[0]) == 0
    assert same_kind < 0.1


@given(height=st.integers(4, 260).map(lambda n: 4 * n), width=st.integers(4, 260).map(lambda n: 4 * n))
def test_tiles_cover_a_picture_once_and_are_bounded(height: int, width: int) -> None:
    covered = torch.zeros(height, width, dtype=torch.int8)
    for top, left, h, w in shaping.tiles_of(height, width):
        covered[top : top + h, left : left + w] += 1
        assert h * w <= 1.3 * 192 * 128
        assert min(h, w) >= min(16, height, width)
    assert bool((covered == 1).all())


def test_drafts_share_nothing(photo) -> None:
    """A sharper thumbnail is another array: the plain one is still needed."""
    thumb = hci.thumbnail(photo[:, :80])
    before = thumb.copy()
    assert not (search._sharper(thumb, 60) == thumb).all()
    assert (Draft(thumb, None).thumb == before).all()
