"""`semcom send`: one photo over one channel realisation, with everything it cost."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from semcom.cli.errors import one_line_errors
from semcom.cli.specs import link_spec, read_yaml
from semcom.receiver.precision import Quantization

if TYPE_CHECKING:
    from torch import Tensor

    from semcom.contracts import Budget, Link


class Csi(enum.StrEnum):
    """How the receiver learns the channel."""

    LINEAR = "ls-linear"
    NEAREST = "ls-nearest"
    LMMSE = "lmmse"
    PERFECT = "perfect"


class Rate(enum.StrEnum):
    """The keys of `semcom.rates.RATES`."""

    LOW = "low"
    MID = "mid"
    HIGH = "high"


class Objective(enum.StrEnum):
    """Of the search at the sender; the keys of `semcom.transmitter.objective.OBJECTIVES`."""

    BALANCED = "balanced"
    DISTS = "dists"
    LPIPS = "lpips"
    PSNR = "psnr"


def send(
    image: Annotated[Path, typer.Argument(help="Photo, 64×64 to 4096×4096 pixels.")],
    snr_db: Annotated[float, typer.Option(help="Es/N0 per resource element in dB.")] = 15.0,
    channel: Annotated[str, typer.Option(help="awgn, rayleigh, tdl-a … tdl-e, …")] = "tdl-a",
    delay_spread_ns: Annotated[float, typer.Option(help="RMS delay spread in ns.")] = 100.0,
    speed_kmh: Annotated[float, typer.Option(help="Speed of the terminal in km/h.")] = 3.0,
    csi: Annotated[Csi, typer.Option(help="Channel knowledge at the receiver.")] = Csi.LINEAR,
    link: Annotated[
        Path | None, typer.Option(help="YAML link specification instead of the four channel options.")
    ] = None,
    rate: Annotated[Rate, typer.Option(help="Budget: 0.018, 0.030 or 0.048 bpp.")] = Rate.MID,
    bpp: Annotated[
        float | None, typer.Option(help="Budget in bits on the wire per pixel instead of --rate.")
    ] = None,
    cbr: Annotated[
        float | None, typer.Option(help="Budget in channel uses / (3·H·W) instead of --rate.")
    ] = None,
    key_area: Annotated[
        float | None,
        typer.Option(
            help="Largest share of the picture in key regions; 0.12 by default, 0.3 of what you point at.",
            min=0,
            max=1,
        ),
    ] = None,
    key_share: Annotated[
        float | None,
        typer.Option(
            help="Largest share that the key stream may take from the HCI; 0.25 of what you point at.",
            min=0,
            max=1,
        ),
    ] = None,
    points: Annotated[
        list[str] | None, typer.Option(help="x,y in pixels of an object that is to be key; repeatable.")
    ] = None,
    boxes: Annotated[
        list[str] | None, typer.Option(help="x0,y0,x1,y1 in pixels around such an object; repeatable.")
    ] = None,
    key_class: Annotated[
        str | None, typer.Option(help="What is to be key: an ImageNet class or a word such as dog.")
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(help="Picture of the photo's size, bright where it is to be key.")
    ] = None,
    card: Annotated[bool, typer.Option(help="Send the colour card that stands in for a lost HCI.")] = True,
    texture: Annotated[bool, typer.Option(help="Send how much fine detail there is where.")] = True,
    caption: Annotated[
        str, typer.Option(help="auto, none, background (of what is not key), or your own caption.")
    ] = "auto",
    num_words: Annotated[int, typer.Option(help="Pseudo-words to send.", min=0, max=64)] = 16,
    effort: Annotated[
        int,
        typer.Option(
            help="Search at the sender: 0 none, 1 settings (about 10 s), 2 shapes the picture (minutes); "
            "the result is cached.",
            min=0,
            max=2,
        ),
    ] = 0,
    objective: Annotated[
        Objective, typer.Option("--for", help="What efforts 1 and 2 ask for.")
    ] = Objective.BALANCED,
    steps: Annotated[int, typer.Option(help="Steps of the diffusion decoder.", min=1, max=8)] = 1,
    quantization: Annotated[
        Quantization,
        typer.Option(help="Precision of the receiver's networks; auto: what is exact and fast here."),
    ] = Quantization.AUTO,
    adapters: Annotated[
        bool, typer.Option(help="Use the profile's LoRA adapters; --no-adapters is for ablations.")
    ] = True,
    profile: Annotated[str, typer.Option(help="Profile name or folder.")] = "tiny",
    seed: Annotated[int, typer.Option(help="Of the channel realisation and the noise.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out"),
) -> None:
    """Send a photo over a simulated channel and rebuild it."""
    from rich.console import Console

    console = Console()
    with one_line_errors(), _stages(6) as announce:
        announce("reading the photo")
        from semcom.picture import images

        photo = images.load(image)
        announce("loading the models")
        options = {
            "channel": {"model": channel, "delay_spread_ns": delay_spread_ns, "speed_kmh": speed_kmh},
            "ofdm": {"csi": csi.value},
        }
        spec = link_spec(options if link is None else read_yaml(link))
        from channels.links.digital import DigitalLink
        from semcom.link import ChannelLink, transmit
        from semcom.report import write_report
        from semcom.semantic import SemanticSystem

        carrier = ChannelLink(DigitalLink(spec))
        system = SemanticSystem(
            profile,
            key_area=key_area,
            key_share=key_share,
            mask=mask,
            points=points or (),
            boxes=boxes or (),
            key_class=key_class,
            card=card,
            texture=texture,
            caption=caption,
            num_words=num_words,
            effort=effort,
            objective=objective.value,
            steps=steps,
            quantization=quantization.value,
            adapters=adapters,
        )
        system.announce = partial(announce, advance=0)
        budget = _budget(photo, carrier, rate.value, bpp, cbr)
        result = transmit(photo, system, carrier, budget, snr_db, seed, announce)
        announce("writing the report")
        command = {"image": str(image), "snr_db": snr_db, "seed": seed, "link": spec.model_dump(mode="json")}
        report = write_report(out, photo, result, command)
    _print(console, report, out)


@contextmanager
def _stages(total: int) -> Iterator[Callable[..., None]]:
    """A progress bar on stderr with one step per announced stage; gone when the command ends."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:24}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=total, completed=-1)

        def announce(stage: str, advance: int = 1) -> None:
            progress.update(task, description=stage, advance=advance)

        yield announce


