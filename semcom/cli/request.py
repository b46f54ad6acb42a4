"""What `semcom send` is asked to do, checked before anything heavy is imported."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semcom.cli.derived import exclusive, flag, plain, refusal
from semcom.files import check_folder
from semcom.rates import RATES

if TYPE_CHECKING:
    from channels.spec import LinkSpec
    from semcom.contracts import Budget, Link

CHANNEL_FIELDS = {"model": "channel", "delay_spread_ns": "delay_spread_ns", "speed_kmh": "speed_kmh"}
"""Fields of `channels.spec.ChannelSpec` that `send` has, and the names it has them under."""
OFDM_FIELDS = {"csi": "csi"}


@dataclass(frozen=True)
class Request:
    """A checked wish.

    Attributes:
        image: file of the photo.
        system: name.
        options: of the system.
        spec: of the link.
        mcs: `auto`, an index, or class=index,…; `link` for what the link file says.
        unit, amount: of the budget: `bpp` or `cbr`.
        snr_db: Es/N0 per resource element.
        seed: of the channel realisation and the noise.
        trials: channel realisations.
        out: folder.
        tasks: whether to look for what is found again.
    """

    image: Path
    system: str
    options: Mapping[str, Any]
    spec: LinkSpec
    mcs: str
    unit: str
    amount: float
    snr_db: float
    seed: int
    trials: int
    out: Path
    tasks: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any], named: set[str]) -> Request:
        """From the parameters of the command.

        Args:
            values: of all parameters.
            named: those that stand on the command line.

        Raises:
            ValueError: one sentence that names the option and what is allowed.
        """
        exclusive(named, ("link",), (*CHANNEL_FIELDS.values(), *OFDM_FIELDS.values()))
        exclusive(named, ("rate",), ("bpp",), ("cbr",))
        _finite("snr_db", values["snr_db"])
        for name, least in (("trials", 1), ("seed", 0)):
            if values[name] < least:
                raise ValueError(f"{flag(name)}: must be at least {least}, not {values[name]}")
        unit = next((name for name in ("bpp", "cbr") if values[name] is not None), "bpp")
        amount = RATES[plain(values["rate"])] if values[unit] is None else float(values[unit])
        if not 0 < amount < math.inf:
            raise ValueError(f"{flag(unit)}: must be a positive number, not {amount:g}")
        try:
            check_folder(values["out"])
        except ValueError as error:
            raise ValueError(f"--out: {error}") from error
        tasks = plain(values["metrics"]) == "tasks"
        if tasks:
            from semcom.vision import require

            require("--metrics tasks")
        options = _options(values, named)
        spec, mcs = _link(values, named)
        _check_picture(values["image"])
        return cls(
            image=values["image"],
            system=values["system"],
            options=options,
            spec=spec,
            mcs=mcs,
            unit=unit,
            amount=amount,
            snr_db=values["snr_db"],
            seed=values["seed"],
            trials=values["trials"],
            out=values["out"],
            tasks=tasks,
        )

    def budget(self, width: int, height: int, link: Link) -> Budget:
        """Of a picture of that size."""
        from semcom.contracts import Budget

        if self.unit == "cbr":
            return Budget.of_cbr(self.amount, width, height, link)
        return Budget.of_bpp(self.amount, width, height)

    def described(self) -> dict[str, Any]:
        """Everything as plain data, defaults written out."""
        from semcom.systems import options_model

        model = options_model(self.system)
        options = dict(self.options) if model is None else model(**self.options).model_dump(mode="json")
        return {
            "image": str(self.image),
            "system": self.system,
            "options": options,
            "budget": {self.unit: self.amount},
            "mcs": self.mcs,
            "snr_db": self.snr_db,
            "seed": self.seed,
            "trials": self.trials,
            "link": self.spec.model_dump(mode="json"),
        }


def _options(values: Mapping[str, Any], named: set[str]) -> dict[str, Any]:
    """Options of the system: those that it has fields for, and what `--option` says."""
    from pydantic import ValidationError

    from semcom.options import SemanticOptions
    from semcom.systems import SEMANTIC, options_model

    system = values["system"]
    model = options_model(system)
    wished = {name: plain(values[name]) for name in SemanticOptions.model_fields if name in named}
    if system != SEMANTIC:
        fields = {} if model is None else model.model_fields
        foreign = [name for name in wished if model is not None and name not in fields]
        if foreign:
            raise ValueError(
                f"{flag(foreign[0])}: is an option of system semantic; {system} has no such option"
            )
    wished |= _pairs(values["option"])
    try:
        if model is not None:
            model.model_validate(wished)
    except ValidationError as error:
        raise refusal(error, {}) from error
    return wished


def _pairs(texts: Sequence[str]) -> dict[str, Any]:
    """`NAME=VALUE`, the value as in YAML."""
    import yaml

    pairs: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--option: {text!r} is not NAME=VALUE")
        try:
            pairs[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ValueError(f"--option {name}: {' '.join(str(error).split())}") from error
    return pairs


def _link(values: Mapping[str, Any], named: set[str]) -> tuple[LinkSpec, str]:
    """The link, and how its MCSs are chosen: by `--mcs`, else by a link file's classes, else adapted."""
    from pydantic import ValidationError

    from semcom.adaptation import McsWish
    from semcom.cli.specs import link_spec, read_yaml

    if values["link"] is not None:
        fields = read_yaml(values["link"], values["allow_imports"])
        names: dict[str, str] = {}
    else:
        channel = {field: plain(values[name]) for field, name in CHANNEL_FIELDS.items() if name in named}
        channel["model"] = _channel(str(values["channel"]), values["allow_imports"])
        ofdm = {field: plain(values[name]) for field, name in OFDM_FIELDS.items() if name in named}
        fields = {"channel": channel, "ofdm": ofdm}
        names = {f"channel.{field}": name for field, name in CHANNEL_FIELDS.items()}
        names |= {f"ofdm.{field}": name for field, name in OFDM_FIELDS.items()}
    try:
        spec = link_spec(fields)
    except ValidationError as error:
        if values["link"] is None:
            raise refusal(error, names) from error
        raise
    mcs = values["mcs"] or ("link" if "classes" in fields else "auto")
    if mcs != "link":
        try:
            McsWish.parse(mcs).check(spec)
        except ValueError as error:
            raise ValueError(f"--{error}") from error
    return spec, mcs


def _channel(name: str, allow_imports: bool) -> str:
    """A channel model's name in any case. Raises `ValueError` with the nearest one."""
    import difflib

    from channels.propagation.registry import names
    from semcom.cli.specs import allow_channel
    from semcom.sweep.imports import is_import

    if is_import(name):
        if not allow_imports:
            raise ValueError(f"--channel: {name!r} would import and run code: allow it with --allow-imports")
        allow_channel(name)
        return name

    if name.lower() in names():
        return name.lower()
    near = difflib.get_close_matches(name.lower(), names(), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"--channel: no {name!r}; {hint}See semcom channels list")


def _finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{flag(name)}: must be a finite number of decibels, not {value}")


def _check_picture(path: Path) -> None:
    """What can be said of a photo before it is read."""
    if not path.exists():
        raise ValueError(f"{path}: No such file or directory")
