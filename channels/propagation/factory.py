"""The channel model that a spec names."""

from __future__ import annotations

from functools import lru_cache

from channels.propagation.base import ChannelModel
from channels.propagation.registry import Entry, entry
from channels.spec import ChannelSpec


def build_channel_model(spec: ChannelSpec) -> ChannelModel:
    """Return the model that a spec names, built once a process: some of them take seconds."""
    return _built(spec, entry(spec.model), spec.dataset.state)


@lru_cache(maxsize=64)
def _built(spec: ChannelSpec, model: Entry, files: object) -> ChannelModel:
    return model.build(spec)
