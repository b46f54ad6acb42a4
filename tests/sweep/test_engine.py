"""The engine is exact: however a sweep is cut, ordered, interrupted or broken, the table is the same."""

from __future__ import annotations

import errno
import os
import random
import resource
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import semcom.sweep
from semcom.sweep import api, engine, scenario, store
from semcom.sweep.executors.base import Resources
from semcom.sweep.executors.serial import SerialExecutor
from semcom.sweep.plan import Plan
from semcom.sweep.result import SweepResult

load = partial(scenario.load, allow_imports=True)
Toy = Callable[..., dict[str, Any]]


def table(result: SweepResult) -> bytes:
    return result.to_pandas().to_csv(index=False).encode()


def serial(toy: dict[str, Any], out: Path, **options: Any) -> SweepResult:
    return api.run(toy, out, executor="serial", allow_imports=True, **options)


@pytest.fixture
def expected(toy: Toy, tmp_path: Path) -> bytes:
    return table(serial(toy(), tmp_path / "expected"))


def test_table_against_a_plain_loop(toy: Toy, tmp_path: Path) -> None:
    """Nested loops over the same system and link, without the engine."""
    from sweep_toys import ToyLink, ToySystem, mse

    from semcom.contracts import Budget
    from semcom.picture import images

    frame = serial(toy(), tmp_path / "run").to_pandas().set_index(["image", "snr_db"])
    system, link, rows = ToySystem(), ToyLink(), 0
    for group in Plan(load(toy())).groups():
        image = images.load(group.photo.path)
        for snr_db in group.snrs_db:
            errors, lost = [], 0
            for trial in range(3):
                message = system.encode(image, Budget.of_bpp(1.0, 64, 64))
                (received,) = link.send([message], snr_db, [group.seed_of(snr_db, trial)])
                errors.append(mse(system.decode(received).image[None], image[None]).item())
                lost += sum(report.lost for report in received.report.classes.values())
            row = frame.loc[(group.photo.name, snr_db)]
            assert row["sweep_toys:mse"] == pytest.approx(sum(errors) / 3, abs=1e-9)
            assert row["lost"] == lost and row["packets"] == 15 and row["bler"] == lost / 15
            assert row["bpp"] == 8 * (1 + 2 + 4 * (3 + 2)) / 64**2
            assert row["cbr"] == 4 * 23 / (3 * 64**2)
            rows += 1
    assert len(frame) == rows == 16


@pytest.mark.parametrize("batch", [1, 3, 7, 1000])
def test_batch_size_changes_nothing(toy: Toy, tmp_path: Path, expected: bytes, batch: int) -> None:
    assert table(serial(toy(), tmp_path / "run", batch=batch)) == expected


