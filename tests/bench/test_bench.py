"""A benchmark of two toy pictures end to end, and what is made of its document."""

import importlib.util
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml
from PIL import Image
from scipy import stats
from typer.testing import CliRunner

from semcom.bench import run as runner
from semcom.bench import sheets
from semcom.bench.document import Document, best_rows, columns
from semcom.bench.operating_points import OperatingPoint, operating_points
from semcom.bench.plots import anchors, rate_figure, write_plots
from semcom.bench.spec import BenchSpec, load
from semcom.bench.table import table, write_table
from semcom.cli.main import app
from semcom.sweep import api
from semcom.sweep.plan import find_photos
from semcom.sweep.result import SweepResult

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def photos(tmp_path_factory, sample_photo):
    folder = tmp_path_factory.mktemp("bench_photos")
    with Image.open(sample_photo) as picture:
        for i, box in enumerate(((200, 120, 296, 184), (60, 40, 156, 104))):
            picture.convert("RGB").crop(box).save(folder / f"p{i}.png")
    return folder


def described(photos, **changes):
    return {
        "name": "toy",
        "images": [str(photos)],
        "systems": {"jpeg": {}, "jpeg-mcs9": {"system": "jpeg", "mcs": "fixed"}},
        "link": {"channel": {"model": "awgn"}, "classes": {"base": {"mcs": 9}}},
        "budgets": {"cbr": [0.005, 0.1]},
        "snr_db": [0, 15],
        "metrics": ["psnr", "ssim"],
        "trials": 2,
        "confirm": 3,
        "realisations": 2,
        "pictures": 1,
    } | changes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench_run")


@pytest.fixture(scope="module")
def data(photos, folder):
    spec = BenchSpec.model_validate(described(photos))
    return runner.run(spec, folder, command="test", executor="serial")


def rows(data, system, budget, snr_db):
    where = {"system": system, "budget": budget, "snr_db": snr_db}
    return [row for row in data["results"] if all(row[key] == value for key, value in where.items())]


def test_document_follows_its_schema(data):
    jsonschema.validate(data, Document.model_json_schema())
    assert json.loads(json.dumps(data)) == data
    assert {"commit", "versions", "cores", "command"} <= data.keys()


def test_rows_hold_what_was_spent_and_measured(data):
    assert data["images"] == ["p0.png", "p1.png"]
    for row in data["results"]:
        assert row["cbr"] <= row["budget"]
        assert row["bpp"] == pytest.approx(row["bpp_image"])
        assert row["images"] == 2
        assert row["trials"] == 4
        assert 0 <= row["bler"] <= 1
        assert row["psnr_half_width"] >= 0


def test_envelope_beats_a_fixed_scheme(data):
    (adapted,) = (row for row in rows(data, "jpeg", 0.1, 15.0) if "psnr" in row["best_for"])
    (fixed,) = rows(data, "jpeg-mcs9", 0.1, 15.0)
    assert adapted["mcs"]["base"] > 10
    assert fixed["mcs"] == {}
    assert adapted["bler"] == fixed["bler"] == 0
    assert adapted["psnr"] > fixed["psnr"] + 2
    (adapted,) = (row for row in rows(data, "jpeg", 0.1, 0.0) if "psnr" in row["best_for"])
    (fixed,) = rows(data, "jpeg-mcs9", 0.1, 0.0)
    assert fixed["bler"] > 0.5  # the cliff
    assert adapted["bler"] < 0.5
    assert adapted["psnr"] > fixed["psnr"]


def test_what_no_scheme_can_carry_is_missing_with_its_reason(data):
    missing = {(item["system"], item["budget"], item["snr_db"]): item["reason"] for item in data["missing"]}
    assert ("jpeg-mcs9", 0.005, 15.0) in missing
    assert "too small" in missing["jpeg-mcs9", 0.005, 15.0]
    assert not rows(data, "jpeg-mcs9", 0.005, 15.0)


