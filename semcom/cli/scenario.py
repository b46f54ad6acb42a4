"""`semcom scenario list|new|check|schema`: the files that `semcom sweep run` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from semcom.cli.errors import one_line_errors

scenario_app = typer.Typer(help="Scenario files of sweeps.", no_args_is_help=True)

_NEW = """\
# semcom scenario check {file}      says what is wrong in it, and how much work it is
# semcom sweep run {file}           simulates it; the same command continues
name: {name}
description: quality over SNR and bandwidth
images: [sample:*]                  # files, folders or patterns of your own
systems:                            # what is compared; semcom send --help lists all
  semantic: {{}}
  avif: {{}}
link:
  channel: {{model: tdl-a, delay_spread_ns: 100, speed_kmh: 3}}   # semcom channels list
  classes:                          # MCS of each protection class, table 1 of TS 38.214
    critical: {{mcs: 1}}
    base: {{mcs: 4}}
    detail: {{mcs: 9}}
budget: {{cbr: 0.02}}                 # or bpp, or channel_uses: what a picture may spend
grid:                               # every field of link, budget and options may be an axis
  snr_db: {{start: 0, stop: 15, step: 5}}
  link.ofdm.num_subcarriers: [72, 288]
stop: {{trials: 4}}                   # channel realisations a point
metrics: [lpips, psnr]
"""


@scenario_app.command("list")
def list_scenarios(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the ready-made scenarios."""
    import json

    import yaml

    from semcom.sweep.scenario import ready_made

    described = {
        name: str(yaml.safe_load(path.read_text(encoding="utf-8")).get("description", ""))
        for name, path in ready_made().items()
    }
    if as_json:
        typer.echo(json.dumps(described, indent=1))
        return
    width = max(map(len, described))
    for name, text in described.items():
        typer.echo(f"{name:{width}}  {text}")
    typer.echo("run one by its name: semcom sweep run quick", err=True)


@scenario_app.command()
def new(
    file: Annotated[Path, typer.Argument(help="To write; NAME.yaml.")],
) -> None:
    """Write a scenario with comments, to be changed."""
    import re

    from semcom.files import check_file
    from semcom.sweep.scenario import NAME

    with one_line_errors():
        check_file(file)
        if file.exists():
            raise ValueError(f"{file} is there already: choose another name")
        if not re.fullmatch(NAME, file.stem):
            raise ValueError(f"{file.stem!r} cannot name a run: letters, digits, dots, - and _")
        file.write_text(_NEW.format(file=file, name=file.stem), encoding="utf-8")
    typer.echo(f"{file}; next: semcom scenario check {file}")


@scenario_app.command()
def check(
    file: Annotated[str, typer.Argument(help="Scenario file, or name of a ready-made one.")],
    allow_imports: Annotated[
        bool, typer.Option("--allow-imports", help="Let it name module:callable. That runs their code.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is wrong in a scenario, a line a problem; or how much work it is."""
    import json

    from semcom.sweep.plan import Plan
    from semcom.sweep.scenario import load

    with one_line_errors():
        scenario = load(file, allow_imports)
        plan = Plan(scenario)
        counts = {
            "name": scenario.name,
            "systems": list(scenario.systems),
            "images": len(plan.photos),
            "points": len(plan),
            "trials": scenario.stop.trials,
        }
    if as_json:
        typer.echo(json.dumps(counts, indent=1))
        return
    typer.echo(
        f"{scenario.name}: {', '.join(scenario.systems)}; {counts['images']} images, {counts['points']} "
        f"points, at most {scenario.stop.trials} trials each"
    )
    typer.echo(f"next: semcom sweep run {file}")


@scenario_app.command()
def schema() -> None:
    """Print the JSON schema of scenario files, for editors."""
    import json

    from semcom.sweep import scenario

    typer.echo(json.dumps(scenario.schema(), indent=1))
