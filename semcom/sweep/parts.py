"""From names in a scenario to the objects behind the contracts: systems, links, metrics, budgets.

Whatever is not registered can be named as `package.module:factory`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel
    from torch import Tensor

    from semcom.contracts import Budget, Link, System

Metric = Callable[["Tensor", "Tensor"], "Tensor"]

METRICS = {
    "psnr": "semcom.metrics.psnr:psnr",
    "ssim": "semcom.metrics.ssim:ssim",
    "ms_ssim": "semcom.metrics.ssim:ms_ssim",
    "lpips": "semcom.metrics.lpips:lpips",
    "dists": "semcom.metrics.dists:dists",
}
LINKS = {
    "digital": "channels.links.digital:DigitalLink",
    "abstraction": "channels.links.abstraction:AbstractLink",
}


def system_names() -> list[str]:
    """Registered systems."""
    from semcom.systems import names

    return names()


def is_system(kind: str) -> bool:
    """Whether a system of that name can be made."""
    return kind in system_names() or _exists(kind)


def is_link(kind: str) -> bool:
    """Whether a link of that kind can be made."""
    return kind in LINKS or _exists(kind)


def is_metric(name: str) -> bool:
    """Whether a metric of that name can be measured."""
    return name in METRICS or _exists(name)


def system_factory(kind: str) -> Callable[..., System]:
    """What is called with a system's options."""
    from semcom.systems import factory, names

    if kind in names():
        return factory(kind)
    made: Callable[..., System] = _resolve(kind)
    return made


def options_model(kind: str) -> type[BaseModel] | None:
    """The fields of a system's options; None for one that takes any."""
    from semcom.systems import model_of_signature, names, options_model

    return options_model(kind) if kind in names() else model_of_signature(_resolve(kind))


def link_model(kind: str) -> type[BaseModel] | None:
    """The fields of a kind of link; None for one that checks its own."""
    if kind not in LINKS:
        return None
    from channels.spec import LinkSpec

    return LinkSpec


def resolve_link(link: Mapping[str, Any]) -> dict[str, Any]:
    """A link with every default written out. Raises pydantic's ValidationError."""
    kind = str(link.get("kind", "digital"))
    fields = {key: value for key, value in link.items() if key != "kind"}
    model = link_model(kind)
    return {"kind": kind} | (model.model_validate(fields).model_dump(mode="json") if model else fields)


def build_system(kind: str, options: Mapping[str, Any]) -> System:
    """A system. Raises ValueError on a bad option."""
    from semcom.systems import build, names

    if kind in names():
        return build(kind, **options)
    try:
        system: System = _resolve(kind)(**options)
    except TypeError as error:
        raise ValueError(f"system {kind}: {error}") from error
    return system


def build_link(link: Mapping[str, Any]) -> Link:
    """A link from its resolved description."""
    fields = dict(link)
    kind = fields.pop("kind")
    if kind not in LINKS:
        made: Link = _resolve(kind)(**fields)
        return made
    from channels.spec import LinkSpec
    from semcom.link import ChannelLink

    return ChannelLink(_resolve(LINKS[kind])(LinkSpec.model_validate(fields)))


def metric(name: str) -> Metric:
    """A function of two batches [B,3,H,W] in [0,1], reconstruction and original, to [B]."""
    function: Metric = _resolve(METRICS.get(name, name))
    return function


def build_budget(budget: Mapping[str, Any], width: int, height: int, link: Link) -> Budget:
    """The budget of one picture on one link."""
    from semcom.contracts import Budget

    if "bpp" in budget:
        return Budget.of_bpp(budget["bpp"], width, height)
    if "cbr" in budget:
        return Budget.of_cbr(budget["cbr"], width, height, link)
    return Budget.of_channel_uses(budget["channel_uses"], link)


def _resolve(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def _exists(path: str) -> bool:
    if ":" not in path:
        return False
    try:
        return callable(_resolve(path))
    except (ImportError, AttributeError):
        return False