def test_differences_are_those_of_the_pictures_one_by_one(data, folder):
    frame = SweepResult(folder).to_pandas()
    compared = 0
    for row in data["results"]:
        for other, found in row["differences"].get("psnr", {}).items():
            (rival,) = (r for r in rows(data, other, row["budget"], row["snr_db"]) if "psnr" in r["best_for"])
            values = []
            for one in (row, rival):
                name = OperatingPoint(one["system"], one["budget"], one["mcs"], ()).name
                here = (frame["system"] == one["system"]) & (frame["operating_point"] == name)
                part = frame[here & (frame["snr_db"] == one["snr_db"])].sort_values("image")
                values.append(part["psnr"].to_numpy())
            differences = values[0] - values[1]
            assert found["mean"] == pytest.approx(differences.mean())
            half = stats.sem(differences) * stats.t.ppf(0.975, len(differences) - 1)
            assert found["half_width"] == pytest.approx(half)
            compared += 1
    assert compared


def test_going_on_simulates_nothing_and_gives_the_same(data, photos, folder):
    before, announced = sorted(folder.glob("shards/*")), []
    spec = BenchSpec.model_validate(described(photos))
    again = runner.run(spec, folder, command="test", executor="serial", announce=announced.append)
    assert sorted(folder.glob("shards/*")) == before
    assert again["results"] == data["results"]
    assert announced == []  # no MCS was chosen again


def test_columns_are_compressai_lists(data):
    lists = columns(data, "jpeg", "psnr", budget=0.1)
    assert lists["snr_db"] == [0, 15]
    assert lists["psnr"] == sorted(lists["psnr"])
    assert len({len(values) for values in lists.values()}) == 1


def test_one_best_row_per_place_and_metric(data):
    places = [(row["system"], row["budget"], row["snr_db"]) for row in best_rows(data, "ssim")]
    assert len(places) == len(set(places))
    assert set(places) == {(row["system"], row["budget"], row["snr_db"]) for row in data["results"]}


def test_plots_and_sheets(data, folder, tmp_path):
    drawn = {path.name for path in write_plots(data, tmp_path)}
    assert drawn == {"snr_psnr.png", "snr_ssim.png", "rate_psnr.png", "rate_ssim.png", "bits.png"}
    written = sheets.write_sheets(data, folder, tmp_path, "psnr")
    assert "sheet_p0_0.1.jpg" in {path.name for path in written}
    with Image.open(next(path for path in written if path.name == "sheet_p0_0.1.jpg")) as sheet:
        assert sheet.width > 288 * 3 and sheet.height > 216 * 2
        pixels = np.asarray(sheet.convert("RGB"))
    assert pixels[30:200, 20:280].std() > 20  # the first line shows pictures


def test_analog_system_has_no_mcs(photos, tmp_path):
    systems = {"jpeg": {"mcs": "fixed"}, "deepjscc": {"mcs": "none"}}
    spec = BenchSpec.model_validate(described(photos, systems=systems))
    analog = runner.run(spec, tmp_path / "run", command="test", executor="serial")
    worse, better = (rows(analog, "deepjscc", 0.1, snr_db)[0] for snr_db in (0.0, 15.0))
    assert worse["mcs_choice"] == "none"
    assert worse["mcs"] == {}
    assert worse["bpp"] == 0
    assert worse.get("bler") is None
    assert worse["cbr"] == 768 / (3 * 96 * 64)  # 16 values per 16×16 pixels, and the pilots of a slot
    assert better["psnr"] > worse["psnr"] + 1
    reasons = {item["reason"] for item in analog["missing"] if item["system"] == "deepjscc"}
    assert all("too small" in reason for reason in reasons)
    assert reasons
    jsonschema.validate(analog, Document.model_json_schema())
    assert write_plots(analog, tmp_path)
    assert "deepjscc" in table(analog, "jpeg")


