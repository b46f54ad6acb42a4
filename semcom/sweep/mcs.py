"""The key `mcs` of a scenario's link: MCSs chosen for each picture and SNR before it is sent, as `send` does.

    link: {mcs: auto}                     the fastest that this SNR and channel carry, per protection class
    link: {mcs: 9}                        the same for every class
    link: {mcs: {critical: 2, base: 9}}   these classes, the others auto

Without the key a link keeps the MCSs of its classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from channels.spec import LinkSpec
    from semcom.contracts import Budget, Link, System
    from semcom.message import Message

KEY = "mcs"
SCHEMA = {
    "anyOf": [
        {"const": "auto"},
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": "="},
        {"type": "object", "additionalProperties": {"type": "integer"}},
    ],
    "description": "auto, an index for all classes, or class: index of some, the others auto; left out, the "
    "MCSs of the classes",
}


def resolved(wish: Any, spec: LinkSpec | None = None) -> str | int | dict[str, int]:
    """A wish as it is written into a point: `auto`, an index, or indices by class.

    Args:
        wish: what the scenario says.
        spec: of the link, whose classes and MCS table must have what is wished for; None: not checked.

    Raises:
        ValueError: it is no wish, or not one that the link can fulfil.
    """
    from semcom.adaptation import McsWish

    parsed = McsWish.parse(wish)
    if spec is not None:
        parsed.check(spec)
    return dict(parsed.fixed) or ("auto" if parsed.every is None else parsed.every)


def adapted(
    link: Mapping[str, Any],
    system: System,
    image: Tensor,
    budget_on: Callable[[Link], Budget],
    snr_db: float,
) -> tuple[dict[str, Any], Message]:
    """A link as a point is sent on it: without the key, its classes at the MCSs that were chosen; and what.

    Args:
        link: resolved, with the key.
        system: that sends.
        image: [3,H,W] float in [0,1].
        budget_on: the budget on a link.
        snr_db: Es/N0 per resource element.

    Raises:
        BudgetError: the smallest message does not fit even at the fastest MCS that is allowed.
    """
    from channels.spec import LinkSpec
    from semcom.adaptation import McsWish, adapt_message

    spec = LinkSpec.model_validate({name: value for name, value in link.items() if name not in ("kind", KEY)})
    chosen = adapt_message(system, image, spec, budget_on, snr_db, McsWish.parse(link[KEY]))
    return {"kind": link["kind"]} | chosen.spec.model_dump(mode="json"), chosen.message
