"""From names in a scenario to the objects behind the contracts: systems, links, metrics, budgets.

A name is registered (by semcom, or by an installed package's entry points of the groups `semcom.systems`,
`semcom.links`, `semcom.metrics`), or it is `module:callable`, where the user allows imports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from semcom.metrics import registry
from semcom.metrics.registry import Metric
from semcom.registry import Registry
from semcom.sweep import imports, mcs

if TYPE_CHECKING:
    from pydantic import BaseModel

    from channels.spec import LinkSpec
    from semcom.contracts import Budget, Link, System

CHANNEL_LINKS = {
    "digital": "channels.links.digital:DigitalLink",
    "abstraction": "channels.links.abstraction:AbstractLink",
}
PERFECT = "perfect"
LINKS = Registry("link", "semcom.links", {**CHANNEL_LINKS, PERFECT: "semcom.link:PerfectLink"})


def system_names() -> list[str]:
    """Registered systems."""
    from semcom.systems import names

    return names()


def runs_programs(kind: str) -> bool:
    """Whether a system's options name programs."""
    from semcom.systems import RUNS_PROGRAMS

    return kind in RUNS_PROGRAMS


def link_names() -> list[str]:
    """Registered kinds of link."""
    return LINKS.names()


def system_factory(kind: str) -> Callable[..., System]:
    """What is called with a system's options. Raises ValueError where an import fails."""
    from semcom.systems import factory, names

    return factory(kind) if kind in names() else imports.callable_at(kind)


def options_model(kind: str) -> type[BaseModel] | None:
    """The fields of a system's options; None for one that takes any."""
    from semcom.systems import model_of_signature, names, options_model

    return options_model(kind) if kind in names() else model_of_signature(imports.callable_at(kind))


def link_model(kind: str) -> type[LinkSpec] | None:
    """The fields of a kind of link, beside `mcs`; None for one that checks its own."""
    if kind not in CHANNEL_LINKS:
        return None
    from channels.spec import LinkSpec

    return LinkSpec


def channel_model(link: Mapping[str, Any]) -> str | None:
    """`module:factory` of a link's channel, where it is one's own."""
    channel = link.get("channel") if link.get("kind", "digital") in CHANNEL_LINKS else None
    name = channel.get("model") if isinstance(channel, Mapping) else None
    return name if isinstance(name, str) and imports.is_import(name) else None


def import_channel(link: Mapping[str, Any]) -> None:
    """Lets this process build a link's own channel model, if it has one. Runs its code. Raises ValueError."""
    name = channel_model(link)
    if name is not None:
        from channels.propagation.registry import add

        add(name, imports.resolve(name))


def resolve_link(link: Mapping[str, Any]) -> dict[str, Any]:
    """A link with every default written out. Raises ValueError, for fields pydantic's ValidationError."""
    kind = str(link.get("kind", "digital"))
    fields = {key: value for key, value in link.items() if key != "kind"}
    model = link_model(kind)
    if model is None:
        return {"kind": kind} | fields
    wish = fields.pop(mcs.KEY, None)
    spec = model.model_validate(fields)
    chosen = {} if wish is None else {mcs.KEY: mcs.resolved(wish, spec)}
    return {"kind": kind} | spec.model_dump(mode="json") | chosen


def adapts(link: Mapping[str, Any]) -> bool:
    """Whether a resolved link's MCSs are chosen for each picture and SNR."""
    return link["kind"] in CHANNEL_LINKS and mcs.KEY in link


def channel_of(link: Mapping[str, Any]) -> Any:
    """What decides a link's realisation: what lies between the antennas, or all of a link of another kind.

    MCSs, bandwidth and receiver are no part of it: what differs in them meets the same fades.
    """
    return link["channel"] if link["kind"] in CHANNEL_LINKS else link


def build_system(kind: str, options: Mapping[str, Any]) -> System:
    """A system. Raises ValueError on a bad option."""
    from semcom.systems import build, names

    if kind in names():
        return build(kind, **options)
    try:
        return system_factory(kind)(**options)
    except TypeError as error:
        raise ValueError(f"system {kind}: {error}") from error


def build_link(link: Mapping[str, Any]) -> Link:
    """A link from its resolved description; one that adapts has the MCSs of its classes still."""
    fields = dict(link)
    kind = fields.pop("kind")
    made: Callable[..., Any] = LINKS.load(kind) if kind in LINKS else imports.callable_at(kind)
    if kind not in CHANNEL_LINKS:
        own: Link = made(**fields)
        return own
    from channels.spec import LinkSpec
    from semcom.link import ChannelLink

    import_channel(link)
    fields.pop(mcs.KEY, None)
    return ChannelLink(made(LinkSpec.model_validate(fields)))


def metric(name: str) -> Metric:
    """A metric, registered or `module:name`. Raises ValueError."""
    if imports.is_import(name):
        return registry.checked(imports.resolve(name), name)
    return registry.find(name)


def build_budget(budget: Mapping[str, Any], width: int, height: int, link: Link) -> Budget:
    """The budget of one picture on one link."""
    from semcom.contracts import Budget

    if "bpp" in budget:
        return Budget.of_bpp(budget["bpp"], width, height)
    if "cbr" in budget:
        return Budget.of_cbr(budget["cbr"], width, height, link)
    return Budget.of_channel_uses(budget["channel_uses"], link)


def source_files(group: str, name: str) -> dict[str, str]:
    """SHA-256 of the files behind a name by file name; none for semcom's own, whose version tells."""
    place = name if imports.is_import(name) else registered(group).get(name, "semcom")
    module = place.partition(":")[0]
    return {} if module.partition(".")[0] in ("semcom", "channels") else imports.files_of(module)


def registered(group: str) -> dict[str, str]:
    """`module:attribute` by name of all that installed packages register."""
    return Registry("part", group, {}).places()