def test_codec_alone(photos, tmp_path):
    changes = {
        "link": None,
        "snr_db": None,
        "budgets": {"bpp": [0.5, 2]},
        "systems": {"jpeg": {}, "webp": {}},
    }
    spec = BenchSpec.model_validate(described(photos) | changes)
    data = runner.run(spec, tmp_path / "run", command="test", executor="serial")
    assert {row["snr_db"] for row in data["results"]} == {None}
    assert all(row["cbr"] is None and row["bpp"] <= row["budget"] for row in data["results"])
    assert {path.name for path in write_plots(data, tmp_path)} == {
        "rate_psnr.png",
        "rate_ssim.png",
        "bits.png",
    }


def test_anchors_name_their_sources_and_never_enter_results(data):
    points = anchors()["points"]
    assert all(point["source"] and 0 < point["bpp"] < 0.06 for point in points)
    methods = {point["method"] for point in points}
    assert {"StableCodec", "VTM", "PerCo (SD)"} <= methods
    assert not methods & {row["system"] for row in data["results"]}


def test_anchors_are_drawn_for_kodak_without_channel_only(data):
    def drawn(document):
        figure = rate_figure(document, "psnr")
        return any("published" in text.get_text() for text in figure.legends[0].get_texts())

    alone = [row | {"snr_db": None} for row in data["results"] if row["snr_db"] == 15]
    kodak = data | {"link": None, "results": alone, "images": ["kodim01.png"]}
    assert drawn(kodak)
    assert not drawn(kodak | {"images": ["kodim01.png", "other.png"]})
    assert not drawn(data | {"images": ["kodim01.png"]})


def duel(ours, theirs, half_width=0.5, paired=True):
    """A document of two systems at two SNRs; values are (psnr, lpips); all intervals are equally wide."""

    def row(system, snr_db, values, mcs):
        head = {"system": system, "budget": 1 / 96, "snr_db": snr_db, "mcs": {"base": mcs}}
        halves = {"psnr_half_width": half_width, "lpips_half_width": half_width}
        return head | halves | {"psnr": values[0], "lpips": values[1], "best_for": ["psnr", "lpips"]}

    results = [row("semantic", snr, values, 1) for snr, values in zip((0.0, 10.0), ours, strict=True)]
    results += [row("avif", snr, values, 2) for snr, values in zip((0.0, 10.0), theirs, strict=True)]
    if paired:
        for mine, other in zip(results[:2], results[2:], strict=True):
            mine["differences"] = {
                name: {"avif": {"mean": mine[name] - other[name], "half_width": half_width}}
                for name in ("psnr", "lpips")
            }
    metrics = {"psnr": "higher", "lpips": "lower"}
    head = {"name": "toy", "images": ["a"], "trials": 1, "budget_unit": "cbr", "metrics": metrics}
    return head | {"results": results}


def test_table_marks_a_win_only_where_the_paired_interval_excludes_zero():
    lines = table(duel([(21.0, 0.30), (22.0, 0.25)], [(20.0, 0.90), (24.0, 0.40)])).splitlines()
    assert "wins : loses PSNR (dB) 1 : 1 of 2, LPIPS (Alex) 1 : 0 of 2 points" in lines[0]
    assert "picture by picture over the same fades" in lines[0]
    assert lines[2] == "| CBR | SNR (dB) | PSNR (dB) ↑ | LPIPS (Alex) ↓ |"
    assert lines[4] == "| 1/96 | 0 | **21.00** / 20.00 avif ± 0.50 | **0.300** / 0.900 avif ± 0.500 |"
    assert lines[5] == "| 1/96 | 10 | 22.00 / **24.00** avif ± 0.50 | 0.250 / 0.400 avif ± 0.500 |"


def test_table_of_a_document_without_pairs_takes_both_intervals():
    """0.5 and 0.5 of independent systems are 0.71 of their difference."""
    lines = table(duel([(20.6, 0.3)] * 2, [(20.0, 0.9)] * 2, paired=False)).splitlines()
    assert "taken as independent" in lines[0]
    assert lines[4] == "| 1/96 | 0 | 20.60 / 20.00 avif ± 0.71 | 0.300 / 0.900 avif ± 0.707 |"
    single = table(duel([(20.6, 0.3)] * 2, [(20.0, 0.9)] * 2, half_width=None, paired=False)).splitlines()
    assert single[4] == "| 1/96 | 0 | 20.60 / 20.00 avif | 0.300 / 0.900 avif |"


