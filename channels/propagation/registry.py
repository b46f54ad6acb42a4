"""The channel models by name: what each is, which fields of a `ChannelSpec` it reads, where its code is.

Everything that is said of models follows from here: what a spec accepts and warns of, `describe`,
`semcom channels list`. Nothing heavy is imported before a model is built.

A package adds a model by a Python entry point that leads to an `Entry`:

    [project.entry-points."semcom.channel_models"]
    two-ray = "my_package.two_ray:ENTRY"

A program adds one with `add`; a name `module:attribute` in a file is data, and nobody imports it here.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from channels.propagation.entry import Entry

__all__ = ["Entry", "add", "entry", "names"]

GROUP = "semcom.channel_models"
_ARRAYS = ("antenna_polarization", "antenna_pattern")
_TR_38901 = "TR 38.901 Table 7.4.1-1"


def _tdl(summary: str, *fields: str) -> Entry:
    return Entry(summary, "channels.propagation.clustered:Tdl", ("speed_kmh", *fields))


def _cdl(summary: str) -> Entry:
    return Entry(
        f"TR 38.901 clustered delay line {summary}",
        "channels.propagation.clustered:Cdl",
        ("speed_kmh", "delay_spread_ns", *_ARRAYS),
    )


def _drop(summary: str, highest_hz: float = 100e9) -> Entry:
    return Entry(
        f"TR 38.901 {summary}: a terminal dropped anew every burst, 0.5 to {highest_hz / 1e9:g} GHz",
        "channels.propagation.drops:Scenario",
        ("speed_kmh", "los", *_ARRAYS),
        (0.5e9, highest_hz),
        _TR_38901,
    )


_BUILT_IN: dict[str, Entry] = {
    "awgn": Entry("no fading: constant unit gain, white Gaussian noise", "channels.propagation.flat:Awgn"),
    "rayleigh": Entry(
        "Rayleigh block fading: flat in frequency, one coefficient a burst",
        "channels.propagation.flat:RayleighBlockFading",
    ),
    "rician": Entry(
        "Rician block fading: a line of sight of given K factor over Rayleigh scattering, one coefficient a "
        "burst",
        "channels.propagation.flat:RicianBlockFading",
        ("rician_k_db",),
    ),
    **{
        f"tdl-{letter}": _tdl(f"TR 38.901 tapped delay line {letter.upper()}: {what}", "delay_spread_ns")
        for letter, what in {
            "a": "no line of sight, 23 taps",
            "b": "no line of sight, 23 taps",
            "c": "no line of sight, 24 taps",
            "d": "line of sight",
            "e": "line of sight",
        }.items()
    },
    **{
        f"tdl-{profile}": _tdl(
            f"TS 38.101-4 fixed profile TDL{profile.upper()}: {profile[1:]} ns delay spread"
            + ", line of sight" * (profile[0] == "d")
        )
        for profile in ("a10", "a30", "b100", "c60", "c300", "d10", "d30")
    },
    **{
        f"cdl-{letter}": _cdl(f"{letter.upper()} with antenna arrays: {what}")
        for letter, what in {
            "a": "no line of sight",
            "b": "no line of sight",
            "c": "no line of sight",
            "d": "line of sight",
            "e": "line of sight",
        }.items()
    },
    "umi": _drop("urban micro, street canyon"),
    "uma": _drop("urban macro"),
    "rma": _drop("rural macro", 30e9),
    "inh": _drop("indoor hotspot, open office"),
    "cir": Entry(
        "measured or ray-traced responses from a file: .npz, HDF5 or a DeepMIMO folder",
        "channels.propagation.dataset:CirDataset",
        ("dataset",),
    ),
    "rt": Entry(
        "ray tracing: paths between two places of a scene (extra [rt], Sionna RT), 1 to 100 GHz",
        "channels.propagation.ray_tracing:RayTraced",
        ("speed_kmh", "ray_tracing", *_ARRAYS),
        (1e9, 100e9),
        "ITU-R P.2040, whose materials the scenes are made of",
    ),
}


_added: dict[str, Entry] = {}


def names() -> tuple[str, ...]:
    """Every channel model's name, those of installed packages last; a name built in cannot be taken."""
    return (*_BUILT_IN, *sorted((_installed().keys() | _added.keys()) - _BUILT_IN.keys()))


def add(name: str, found: Any) -> None:
    """Let specs of this process name a channel model of one's own.

    Args:
        name: any that is not built in.
        found: an `Entry`; or what is called with a `ChannelSpec` and returns a `ChannelModel`; or a model
            itself. What isn't an `Entry` is taken to read the speed, the delay spread and `options`, unless
            its attribute `reads` names other fields.

    Raises:
        ValueError: the name is built in, or `found` is none of these.
    """
    if name in _BUILT_IN:
        raise ValueError(f"channel model {name!r} is built in: take another name")
    if not isinstance(found, Entry):
        from channels.propagation.own import entry_of

        found = entry_of(name, found)
    _added[name] = found


def entry(name: str) -> Entry:
    """Return a channel model's entry.

    Raises:
        ValueError: no model has that name (with the nearest one), or its entry point leads elsewhere.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    if name in _added:
        return _added[name]
    if ":" in name:
        raise ValueError(
            f"channel model {name!r} would import and run code: allow it with --allow-imports "
            "(channels.propagation.registry.add in Python) if you trust it"
        )
    if name not in _installed():
        near = difflib.get_close_matches(name.lower(), names(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown channel model {name!r}{hint} Known: {', '.join(names())}")
    found = _installed()[name].load()
    if not isinstance(found, Entry):
        raise ValueError(
            f"channel model {name!r}: {_installed()[name].value} must be an Entry of "
            f"channels.propagation.registry, not {type(found).__name__}"
        )
    return found


@cache
def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