def _budget(photo: Tensor, link: Link, rate: str, bpp: float | None, cbr: float | None) -> Budget:
    from semcom.contracts import Budget
    from semcom.rates import RATES

    height, width = photo.shape[-2:]
    if cbr is not None:
        return Budget.of_cbr(cbr, width, height, link)
    return Budget.of_bpp(RATES[rate] if bpp is None else bpp, width, height)


def _print(console: Any, report: dict[str, Any], out: Path) -> None:
    from rich.table import Table

    streams = Table(
        "stream", "class", "packets", "lost", "bits", "bpp", title="On the wire", title_justify="left"
    )
    for row in report["streams"]:
        streams.add_row(
            row["name"],
            row["class"],
            str(row["packets"]),
            str(row["lost"]),
            str(row["bits"]),
            f"{row['bpp']:.5f}",
        )
    total = [str(report["bits"]), f"{report['bpp']:.5f}"]
    streams.add_row("total", "", str(report["packets"]), str(report["lost"]), *total, style="bold")
    classes = Table("class", "MCS", "modulation", "rate", "packets", "lost", "channel uses", "SINR")
    classes.title, classes.title_justify = "Over the air", "left"
    for name, row in report["classes"].items():
        scheme = ("analog", "", "")
        if "mcs" in row:
            scheme = (str(row["mcs"]), row["modulation"], f"{row['code_rate']:.3f}")
        counts = (str(row["packets"]), str(row["lost"]), str(row["channel_uses"]))
        classes.add_row(name, *scheme, *counts, f"{row['effective_sinr_db']:.1f} dB")
    console.print(streams, classes, sep="\n")
    console.print(
        f"channel uses {report['channel_uses']} (pilots included)  CBR {report['cbr']:.5f}  "
        f"SNR {report['snr_db']:g} dB  PSNR {report['psnr']:.2f} dB  SSIM {report['ssim']:.4f}"
    )
    if report["caption"] is not None:
        console.print(f"caption: {report['caption']}", markup=False)
    for note in report["notes"]:
        console.print(f"note: {note}", style="yellow")
    console.print(
        f"pictures and report in {out / 'montage.png'}, {out / 'reconstruction.png'}, {out / 'report.json'}"
    )
