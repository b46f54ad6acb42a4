"""The channel model that a spec names."""

from __future__ import annotations

from functools import lru_cache

from channels.propagation.base import ChannelModel
from channels.propagation.flat import Awgn, RayleighBlockFading, RicianBlockFading
from channels.spec import ChannelSpec


@lru_cache(maxsize=64)
def build_channel_model(spec: ChannelSpec) -> ChannelModel:
    """Return the model that a spec names, built once a process: some of them take seconds."""
    family = spec.model.split("-")[0]
    if family == "tdl":
        from channels.propagation.clustered import Tdl

        return Tdl(spec)
    if family == "cdl":
        from channels.propagation.clustered import Cdl

        return Cdl(spec)
    if family in ("umi", "uma", "rma", "inh"):
        from channels.propagation.drops import Scenario

        return Scenario(spec)
    if family == "rt":
        from channels.propagation.ray_tracing import RayTraced

        return RayTraced(spec)
    return {"awgn": Awgn, "rayleigh": RayleighBlockFading, "rician": RicianBlockFading}[family](spec)
