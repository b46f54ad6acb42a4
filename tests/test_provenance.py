"""What a result says of the machine it comes from, and when two machines are called unlike."""

import copy
import os
import subprocess
import sys

from semcom.provenance import machine, provenance, unlike


def test_every_result_names_processor_instructions_and_threads():
    entry = provenance()
    assert {"commit", "versions", "machine", "threads", "cores"} <= entry.keys()
    assert entry["threads"] >= 1 and entry["machine"]["processor"]
    assert {"architecture", "instruction_set", "vnni", "amx", "bf16"} <= entry["machine"].keys()


def test_machines_that_differ_are_named():
    one = provenance()
    assert unlike(one, copy.deepcopy(one)) == []
    other = copy.deepcopy(one) | {"threads": one["threads"] + 1}
    other["machine"]["instruction_set"] = "NEON"
    assert unlike(one, other) == [
        f"instruction_set: {one['machine']['instruction_set']} and NEON",
        f"threads: {one['threads']} and {one['threads'] + 1}",
    ]


def test_runs_from_before_the_machine_was_recorded_are_unlike():
    assert "threads: not recorded and 1" in unlike({"commit": "c"}, provenance() | {"threads": 1})


def test_hidden_instructions_are_recorded():
    code = "from semcom.provenance import machine; m = machine(); print(m['instruction_set'], m['overrides'])"
    hidden = os.environ | {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
    run = subprocess.run([sys.executable, "-c", code], env=hidden, capture_output=True, text=True, check=True)
    assert "'ONEDNN_MAX_CPU_ISA': 'SSE41'" in run.stdout
    assert machine().get("overrides", {}).get("ONEDNN_MAX_CPU_ISA") == os.environ.get("ONEDNN_MAX_CPU_ISA")
