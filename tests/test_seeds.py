"""Seeds depend on what is simulated and on nothing else."""

import subprocess
import sys

from semcom.seeds import derive


def test_seeds_differ_in_every_argument_and_fit_torch():
    seeds = {derive(s, p, t) for s in range(5) for p in ("a", "b", "a/1") for t in range(50)}
    assert len(seeds) == 5 * 3 * 50
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_another_process_derives_the_same_seed():
    code = "from semcom.seeds import derive; print(derive(7, 'point', 3))"
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(fresh.stdout) == derive(7, "point", 3)
