"""`semcom bench run|scenario|plots|table|schema`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from semcom.cli.errors import one_line_errors
from semcom.cli.sweep import _DEFAULT, AllowImports, Csv, ExecutorName, end_of_run
from semcom.files import check_file, check_folder

bench_app = typer.Typer(
    help="Systems × images × budgets × SNR: one JSON document, plots and a table.", no_args_is_help=True
)

Result = Annotated[Path, typer.Argument(help="JSON document of a benchmark.", exists=True, dir_okay=False)]


@bench_app.command()
def run(
    config: Annotated[Path, typer.Argument(help="YAML file of a benchmark.")],
    out: Annotated[Path | None, typer.Option(help="JSON document; RUN/results.json by default.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Folder of the run; runs/NAME by default.")] = None,
    images: Annotated[list[str] | None, typer.Option(help="Instead of the file's; repeatable.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for plots; RUN/plots by default.")] = None,
    executor: Annotated[ExecutorName, typer.Option(help="Where the work is done.")] = _DEFAULT,
    workers: Annotated[int | None, typer.Option(help="Default: one per core.", min=1)] = None,
    allow_imports: AllowImports = False,
    csv: Csv = False,
) -> None:
    """Simulate what is not finished yet, then write the document and the plots."""
    import json
    import sys

    from semcom.bench import run as runner
    from semcom.bench import sheets, spec
    from semcom.bench.plots import write_plots
    from semcom.cli.results import bench_table
    from semcom.cli.sweep import print_summary

    with one_line_errors():
        if out is not None:
            check_file(out)
        checked = spec.load(config)
        if images:
            checked = checked.model_copy(update={"images": tuple(images)})
        place = folder or Path("runs") / checked.name
        for chosen in (place, plots or place):
            check_folder(chosen)
        data, result = runner.simulate(
            checked,
            place,
            command=" ".join(["semcom", *sys.argv[1:]]),
            executor=executor.value,
            workers=workers,
            shown=True,
            announce=lambda message: typer.echo(message, err=True),
            allow_imports=allow_imports,
        )
        file = out or place / "results.json"
        file.write_text(json.dumps(data, indent=1) + "\n")
        drawn = write_plots(data, plots or place / "plots")
        drawn += sheets.write_sheets(data, place, plots or place / "plots", checked.metrics[0])
    typer.echo(
        f"{file}: {len(data['results'])} rows, {len(data['missing'])} missing; {len(drawn)} plots", err=True
    )
    if csv or not sys.stdout.isatty():
        print_summary(result, csv=True)
    else:
        typer.echo(bench_table(data))
    end_of_run(result, f"semcom report {place}")


@bench_app.command()
def scenario(
    config: Annotated[Path, typer.Argument(help="YAML file of a benchmark.")],
    out: Annotated[Path, typer.Argument(help="Scenario file to write, for `semcom sweep run`.")],
) -> None:
    """Choose the MCSs only, and write them as axes of a sweep scenario."""
    import yaml

    from semcom.bench import spec
    from semcom.bench.export import sweep_scenario
    from semcom.bench.operating_points import operating_points
    from semcom.sweep.plan import find_photos

    with one_line_errors():
        check_file(out)
        checked = spec.load(config)
        points = operating_points(checked, find_photos(checked.images), None, typer.echo)
        out.write_text(yaml.safe_dump(sweep_scenario(checked, points), sort_keys=False))


@bench_app.command()
def plots(
    result: Result, out: Annotated[Path, typer.Option(help="Folder for the plots.")] = Path("plots")
) -> None:
    """Draw the plots of a document again."""
    with one_line_errors():
        check_folder(out)
        from semcom.bench.document import read
        from semcom.bench.plots import write_plots

        for path in write_plots(read(result), out):
            typer.echo(path)


@bench_app.command()
def table(
    result: Result,
    file: Annotated[Path, typer.Argument(help="Markdown file with the marks of this benchmark.")],
    system: Annotated[str, typer.Option(help="That is compared with all others.")] = "semantic",
) -> None:
    """Write the table of wins and losses into a Markdown file."""
    from semcom.bench.document import read
    from semcom.bench.table import write_table

    with one_line_errors():
        typer.echo(write_table(read(result), file, system))


@bench_app.command()
def schema() -> None:
    """Print the JSON schemas of the YAML file and of the document."""
    import json

    from semcom.bench.document import Document
    from semcom.bench.spec import BenchSpec

    schemas = {"benchmark": BenchSpec.model_json_schema(), "document": Document.model_json_schema()}
    typer.echo(json.dumps(schemas, indent=1))
