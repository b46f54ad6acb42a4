"""MCSs of a link specification: another one per class, and all of a table in order of rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from channels.spec import LinkSpec


def with_mcs(spec: LinkSpec, mcs: Mapping[str, int]) -> LinkSpec:
    """The same link with these classes, each at its MCS and otherwise as it was."""
    from channels.spec import ClassSpec

    classes = {
        name: spec.classes[name].model_copy(update={"mcs": index})
        if name in spec.classes
        else ClassSpec(mcs=index)
        for name, index in mcs.items()
    }
    return spec.model_copy(update={"classes": classes})


def mcs_by_rate(spec: LinkSpec) -> list[int]:
    """Indices of the MCS table, the most robust first."""
    from channels.coding.mcs import mcs, mcs_table_size

    indices = range(mcs_table_size(spec.mcs_table))
    return sorted(indices, key=lambda i: mcs(spec.mcs_table, i).spectral_efficiency)