def test_table_goes_between_its_marks(tmp_path):
    file = tmp_path / "README.md"
    file.write_text("before\n<!-- bench:toy -->\nold\n<!-- /bench:toy -->\nafter\n")
    data = duel([(21.0, 0.3)] * 2, [(20.0, 0.6)] * 2)
    for _ in range(2):  # writing twice is writing once
        rendered = write_table(data, file)
    assert file.read_text() == f"before\n<!-- bench:toy -->\n{rendered}\n<!-- /bench:toy -->\nafter\n"
    file.write_text("no marks")
    with pytest.raises(ValueError, match="bench:toy"):
        write_table(data, file)
    with pytest.raises(ValueError, match="nothing to compare"):
        table(data, "jpeg")


def test_results_page_shows_the_table_of_the_committed_result():
    result = ROOT / "benchmarks/results/link_kodak.json"
    if not result.exists():
        pytest.skip("no benchmarks/results/link_kodak.json")
    rendered = table(json.loads(result.read_text()))
    marks = "<!-- bench:link_kodak -->", "<!-- /bench:link_kodak -->"
    assert f"{marks[0]}\n{rendered}\n{marks[1]}" in (ROOT / "docs" / "results.md").read_text()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"adapt_to": ["lpips"]}, "adapt_to names"),
        ({"budgets": {"cbr": [0.1], "bpp": [0.1]}}, "either cbr or bpp"),
        ({"budgets": {"cbr": [-1]}}, "greater than 0"),
        ({"link": None}, "snr_db"),
        ({"budgets": {"bpp": [0.1]}}, "mcs: fixed"),
        ({"sytems": {}}, "sytems"),
    ],
)
def test_wrong_fields_are_named(photos, changes, reason):
    with pytest.raises(ValueError, match=reason):
        BenchSpec.model_validate(described(photos) | changes)


def test_commands(photos, tmp_path):
    file = tmp_path / "toy.yaml"
    changes = {"link": None, "snr_db": None, "budgets": {"bpp": [1.0]}, "systems": {"jpeg": {}, "webp": {}}}
    file.write_text(yaml.safe_dump(described(photos) | changes))
    assert load(file).budgets.values == (1.0,)
    place = tmp_path / "run"
    done = CliRunner().invoke(
        app, ["bench", "run", str(file), "--folder", str(place), "--executor", "serial"]
    )
    assert done.exit_code == 0, done.output
    data = json.loads((place / "results.json").read_text())
    assert [row["system"] for row in data["results"]] == ["jpeg", "webp"]
    readme = tmp_path / "README.md"
    readme.write_text("<!-- bench:toy -->\n<!-- /bench:toy -->\n")
    done = CliRunner().invoke(
        app, ["bench", "table", str(place / "results.json"), str(readme), "--system", "webp"]
    )
    assert "`webp` wins" in readme.read_text(), done.output
    broken = CliRunner().invoke(app, ["bench", "run", str(tmp_path / "none.yaml")])
    assert broken.exit_code == 2
    schemas = json.loads(CliRunner().invoke(app, ["bench", "schema"]).stdout)
    jsonschema.validate(data, schemas["document"])


def test_sweep_of_the_candidates_has_the_same_envelope(photos, tmp_path):
    file, written = tmp_path / "toy.yaml", tmp_path / "scenario.yaml"
    file.write_text(
        yaml.safe_dump(
            described(photos, snr_db=[15], trials=1, metrics=["psnr"], budgets={"cbr": [0.08, 0.1]})
        )
    )
    done = CliRunner().invoke(app, ["bench", "scenario", str(file), str(written)])
    assert done.exit_code == 0, done.output
    result = api.run(written, tmp_path / "run", executor="serial", show_progress=False)
    adapted, fixed = (
        table[(table["system"] == system) & (table["budget.cbr"] == 0.1)]["psnr"].item()
        for table, system in ((result.envelope("psnr", "mcs"), "jpeg"), (result.summary(), "jpeg-mcs9"))
    )
    assert adapted > fixed + 2


