"""Does flow-matching pretraining on captioned photographs help the diffusion decoder at equal compute?

    C=../shared/data/captions; python benchmarks/flow_matching.py --data $C/train --validation $C/val

Two arms side by side, each with half of the cores and the same minutes: `scratch` spends all of them in the
stage `decoder`, `flow` a third of them in the stage `flow` and the rest in `decoder`. The last layer starts
at zero in both, seeds are the same. Writes benchmarks/results/flow_matching.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from flow_stage import FlowStage

from semcom.provenance import provenance
from semcom.train.loop import Trained, run
from semcom.train.stages.decoder import DecoderStage, frozen_parts
from semcom.train.training_run import TrainingRun

RESULTS = Path(__file__).parent / "results"
_PROFILE = Path(__file__).parent.parent / "semcom" / "profiles" / "tiny"
ARMS = {"scratch": 0.0, "flow": 1 / 3}  # share of the minutes


def train(arm: str, wanted: TrainingRun, threads: int) -> dict[str, Any]:
    """One arm: how long it trained, and what it reaches on the validation split."""
    torch.set_num_threads(threads)
    frozen = frozen_parts(wanted)
    row: dict[str, Any] = {"arm": arm, "minutes": wanted.minutes}
    decoder = DecoderStage(frozen)
    pretraining = ARMS[arm] * wanted.minutes
    if pretraining:
        flow = FlowStage(frozen)
        trained = run(flow, wanted.folder / arm / "flow", pretraining, wanted.seed, resume=True)
        row["flow"] = summary(trained, flow.batch_size)
        untrained = decoder.model.state_dict()
        last_layer = {name: untrained[name] for name in untrained if name.startswith("decoder.rgb.")}
        decoder.model.load_state_dict(trained.model.state_dict() | last_layer)
    rest = wanted.minutes - pretraining
    trained = run(decoder, wanted.folder / arm / "decoder", rest, wanted.seed, resume=True)
    return row | {"decoder": summary(trained, decoder.batch_size)}


def summary(trained: Trained, batch_size: int) -> dict[str, Any]:
    samples, seconds = trained.progress.step * batch_size, trained.progress.seconds
    return {"minutes": round(seconds / 60, 1), "samples": samples, "validation": trained.metrics}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--validation", nargs="+", required=True)
    parser.add_argument("--minutes", type=float, default=24.0, help="of training, per arm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs/flow_matching"))
    parser.add_argument("--out", type=Path, default=RESULTS / "flow_matching.json")
    given = parser.parse_args()
    wanted = TrainingRun(
        given.data, given.validation, _PROFILE, given.minutes, given.runs, given.seed, resume=True
    )
    threads = max(1, (os.cpu_count() or 2) // len(ARMS))
    with ProcessPoolExecutor(len(ARMS), get_context("spawn")) as pool:
        jobs = [pool.submit(train, arm, wanted, threads) for arm in ARMS]
        results = [job.result() for job in jobs]
    for row in results:
        sys.stdout.write(f"{row['arm']}: {row['decoder']['validation']}\n")
    document = {"command": "python " + " ".join(sys.argv), "results": results} | provenance()
    given.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
