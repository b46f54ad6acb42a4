"""Ray: the same table on a real local cluster of two nodes, one of which is killed in the middle."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from semcom.sweep import api

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow
LEAN = {"include_dashboard": False, "include_log_monitor": False}  # a node has 30 s to start


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head without CPUs and two nodes of one CPU each."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **LEAN})
    yield made
    ray.shutdown()
    made.shutdown()


def _table(result: Any) -> bytes:
    return result.to_pandas().to_csv(index=False).encode()


def test_a_killed_node_changes_nothing(toy: Callable[..., Any], tmp_path: Path, cluster: Any) -> None:
    log = tmp_path / "log"
    nodes = [cluster.add_node(num_cpus=1, **LEAN) for _ in range(2)]
    scenario = toy(options={"log": str(log), "seconds": 0.3})

    def kill() -> None:
        while not log.exists() or log.read_text().count("decode") < 6:
            time.sleep(0.05)
        cluster.remove_node(nodes[1], allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    result = api.run(
        scenario, tmp_path / "run", executor="ray", allow_imports=True, address=cluster.address, batch=2
    )
    killer.join()
    assert result.failures() == {}
    plain = api.run(scenario, tmp_path / "plain", executor="serial", allow_imports=True)
    assert _table(result) == _table(plain)
    deadline = time.monotonic() + 60  # the cluster notices a death late
    while sum(node["Alive"] for node in ray.nodes()) != 2 and time.monotonic() < deadline:
        time.sleep(0.5)
    assert len(ray.nodes()) == 3 and sum(node["Alive"] for node in ray.nodes()) == 2


def test_no_cluster_is_one_clear_error(toy: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no Ray cluster at 'auto'.*ray start --head"):
        api.run(toy(), tmp_path / "run", executor="ray", address="auto", allow_imports=True)