def test_order_changes_nothing(
    toy: Toy, tmp_path: Path, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = Plan.groups

    def shuffled(plan: Plan) -> Any:
        return iter(random.Random(3).sample(list(groups(plan)), len(plan.photos)))

    monkeypatch.setattr(Plan, "groups", shuffled)
    reversed_snrs = toy(grid={"snr_db": [30, 5, 0, -5]})
    assert table(serial(reversed_snrs, tmp_path / "run", batch=3)) == expected


def test_two_processes_give_the_same_table(toy: Toy, tmp_path: Path, expected: bytes) -> None:
    assert (
        table(api.run(toy(), tmp_path / "run", executor="processes", allow_imports=True, workers=2, batch=2))
        == expected
    )


@pytest.mark.parametrize(
    "stop",
    [
        {"trials": 40, "packet_errors": 5},
        {"trials": 40, "min_trials": 3, "half_width": {"bler": 0.2}},
        {"trials": 40, "half_width": {"sweep_toys:mse": 1e-5, "bler": 0.3}},
    ],
)
def test_stop_rules_do_not_depend_on_batches_or_interruptions(
    toy: Toy, tmp_path: Path, stop: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = serial(toy(stop=stop), tmp_path / "whole")
    assert 1 <= whole.to_pandas()["trials"].min() < whole.to_pandas()["trials"].max() <= 40
    assert table(serial(toy(stop=stop), tmp_path / "single", batch=1)) == table(whole)
    _interrupt_at_random(monkeypatch, toy(stop=stop), tmp_path / "cut")
    assert table(serial(toy(stop=stop), tmp_path / "cut", batch=5)) == table(whole)


def test_packet_error_rule_stops_at_the_first_trial_that_reaches_it(toy: Toy, tmp_path: Path) -> None:
    frame = serial(toy(stop={"trials": 40, "packet_errors": 5}), tmp_path / "run").to_pandas()
    stopped = frame[frame["trials"] < 40]
    assert len(stopped) and (stopped["lost"] >= 5).all() and (stopped["lost"] <= 5 + 3).all()
    assert (frame[frame["trials"] == 40]["lost"] < 5 + 4).all()


def test_more_trials_extend_what_is_there(toy: Toy, tmp_path: Path) -> None:
    serial(toy(), tmp_path / "run")
    extended = serial(toy(stop={"trials": 8}), tmp_path / "run")
    assert extended.statistics is not None and extended.statistics.sent == 16 * 5
    assert table(extended) == table(serial(toy(stop={"trials": 8}), tmp_path / "whole"))


def test_wider_grid_computes_only_what_is_new(toy: Toy, tmp_path: Path) -> None:
    serial(toy(), tmp_path / "run")
    wider = toy(grid={"snr_db": [-5, 0, 5, 12, 30]})
    result = serial(wider, tmp_path / "run")
    assert result.statistics is not None
    assert (result.statistics.points, result.statistics.skipped) == (4, 16)
    assert table(result) == table(serial(wider, tmp_path / "whole"))


def test_encodes_once_per_image_and_decodes_once_per_distinct_message(toy: Toy, tmp_path: Path) -> None:
    log = tmp_path / "log"
    result = serial(toy(options={"log": str(log)}, stop={"trials": 10}), tmp_path / "run")
    lines = log.read_text().split()
    assert lines.count("encode") == 4
    statistics = result.statistics
    assert statistics is not None
    assert lines.count("decode") == statistics.decoded
    assert statistics.decoded + statistics.reused == statistics.sent == 160
    assert statistics.decoded <= 4 * 2**4  # a message has 4 packets that may be lost


def test_links_that_cost_the_same_share_one_encoding(toy: Toy, tmp_path: Path) -> None:
    log = tmp_path / "log"
    grid = {"snr_db": [0], "link.slope": [4.0, 5.0, 6.0]}
    serial(toy(options={"log": str(log)}, grid=grid, budget={"cbr": 0.01}), tmp_path / "run")
    assert log.read_text().split().count("encode") == 4


def test_a_finished_run_does_nothing(toy: Toy, tmp_path: Path, expected: bytes) -> None:
    again = serial(toy(), tmp_path / "expected")
    assert again.statistics is not None
    assert (again.statistics.sent, again.statistics.skipped) == (0, 16)
    assert table(again) == expected


def test_no_resume_refuses_a_folder_with_results(toy: Toy, tmp_path: Path, expected: bytes) -> None:
    with pytest.raises(ValueError, match="has results"):
        serial(toy(), tmp_path / "expected", resume=False)


def test_interrupted_anywhere_and_resumed(
    toy: Toy, tmp_path: Path, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupt_at_random(monkeypatch, toy(), tmp_path / "run")
    assert table(serial(toy(), tmp_path / "run")) == expected


def test_killed_twenty_times_and_resumed(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 of a forked process at random moments, with a shard after every row."""
    slow = toy(options={"seconds": 0.002}, stop={"trials": 12})
    expected = table(serial(slow, tmp_path / "whole"))
    monkeypatch.setattr("semcom.sweep.writer._SECONDS_PER_SHARD", 0.0)
    rng, cut_short = random.Random(5), 0
    for _ in range(20):
        child = os.fork()
        if child == 0:
            serial(slow, tmp_path / "run", batch=2)
            os._exit(0)
        time.sleep(rng.uniform(0.01, 0.25))
        os.kill(child, signal.SIGKILL)
        cut_short += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert cut_short > 3
    assert table(serial(slow, tmp_path / "run")) == expected


def test_ctrl_c_keeps_what_is_finished(toy: Toy, tmp_path: Path, expected: bytes) -> None:
    run = Plan(load(toy()))
    folder = store.Store(tmp_path / "run")
    folder.create()
    pressed = []
    before = signal.getsignal(signal.SIGINT)

    def press(points: int) -> None:
        if points and not pressed:
            pressed.append(points)
            signal.raise_signal(signal.SIGINT)

    statistics = engine.Engine(run, folder, SerialExecutor(Resources()), {}, batch=2, advance=press).run()
    assert statistics.interrupted and 0 < len(folder.reach()) < 16
    assert signal.getsignal(signal.SIGINT) is before
    result = serial(toy(), tmp_path / "run")
    assert result.statistics is not None and result.statistics.skipped > 0
    assert table(result) == expected


def test_merge_counts_nothing_twice(toy: Toy, tmp_path: Path, expected: bytes) -> None:
    half = toy(grid={"snr_db": [-5, 0]})
    serial(half, tmp_path / "half")
    serial(toy(), tmp_path / "whole", batch=2)
    merged = api.merge([tmp_path / "whole", tmp_path / "half", tmp_path / "expected"], tmp_path / "merged")
    assert table(merged) == expected
    assert api.status(tmp_path / "merged")["finished"] == 16


def test_parts_of_an_array_are_the_whole_run(toy: Toy, tmp_path: Path, expected: bytes) -> None:
    for number in (1, 2, 3):
        serial(toy(), tmp_path / f"part{number}", part=(number, 3))
    merged = api.merge([tmp_path / f"part{number}" for number in (1, 2, 3)], tmp_path / "merged")
    assert table(merged) == expected
    with pytest.raises(ValueError, match="part 9/9: there are 4 images"):
        serial(toy(), tmp_path / "none", part=(9, 9))


def test_an_image_that_cannot_be_read_fails_alone_and_is_retried(
    toy: Toy, photos: Path, tmp_path: Path, expected: bytes
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in photos.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    whole = (folder / "photo2.png").read_bytes()
    (folder / "photo2.png").write_bytes(whole[:200])
    first = serial(toy(images=[str(folder)]), tmp_path / "run")
    assert first.statistics is not None
    assert (first.statistics.points, first.statistics.failed) == (12, 4)
    assert {f["point"]["image"]["name"] for f in first.failures().values()} == {"photo2.png"}
    assert all("ImageError" in f["reason"] for f in first.failures().values())
    (folder / "photo2.png").write_bytes(whole)
    with pytest.warns(UserWarning, match=r"photo2\.png: was \w+, is \w+"):
        second = serial(toy(images=[str(folder)]), tmp_path / "run")
    assert second.statistics is not None and (second.statistics.points, second.statistics.skipped) == (4, 12)
    assert table(second) == expected
    assert api.status(tmp_path / "run")["failures"] == {}


@pytest.mark.slow
def test_one_broken_photo_among_a_thousand(toy: Toy, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    originals = [path.read_bytes() for path in sorted(photos.iterdir())]
    for index in range(1000):  # readers stop at a PNG's end: the same pictures in a thousand files
        (folder / f"{index:04d}.png").write_bytes(originals[index % len(originals)] + b"%d" % index)
    (folder / "0617.png").write_bytes(originals[1][:200])
    asked = toy(images=[str(folder)], grid={"snr_db": [-5, 30]}, stop={"trials": 1}, pictures=0)
    first = serial(asked, tmp_path / "run")
    assert first.statistics is not None
    assert (first.statistics.points, first.statistics.failed) == (1998, 2)
    assert {f["point"]["image"]["name"] for f in first.failures().values()} == {"0617.png"}
    (folder / "0617.png").write_bytes(originals[1])
    second = serial(asked, tmp_path / "run")
    assert second.statistics is not None and (second.statistics.points, second.statistics.skipped) == (
        2,
        1998,
    )
    assert len(second.to_pandas()) == 2000 and second.failures() == {}


def test_a_point_the_link_cannot_do_fails_alone(toy: Toy, tmp_path: Path) -> None:
    result = serial(toy(link={"fail_at_db": 5.0}), tmp_path / "run")
    assert {f["point"]["snr_db"] for f in result.failures().values()} == {5.0}
    assert all("cannot do 5.0 dB" in f["reason"] and f["stage"] == "link" for f in result.failures().values())
    assert set(result.to_pandas()["snr_db"]) == {-5.0, 0.0, 30.0}
    again = serial(toy(link={"fail_at_db": 5.0}), tmp_path / "run")
    assert again.statistics is not None and (again.statistics.skipped, again.statistics.failed) == (12, 4)


def test_a_decoder_that_raises_fails_its_points_and_keeps_the_trials_before(toy: Toy, tmp_path: Path) -> None:
    result = serial(toy(options={"refuse": True}, stop={"trials": 5}), tmp_path / "run")
    reasons = {f["reason"] for f in result.failures().values()}
    assert reasons == {"RuntimeError: a quarter is missing"}
    done = result.to_pandas()
    assert set(done[done["trials"] == 5]["snr_db"]) == {30.0} and (done["lost"] == 0).all()


def test_a_budget_that_is_too_small_names_the_smallest(toy: Toy, tmp_path: Path) -> None:
    systems = {"avif": {}}
    result = serial(toy(systems=systems, budget={"bpp": 0.001}), tmp_path / "run")
    assert len(result.failures()) == 16 and len(result.to_pandas()) == 0
    assert all("smallest that works" in f["reason"] for f in result.failures().values())


def test_a_disk_that_is_full_for_a_while_loses_nothing(
    toy: Toy, tmp_path: Path, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = store.Store.write_shard, []

    def sometimes_full(self: store.Store, rows: Sequence[Any], provenance: Any) -> Path:
        calls.append(len(rows))
        if len(calls) <= 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, rows, provenance)

    monkeypatch.setattr("semcom.sweep.writer._SECONDS_PER_SHARD", 0.0)
    monkeypatch.setattr(store.Store, "write_shard", sometimes_full)
    with pytest.warns(UserWarning, match="No space left"):
        assert table(serial(toy(), tmp_path / "run", batch=2)) == expected


def test_a_disk_that_stays_full_is_an_error_and_a_later_run_completes(
    toy: Toy, tmp_path: Path, expected: bytes
) -> None:
    """A real limit: no file may grow beyond 3 kB, so that no shard fits."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
        try:
            serial(toy(pictures=0), tmp_path / "run")
        except OSError as error:
            os._exit(7 if error.errno == errno.EFBIG else 8)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert list((tmp_path / "run" / "shards").iterdir()) == []
    assert table(serial(toy(pictures=0), tmp_path / "run")) == expected


def test_a_truncated_shard_is_redone(toy: Toy, tmp_path: Path, expected: bytes) -> None:
    (shard,) = (tmp_path / "expected" / "shards").iterdir()
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    with pytest.warns(UserWarning, match="damaged"):
        assert table(serial(toy(), tmp_path / "expected")) == expected


def test_bad_system_options_are_an_error_before_any_work(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(scenario.ScenarioError, match=r"'colour'"):
        serial(toy(options={"colour": 3}), tmp_path / "run")


def test_the_package_is_callable(toy: Toy, tmp_path: Path, expected: bytes) -> None:
    assert table(semcom.sweep(toy(), tmp_path / "run", executor="serial", allow_imports=True)) == expected
    assert semcom.sweep.run is api.run


def test_status_counts_every_point(toy: Toy, tmp_path: Path) -> None:
    serial(toy(link={"fail_at_db": 5.0}), tmp_path / "run")
    state = api.status(tmp_path / "run")
    assert (state["points"], state["finished"], state["failed"], state["pending"]) == (16, 12, 4, 0)


def _interrupt_at_random(monkeypatch: pytest.MonkeyPatch, toy: dict[str, Any], out: Path) -> None:
    """Several runs that end with an exception in the middle of things, each later than the one before."""
    rng = random.Random(11)
    settle = engine.Engine._settle
    for _ in range(4):
        remaining = [rng.randrange(1, 4)]

        def cut(self: engine.Engine, current: Any, last: bool = False, left: list[int] = remaining) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            settle(self, current, last)

        with monkeypatch.context() as patch:
            patch.setattr(engine.Engine, "_settle", cut)
            with pytest.raises(KeyboardInterrupt):
                serial(toy, out, batch=rng.randrange(1, 9))
