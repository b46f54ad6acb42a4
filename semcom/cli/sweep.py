"""`semcom sweep run|status|merge|export|schema` and `semcom report`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from semcom.cli.errors import one_line_errors
from semcom.files import check_file, check_folder
from semcom.sweep.executors import executor_names

if TYPE_CHECKING:
    from semcom.sweep.result import SweepResult

sweep_app = typer.Typer(
    help="Grids of simulations: resumable, exact, on one machine or many.", no_args_is_help=True
)

Run = Annotated[Path, typer.Argument(help="Folder of a run.")]


_NAMES = executor_names()
ExecutorName = enum.StrEnum("ExecutorName", {name.upper(): name for name in _NAMES})  # type: ignore[misc]
"""Where the work is done."""
_DEFAULT = ExecutorName("processes")
AllowImports = Annotated[
    bool,
    typer.Option(
        "--allow-imports",
        help="Let the file name systems, links and metrics as module:callable. That runs their code.",
    ),
]


Csv = Annotated[
    bool, typer.Option("--csv", help="Every column as CSV, as where the output goes to a file or a pipe.")
]


def _part(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal()):
        raise ValueError(f"--part {text}: give I/N, for example 3/16")
    return int(number), int(count)


@sweep_app.command()
def run(
    scenario: Annotated[str, typer.Argument(help="Scenario file, or name of a ready-made one.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/NAME by default.")] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(help="Photos instead of the scenario's: file, folder or pattern; repeatable."),
    ] = None,
    executor: Annotated[ExecutorName, typer.Option(help="Where the work is done.")] = _DEFAULT,
    workers: Annotated[int | None, typer.Option(help="Default: one per core.", min=1)] = None,
    threads: Annotated[int, typer.Option(help="Of each worker; results are exact for one value.", min=1)] = 1,
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster; auto for a running one.")] = None,
    batch: Annotated[int, typer.Option(help="Trials in one call of the link.", min=1)] = 64,
    resume: Annotated[bool, typer.Option(help="Continue a run that is there.")] = True,
    part: Annotated[
        str, typer.Option(help="I/N: every N-th image from the I-th on, for jobs of an array; see merge.")
    ] = "1/1",
    allow_imports: AllowImports = False,
    csv: Csv = False,
) -> None:
    """Simulate what is not finished yet. Ctrl-C stops cleanly; the same command continues."""
    from semcom.sweep import api

    with one_line_errors():
        check_folder(out or Path("runs"))
        result = api.run(
            scenario,
            out,
            images=images or (),
            executor=executor.value,
            workers=workers,
            threads=threads,
            address=address,
            batch=batch,
            resume=resume,
            show_progress=True,
            allow_imports=allow_imports,
            part=_part(part),
        )
    done = result.statistics
    assert done is not None
    print_summary(result, csv)
    typer.echo(
        f"{done.points} points simulated, {done.skipped} were there, {done.failed} failed; "
        f"{done.encoded} encoded, {done.sent} sent, {done.decoded} decoded, {done.reused} reused; "
        f"results in {result.store.folder}",
        err=True,
    )
    end_of_run(result, f"semcom report {result.store.folder}")


@sweep_app.command()
def status(run: Run, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """What is finished, pending and failed."""
    from semcom.sweep import api

    with one_line_errors():
        state = api.status(run)
    if as_json:
        import json

        typer.echo(json.dumps(state, indent=1))
        return
    failures = state.pop("failures")
    for name, count in state.items():
        typer.echo(f"{name:9} {count}")
    _list_failures(failures)


@sweep_app.command()
def merge(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs.")],
    out: Annotated[Path, typer.Option(help="New folder.")],
) -> None:
    """Put runs together; trials that several have count once."""
    from semcom.sweep import api

    with one_line_errors():
        check_folder(out)
        typer.echo(repr(api.merge(runs, out)))


@sweep_app.command()
def export(
    run: Run,
    out: Annotated[Path, typer.Option(help="File: .csv, .parquet, or .nc (NetCDF).")] = Path("results.csv"),
) -> None:
    """Write the table of all points, in an order and with digits that don't depend on how the run went."""
    from semcom.sweep import api

    with one_line_errors():
        check_file(out)
        typer.echo(api.load(run).export(out))


@sweep_app.command()
def schema() -> None:
    """Print the JSON schema of scenario files, for editors."""
    import json

    from semcom.sweep import scenario

    typer.echo(json.dumps(scenario.schema(), indent=1))


def report(
    run: Run,
    out: Annotated[Path | None, typer.Option(help="Folder; RUN/report by default.")] = None,
) -> None:
    """Write a self-contained HTML report of a sweep, and its plots as PNG and PDF."""
    from semcom.sweep import api, report

    with one_line_errors():
        check_folder(out or run)
        typer.echo(report.write(api.load(run), out))


def print_summary(result: SweepResult, csv: bool) -> None:
    """A table that fits a terminal; everything as CSV where that is wished or stdout is none."""
    import sys

    from semcom.cli.results import sweep_table

    if csv or not sys.stdout.isatty():
        typer.echo(result.summary().to_csv(index=False, lineterminator="\n"), nl=False)
    else:
        typer.echo(sweep_table(result))


def end_of_run(result: SweepResult, following: str) -> None:
    """Lists what failed, and ends with 130 after an interruption and with 1 after failures.

    Args:
        result: of the run.
        following: command that one would give next.
    """
    import shlex
    import sys

    _list_failures(result.failures())
    done = result.statistics
    assert done is not None
    if done.interrupted:
        line = shlex.join(["semcom", *sys.argv[1:]])
        typer.echo(f"interrupted; what is finished is kept. To go on: {line}", err=True)
        raise typer.Exit(130)
    typer.echo(f"next: {following}", err=True)
    if done.failed:
        raise typer.Exit(1)


def _list_failures(failures: dict[str, dict[str, Any]]) -> None:
    for record in list(failures.values())[:20]:
        point = record["point"]
        where = f"{point['system']}, {point['image']['name']}, {point['snr_db']:g} dB"
        typer.echo(f"failed: {where}: {record['stage']}: {record['reason']}", err=True)
    if len(failures) > 20:
        typer.echo(f"… and {len(failures) - 20} more in failures.json", err=True)
