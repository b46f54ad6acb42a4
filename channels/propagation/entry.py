"""A channel model before it is built: what it is, and which fields of a `ChannelSpec` it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from channels.propagation.base import ChannelModel


@dataclass(frozen=True)
class Entry:
    """A channel model before it is built."""

    summary: str
    """What it is, in a line."""
    factory: str | Callable[[Any], ChannelModel]
    """Called with the `ChannelSpec`; `module:attribute`, or the callable itself.

    The spec's type isn't written here, because `channels.spec` asks this module what a model reads.
    """
    reads: tuple[str, ...] = ()
    """Fields of `ChannelSpec` that change it, beside carrier and antennas; others get a warning."""
    carrier_range_hz: tuple[float, float] = (0.5e9, 150e9)
    carrier_source: str = ""
    """Who says so."""

    def build(self, spec: Any) -> ChannelModel:
        """Build the model of a `ChannelSpec`."""
        if not isinstance(self.factory, str):
            return self.factory(spec)
        module, _, attribute = self.factory.partition(":")
        model: ChannelModel = getattr(import_module(module), attribute)(spec)
        return model
