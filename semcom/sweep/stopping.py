"""Stop rules: whether a point has had enough trials, from what has been added up so far."""

from __future__ import annotations

from collections.abc import Mapping

from semcom.intervals import bler_interval
from semcom.sweep.scenario import StopSpec
from semcom.sweep.tally import Tally


def by_column(rule: StopSpec, columns: Mapping[str, str]) -> StopSpec:
    """The rule with the columns of metrics in place of their names, as tallies have them."""
    limits = {columns.get(name, name): limit for name, limit in rule.half_width.items()}
    return rule.model_copy(update={"half_width": limits})


def finished(rule: StopSpec, tally: Tally, seconds: float) -> bool:
    """Whether a point is finished after the trials in `tally`, which took `seconds`."""
    if tally.trials >= rule.trials:
        return True
    if tally.trials < rule.min_trials or tally.trials == 0:
        return False
    if rule.packet_errors is not None and tally.total("lost") >= rule.packet_errors:
        return True
    if rule.seconds is not None and seconds >= rule.seconds:
        return True
    return bool(rule.half_width) and all(
        _half_width(tally, name) <= limit for name, limit in rule.half_width.items()
    )


def has_early_rule(rule: StopSpec) -> bool:
    """Whether a point may finish before its last trial."""
    return rule.packet_errors is not None or rule.seconds is not None or bool(rule.half_width)


def _half_width(tally: Tally, name: str) -> float:
    if name != "bler":
        width = tally.half_width(name)
        return float("inf") if width is None else width
    if not tally.total("packets"):
        return float("inf")
    low, high = bler_interval([tally.losses()])
    return (high - low) / 2
