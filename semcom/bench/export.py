"""A benchmark as a scenario of a sweep: the MCSs that are worth trying become an axis of each system.

    semcom bench scenario benchmarks/link.yaml link_sweep.yaml
    semcom sweep run link_sweep.yaml

Every MCS of a system is then sent at every budget and SNR, and
`SweepResult.envelope(metric, over="mcs")` is the MCS envelope.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from semcom.bench.operating_points import OperatingPoint
from semcom.bench.spec import PERFECT, BenchSpec

AXIS = "mcs"


def sweep_scenario(spec: BenchSpec, points: Sequence[OperatingPoint]) -> dict[str, Any]:
    """A scenario as plain data, to be written as YAML."""
    systems: dict[str, Any] = {}
    for label, system in spec.systems.items():
        schemes = [point.mcs for point in points if point.system == label and point.mcs]
        variants = {
            ", ".join(f"{name} {index}" for name, index in mcs.items()): {
                f"link.classes.{name}.mcs": index for name, index in mcs.items()
            }
            for mcs in sorted(schemes, key=lambda mcs: tuple(mcs.values()))
        }
        systems[label] = {"system": system.system or label, "options": system.options}
        if variants:
            systems[label]["grid"] = {AXIS: variants}
    unit = spec.budgets.unit
    return {
        "name": spec.name,
        "description": spec.description,
        "seed": spec.seed,
        "images": list(spec.images),
        "systems": systems,
        "link": {"kind": PERFECT} if spec.link is None else dict(spec.link),
        "budget": {unit: spec.budgets.values[0]},
        "grid": {"snr_db": list(spec.snrs_db), f"budget.{unit}": list(spec.budgets.values)},
        "stop": {"trials": spec.trials},
        "metrics": list(spec.metrics),
        "pictures": spec.pictures,
    }
