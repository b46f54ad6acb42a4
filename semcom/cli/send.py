"""`semcom send`: one photo over a channel, with everything it cost."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from semcom.cli.derived import LazyCommand, choice, command_of, field_parameters, given, parameter
from semcom.cli.errors import one_line_errors

if TYPE_CHECKING:
    from torch import Tensor

    from semcom.adaptation import Adapted
    from semcom.cli.request import Request
    from semcom.contracts import Link, System


_FLAGS = {"objective": ("--for", "--objective")}


class SendCommand(LazyCommand):
    """Its options are its own, those of the channel, and those of the semantic system."""

    @staticmethod
    def build() -> Callable[..., None]:
        """The command's function."""
        return command_of(_run, list(_parameters()))


def _parameters() -> Iterator[inspect.Parameter]:
    from channels.spec import ChannelSpec, OfdmSpec
    from semcom.cli.request import CHANNEL_FIELDS, OFDM_FIELDS
    from semcom.options import SemanticOptions
    from semcom.picture.limits import SIZES
    from semcom.rates import RATES
    from semcom.systems import SEMANTIC, names

    sizes = f"Photo, {SIZES}."
    yield inspect.Parameter(
        "image",
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[Path, typer.Argument(help=sizes, show_default=False)],
    )
    yield parameter("system", str, SEMANTIC, f"What sends the photo: {', '.join(names())}.")
    yield parameter("snr_db", float, 15.0, "Es/N0 per resource element in dB.", "Channel")
    fields = ChannelSpec.model_fields
    info = "Channel model: awgn, rayleigh, tdl-a, cdl-c, uma, …; see semcom channels list."
    yield parameter("channel", str, fields["model"].default, info, "Channel")
    numbers = {field: name for field, name in CHANNEL_FIELDS.items() if field != "model"}
    yield from field_parameters(ChannelSpec, "Channel", numbers)
    yield from field_parameters(OfdmSpec, "Channel", OFDM_FIELDS)
    info = "YAML link specification instead of these."
    yield parameter("link", Path | None, None, info, "Channel")
    info = "Let --channel, or the model in --link's file, be module:factory of your own: it runs code."
    yield parameter("allow_imports", bool, False, info, "Channel")
    info = (
        "auto: the fastest that this SNR and channel carry; an index for all classes; or class=index,… such "
        "as critical=5,base=12, the others auto. By default auto, unless a link file names classes."
    )
    yield parameter("mcs", str | None, None, info, "Channel")
    values = ", ".join(f"{value:g}" for value in RATES.values())
    yield parameter("rate", choice("Rate", list(RATES)), "mid", f"{values} bpp.", "Budget")
    info = "Bits on the wire per pixel instead of --rate: the MCS decides what they cost."
    yield parameter("bpp", float | None, None, info, "Budget")
    info = "Channel uses / (3·H·W) instead of --rate: the MCS decides how many bits they carry."
    yield parameter("cbr", float | None, None, info, "Budget")
    info = "Channel realisations; more than one print how the results spread."
    yield parameter("trials", int, 1, info, "Result")
    yield parameter("seed", int, 1, "Of the channel realisation and the noise.", "Result")
    yield parameter("out", Path, Path("out"), "Folder for the results.", "Result")
    info = "tasks: what is found again, objects, faces, text and class (extra tasks)."
    yield parameter("metrics", choice("Metrics", ["none", "tasks"]), "none", info, "Result")
    info = "NAME=VALUE of another system; repeatable."
    yield parameter("option", list[str], [], info, "Result")
    yield from field_parameters(SemanticOptions, "Semantic system", flags=_FLAGS)


def _run(ctx: typer.Context, values: Mapping[str, Any]) -> None:
    from semcom.cli import tables

    with one_line_errors(), _stages() as announce:
        announce("checking the options")
        from semcom.cli.request import Request

        request = Request.of({name: _plain(value) for name, value in values.items()}, given(ctx))
        announce("loading PyTorch")
        import torch

        from semcom.picture import images

        photo = images.load(request.image)
        system = _system(request, photo)
        if hasattr(system, "announce"):  # what a search at the sender is doing
            system.announce = announce
        announce("choosing the MCS and encoding")
        with torch.no_grad():
            adapted = _adapted(request, system, photo)
            report, texts = _transmit(request, system, photo, adapted, announce)
    tables.print_report(report, texts)