def test_names_of_operating_points_tell_them_apart():
    points = [OperatingPoint("a", b, m, ()) for b in (0.1, 0.2) for m in ({}, {"base": 1}, {"base": 2})]
    assert len({point.name for point in points}) == 6


def test_committed_benchmark_is_valid():
    """The Kodak benchmark's own description, built as its command builds it."""
    path = ROOT / "benchmarks" / "link_kodak.py"
    module = importlib.util.module_from_spec(
        spec := importlib.util.spec_from_file_location("link_kodak", path)
    )
    spec.loader.exec_module(module)
    arguments = module.parser().parse_args(["--data", str(ROOT / "semcom" / "samples")])
    built = module.benchmark(arguments)
    assert built.budgets.cbr == (1 / 384, 1 / 192, 1 / 96)
    assert built.snrs_db == (-5, 0, 5, 10, 15, 20)
    assert built.adaptive == [name for name in module.SYSTEMS if name not in module.OF_THEIR_OWN]
    assert set(built.metrics) == {"dists", "lpips", "ms_ssim", "psnr"}


def test_committed_codec_benchmark_is_valid():
    built = load(ROOT / "benchmarks" / "codecs_kodak.yaml")
    assert built.adaptive == []
    assert built.budgets.unit == "bpp"


def test_a_run_that_fails_says_why_in_one_line(photos, tmp_path):
    """Every point too small for any message: a line for each, exit code 1, and no traceback."""
    file = tmp_path / "small.yaml"
    small = {"link": None, "snr_db": None, "budgets": {"bpp": [0.001]}, "systems": {"jpeg": {}}}
    file.write_text(yaml.safe_dump(described(photos) | small))
    done = CliRunner().invoke(
        app, ["bench", "run", str(file), "--folder", str(tmp_path / "run"), "--executor", "serial"]
    )
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    assert done.stderr.count("failed: jpeg, p0.png, 0 dB: encode: BudgetError: ") == 1
    assert "smallest that works" in done.stderr


def test_an_unreadable_photo_fails_alone(photos, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "p0.png").write_bytes((photos / "p0.png").read_bytes())
    (folder / "p1.png").write_bytes(b"no picture")
    alone = {"link": None, "snr_db": None, "budgets": {"bpp": [2.0]}, "systems": {"jpeg": {}, "webp": {}}}
    spec = BenchSpec.model_validate(described(photos) | alone | {"images": [str(folder)]})
    document, result = runner.simulate(spec, tmp_path / "run", command="test", executor="serial")
    assert set(result.to_pandas()["image"]) == {"p0.png"}
    assert all("p1.png" in item["reason"] for item in document["missing"])
    assert document["results"] == []


def test_bench_imports_only_what_is_allowed(photos, tmp_path):
    systems = {"own": {"system": "os:system", "mcs": "fixed"}}
    spec = BenchSpec.model_validate(described(photos, systems=systems))
    with pytest.raises(ValueError, match="would import and run code"):
        runner.run(spec, tmp_path / "run", command="test", executor="serial")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_mcs_does_not_depend_on_which_picture_comes_first(tmp_path, sample_photo):
    """A limit is a number of channel uses a pixel of each picture, not of the first one."""
    chosen = []
    for number, sizes in enumerate(((96, 192), (192, 96))):
        folder = tmp_path / str(number)
        folder.mkdir()
        with Image.open(sample_photo) as picture:
            for name, side in zip("ab", sizes, strict=True):
                picture.convert("RGB").crop((100, 100, 100 + side, 100 + side)).save(folder / f"{name}.png")
        spec = BenchSpec.model_validate(
            described(folder, systems={"jpeg": {}}, budgets={"cbr": [0.1]}, confirm=1, snr_db=[15])
        )
        points = operating_points(spec, find_photos(spec.images), None, str)
        chosen.append(sorted(point.mcs["base"] for point in points))
    assert chosen[0] == chosen[1]
