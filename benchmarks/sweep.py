"""What the sweep engine saves: the same points by the engine and by a plain nested loop, and at scale.

    python benchmarks/sweep.py                                   everything: 24 Kodak × 11 SNR × 2 systems
    python benchmarks/sweep.py --images 2 --snrs 4 --systems avif    a part of it
    python benchmarks/sweep.py --only plan                       one measurement

Measurements, each a key of benchmarks/results/sweep.json:
    speed     engine (processes) against a plain loop (for each SNR, system, image): the same systems, link,
              points, seeds and metrics, and both tables are compared; with seconds per stage
    added     cost of one more SNR at which nothing is lost, relative to a point simulated on its own
    plan      seconds and peak memory of expanding a plan of a million points, and of a run that writes shards
    ray       a decode-bound toy sweep on a local Ray cluster of one and of two workers
A measurement that was not asked for keeps its last result.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "sweep.json"
SNRS = [-5 + 2.5 * i for i in range(11)]
TOYS = ROOT / "tests" / "sweep"


def main() -> None:
    arguments = _arguments()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    measurements: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
        "speed": speed,
        "added": added,
        "plan": plan,
        "ray": ray_scaling,
    }
    for name in arguments.only or measurements:
        from semcom.provenance import provenance

        measured = measurements[name](arguments)
        results[name] = measured | {"command": "python " + " ".join(sys.argv)} | provenance()
        print(json.dumps({name: results[name]}, indent=1))
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def speed(arguments: argparse.Namespace) -> dict[str, Any]:
    """Engine against nested loop."""
    scenario = _scenario(arguments, _snrs(arguments))
    with tempfile.TemporaryDirectory() as folder:
        seconds, frame, statistics = _engine(scenario, Path(folder), arguments.workers)
        stages = _stages_of(Path(folder))
    plain_seconds, plain_rows, plain_stages = _plain(scenario, arguments.plain_threads)
    different = [
        key
        for key, row in plain_rows.items()
        if any(abs(frame.loc[key, n] - v) > 1e-9 for n, v in row.items())
    ]
    return {
        "images": len(scenario["images"]),
        "snrs": len(scenario["grid"]["snr_db"]),
        "systems": list(scenario["systems"]),
        "channel": arguments.channel,
        "points": len(plain_rows),
        "workers": arguments.workers,
        "threads_per_worker": 1,
        "engine_seconds": seconds,
        "engine_encoded": statistics.encoded,
        "engine_decoded": statistics.decoded,
        "engine_reused": statistics.reused,
        "engine_stage_seconds": stages,
        "plain_seconds": plain_seconds,
        "plain_threads": arguments.plain_threads,
        "plain_stage_seconds": plain_stages,
        "speedup": plain_seconds / seconds,
        "points_that_differ": len(different),
    }


def added(arguments: argparse.Namespace) -> dict[str, Any]:
    """One more SNR where nothing is lost: in an engine run, and as a point of its own."""
    from semcom.sweep import api

    def timed(snrs: list[float]) -> float:
        """Computing seconds of all stages, model building and start-up left out, in one warm process."""
        with tempfile.TemporaryDirectory() as folder:
            result = api.run(_scenario(arguments, snrs), folder, executor="serial", show_progress=False)
            assert (
                result.statistics is not None and not result.statistics.interrupted and not result.failures()
            )
            assert result.to_pandas().loc[lambda frame: frame["snr_db"] >= 30, "lost"].sum() == 0
            return sum(result.seconds().values())

    timed([30.0])
    single, both = timed([30.0]), timed([30.0, 31.0, 32.0, 33.0, 34.0])
    extra = (both - single) / 4
    return {
        "systems": arguments.systems,
        "channel": arguments.channel,
        "full_point_seconds": single / len(_images(arguments)) / len(arguments.systems),
        "added_point_seconds": extra / len(_images(arguments)) / len(arguments.systems),
        "added_over_full": extra / single,
    }


def plan(arguments: argparse.Namespace) -> dict[str, Any]:
    """In a process of its own, so that the peak of memory is that of the plan."""
    code = "import sys; sys.path[:0] = sys.argv[1:]; import benchmarks.sweep as b; b.plan_child()"
    run = subprocess.run(
        [sys.executable, "-c", code, str(ROOT), str(TOYS)], capture_output=True, text=True, check=True
    )
    measured: dict[str, Any] = json.loads(run.stdout)
    return measured


def plan_child() -> None:
    """Expands a million points; then writes a hundred thousand rows and watches the memory."""
    from semcom.sweep import scenario
    from semcom.sweep.plan import Plan
    from semcom.sweep.rows import Row
    from semcom.sweep.store import Store
    from semcom.sweep.tally import Tally

    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        photos.mkdir()
        for index in range(100):
            (photos / f"{index:03d}.png").write_bytes(b"%d" % index)
        grid = {
            "snr_db": {"start": -5, "stop": 20, "step": 1},
            "budget.cbr": [0.005 * i for i in range(1, 11)],
            "link.channel.speed_kmh": list(range(1, 21)),
        }
        toy = {"system": "sweep_toys:ToySystem"}
        checked = scenario.load(
            {
                "name": "million",
                "images": [str(photos)],
                "systems": {"a": toy, "b": toy},
                "budget": {"cbr": 0.01},
                "grid": grid,
                "metrics": ["psnr"],
            },
            allow_imports=True,
        )
        before = _peak_mib()
        start, cpu = time.perf_counter(), time.process_time()
        expanded = Plan(checked)
        points = sum(len(group.ids) for group in expanded.groups())
        seconds, cpu, peak = time.perf_counter() - start, time.process_time() - cpu, _peak_mib()
        assert points == len(expanded) >= 1_000_000
        store, memory = Store(Path(folder) / "run"), []
        store.create()
        tally = Tally()
        tally.add({"psnr": 30.0, "lost": 1, "packets": 9})
        rows: list[Row] = []
        for written, (group, snr_db, key) in enumerate(_points(expanded)):
            rows.append(Row(key, group.description(snr_db), 0, None, tally, ("psnr",)))
            if len(rows) == 2000:
                store.write_shard(rows, {})
                rows = []
                memory.append(_resident_mib())
            if written == 100_000:
                break
    print(
        json.dumps(
            {
                "points": points,
                "seconds": seconds,
                "cpu_seconds": cpu,
                "peak_mib_before": before,
                "peak_mib": peak,
                "resident_mib_after_shards": [memory[5], memory[len(memory) // 2], memory[-1]],
            }
        )
    )


def ray_scaling(arguments: argparse.Namespace) -> dict[str, Any]:
    """Decodes of a second that sleep, so that two workers need no second core to be twice as fast."""
    import ray
    from ray.cluster_utils import Cluster

    sys.path.insert(0, str(TOYS))
    lean, seconds = {"include_dashboard": False, "include_log_monitor": False}, {}
    for workers in (1, 2):
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **lean})
        for _ in range(workers):
            cluster.add_node(num_cpus=1, **lean)
        try:
            seconds[workers] = _ray_run(workers, cluster.address)
        finally:
            ray.shutdown()
            cluster.shutdown()
    return {
        "decode_seconds_each": 1.0,
        "one_worker_seconds": seconds[1],
        "two_workers_seconds": seconds[2],
        "speedup": seconds[1] / seconds[2],
    }


def _ray_run(workers: int, address: str) -> float:
    """Seconds from the beginning of the first decode to that of the last."""
    from semcom.sweep import api

    with tempfile.TemporaryDirectory() as folder:
        scenario = {
            "name": "ray",
            "images": ["sample:*"],
            "systems": {
                "toy": {"system": "sweep_toys:ToySystem", "options": {"seconds": 1.0, "log": f"{folder}/log"}}
            },
            "link": {"kind": "sweep_toys:ToyLink"},
            "budget": {"bpp": 1.0},
            "grid": {"snr_db": [-5, -4, -3, -2, -1, 0, 1, 2, 3, 4]},
            "stop": {"trials": 20},
            "metrics": ["psnr"],
            "pictures": 0,
        }
        how = {"executor": "ray", "address": address, "workers": workers}
        result = api.run(scenario, Path(folder) / "run", allow_imports=True, **how)
        assert not result.failures()
        lines = [line.split() for line in (Path(folder) / "log").read_text().splitlines()]
        begun = sorted(float(when) for what, when in lines if what == "decode")
        return begun[-1] - begun[0]


def _engine(scenario: dict[str, Any], folder: Path, workers: int) -> tuple[float, Any, Any]:
    from semcom.sweep import api

    start = time.perf_counter()
    result = api.run(scenario, folder, executor="processes", workers=workers, show_progress=False)
    seconds = time.perf_counter() - start
    return seconds, result.to_pandas().set_index(["system", "image", "snr_db"]), result.statistics


def _stages_of(folder: Path) -> dict[str, float]:
    from semcom.sweep import api

    return api.load(folder).seconds()


def _plain(
    scenario: dict[str, Any], threads: int
) -> tuple[float, dict[Any, dict[str, float]], dict[str, float]]:
    """For each SNR, system and image: load, encode, send, decode, measure. Models and link are built once."""
    import torch

    from semcom.picture import images
    from semcom.sweep import parts
    from semcom.sweep import scenario as scenarios
    from semcom.sweep.plan import Plan

    torch.set_num_threads(threads)
    rows: dict[Any, dict[str, float]] = {}
    stages: dict[str, float] = defaultdict(float)
    start = time.perf_counter()
    with torch.inference_mode(), _link_stages(stages):
        points = list(_points(Plan(scenarios.load(scenario))))
        link = parts.build_link(points[0][0].scene.link)
        systems = {
            label: parts.build_system(scene.kind, scene.options)
            for label, scene in {group.scene.label: group.scene for group, _, _ in points}.items()
        }
        for group, snr_db, _ in sorted(points, key=lambda point: point[1]):
            scene = group.scene
            image = images.load(group.photo.path)
            budget = parts.build_budget(scene.budget, image.shape[-1], image.shape[-2], link)
            message = _timed(stages, "encode", systems[scene.label].encode, image, budget)
            seed = group.seed_of(snr_db, 0)
            (received,) = _timed(stages, "link", link.send, [message], snr_db, [seed])
            picture = _timed(stages, "decode", systems[scene.label].decode, received).image
            rows[scene.label, group.photo.name, snr_db] = _timed(
                stages,
                "metrics",
                lambda a, b: {n: parts.metric(n)(a, b).item() for n in scenario["metrics"]},
                picture[None],
                image[None],
            )
    return time.perf_counter() - start, rows, dict(stages)


@contextmanager
def _link_stages(stages: dict[str, float]) -> Iterator[None]:
    """Times the parts of the digital link: `ldpc` and `channel` are inside `link`."""
    from channels.coding.rate_matching import LdpcCode
    from channels.ofdm.front_end import OfdmFrontEnd

    wrapped = [(LdpcCode, "decode", "ldpc"), (LdpcCode, "encode", "ldpc"), (OfdmFrontEnd, "send", "channel")]
    originals = [getattr(owner, name) for owner, name, _ in wrapped]
    for (owner, name, stage), original in zip(wrapped, originals, strict=True):

        def timed(*args: Any, _f: Any = original, _s: str = stage, **options: Any) -> Any:
            return _timed(stages, _s, _f, *args, **options)

        setattr(owner, name, timed)
    try:
        yield
    finally:
        for (owner, name, _), original in zip(wrapped, originals, strict=True):
            setattr(owner, name, original)


def _timed(stages: dict[str, float], stage: str, function: Any, *args: Any, **options: Any) -> Any:
    start = time.perf_counter()
    try:
        return function(*args, **options)
    finally:
        stages[stage] += time.perf_counter() - start


def _scenario(arguments: argparse.Namespace, snrs: list[float]) -> dict[str, Any]:
    return {
        "name": "benchmark",
        "images": [str(path) for path in _images(arguments)],
        "systems": {name: {} for name in arguments.systems},
        "link": {"channel": {"model": arguments.channel}},
        "budget": {"bpp": 0.03},
        "grid": {"snr_db": snrs},
        "metrics": arguments.metrics,
        "pictures": 0,
    }


def _images(arguments: argparse.Namespace) -> list[Path]:
    found = sorted(arguments.data.glob("*.png"))[: arguments.images]
    if not found:
        sys.exit(f"no PNG files in {arguments.data}: give the Kodak folder with --data")
    return found


def _snrs(arguments: argparse.Namespace) -> list[float]:
    """As many of the eleven as asked for, spread over the range."""
    last = len(SNRS) - 1
    return [SNRS[round(i * last / max(1, arguments.snrs - 1))] for i in range(arguments.snrs)]


def _points(expanded: Any) -> Iterator[tuple[Any, float, str]]:
    for group in expanded.groups():
        for key, snr_db in zip(group.ids, group.snrs_db, strict=True):
            yield group, snr_db, key


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=["speed", "added", "plan", "ray"])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "kodak")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--snrs", type=int, default=11, choices=range(1, 12))
    parser.add_argument("--systems", nargs="+", default=["semantic", "avif"])
    parser.add_argument(
        "--channel", default="awgn", help="awgn has a sharp edge; on fading more messages differ"
    )
    parser.add_argument("--metrics", nargs="+", default=["psnr", "ms_ssim", "lpips", "dists"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--plain-threads", type=int, default=1, help="1 compares equal arithmetic, digit by digit"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