def _plain(value: Any) -> Any:
    from semcom.cli.derived import plain

    return plain(value)


def _system(request: Request, photo: Tensor) -> System:
    """The system, after what can be checked before its networks are built. Raises `ValueError`."""
    from semcom.options import SemanticOptions
    from semcom.systems import SEMANTIC, build

    if request.system == SEMANTIC:
        SemanticOptions(**request.options).check_picture(photo.shape[-1], photo.shape[-2])
    return build(request.system, **request.options)


def _adapted(request: Request, system: System, photo: Tensor) -> Adapted:
    from semcom.adaptation import McsWish, adapt_message
    from semcom.contracts import BudgetError

    height, width = photo.shape[-2:]
    wish = {name: c.mcs for name, c in request.spec.classes.items()} if request.mcs == "link" else request.mcs
    try:
        return adapt_message(
            system,
            photo,
            request.spec,
            lambda link: request.budget(width, height, link),
            request.snr_db,
            McsWish.parse(wish),
        )
    except BudgetError as error:
        raise ValueError(_too_small(request, error.smallest, width, height)) from error


def _too_small(request: Request, smallest: int, width: int, height: int) -> str:
    """The refusal in the unit and with the option that the user has."""
    import math

    bits = request.unit == "bpp"
    scale, unit = (8 / (width * height), "bytes") if bits else (1 / (3 * width * height), "channel uses")
    enough = math.ceil(smallest * scale * 1e5) / 1e5
    have = int(request.amount / scale)
    return (
        f"{request.amount:g} {request.unit} of {width}x{height} pixels are {have} {unit}; the smallest "
        f"message takes {smallest}: try --{request.unit} {enough:g}"
    )


def _transmit(
    request: Request, system: System, photo: Tensor, adapted: Adapted, announce: Callable[[str], object]
) -> tuple[dict[str, Any], list[str]]:
    import sys

    from channels.links.digital import DigitalLink
    from semcom.link import ChannelLink, Transmission
    from semcom.metrics.tasks import account
    from semcom.report import write_report
    from semcom.seeds import derive
    from semcom.trials import USUAL, perceived, spread

    announce("crossing the channel")
    link: Link = ChannelLink(DigitalLink(adapted.spec))
    seeds = [request.seed, *(derive(request.seed, "send", i) for i in range(1, request.trials))]
    received = link.send([adapted.message] * len(seeds), request.snr_db, seeds)
    announce("rebuilding the picture")
    result = Transmission(adapted.message, received[0], system.decode(received[0]))
    command = request.described() | {"line": ["semcom", *sys.argv[1:]]}
    came: dict[str, Any] = {}
    if adapted.expected_quality:
        came |= perceived(result.reconstruction.image, photo)
    trials = spread(system, photo, received, (*USUAL, *came)) if request.trials > 1 else None
    told: list[str] = []
    if request.tasks:
        announce("looking for what is found again")
        found = account.account(photo, result.reconstruction.image)
        came, told = came | {"tasks": found}, account.told(found)
    announce("writing the report")
    report = write_report(request.out, photo, result, command, system, adapted, trials, came)
    height, width = photo.shape[-2:]
    budget = request.budget(width, height, ChannelLink(DigitalLink(adapted.spec)))
    from semcom.packets import packet_sizes

    used = budget.cost(packet_sizes(adapted.message))
    texts = [f"budget: {used} of {budget.limit} {budget.unit} used"]
    if used < 0.5 * budget.limit:
        texts[0] += "; the finest message takes no more"
    texts = [*told, *texts]
    files = ("montage.png", "reconstruction.png", "report.json")
    return report, [*texts, f"pictures and report in {', '.join(str(request.out / name) for name in files)}"]


@contextmanager
def _stages() -> Iterator[Callable[[str], None]]:
    """Shows the stage that runs and the time so far on stderr; gone when the command ends."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def announce(stage: str) -> None:
            progress.update(task, description=stage)

        yield announce
