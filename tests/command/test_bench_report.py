"""What the bench shows and writes, and its command."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from tiny_bench import TINY, made, printed, results, run

from arraycon import bench
from arraycon.bench import chart, reporting
from arraycon.bench.floors import cpu

pytestmark = pytest.mark.usefixtures("tiny")


def test_json_and_table() -> None:
    done = bench.run(TINY, names=["obj_rblur", "ortho_pmode"], rounds=2, threads=1)
    data = json.loads(json.dumps(reporting.as_json(done), allow_nan=False))
    assert list(data["constraints"]) == ["obj_rblur", "ortho_pmode"]
    assert data["absent"] == {"PtyRAD": "left out by the test"}
    assert data["machine"]["threads"] == 1
    assert data["machine"]["versions"]["numpy"] == np.__version__
    assert data["size"]["object"] == [1, 4, 24, 20]
    entry = data["constraints"]["obj_rblur"]
    assert entry["parameters"]["kernel_size"] == 5
    assert set(entry["seconds"]["fast"]) == {"median", "p25", "p75"}
    assert set(entry["ratios"]) == {"agnostic", "plain", "floor"}
    assert entry["extra_memory"]["fraction_of"] == "object_amplitude"
    text = printed(done)
    assert "no PtyRAD: left out by the test" in text
    assert "…" not in text
    for word in ("obj_rblur", "ortho_pmode", "geometric mean", "tiny: object 1×4×24×20"):
        assert word in text


def test_a_complex_object_is_told() -> None:
    done = bench.run(TINY, names=["obja_thresh"], form="complex", rounds=2, threads=1)
    data = reporting.as_json(done)
    assert data["size"]["form"] == "complex"
    entry = data["constraints"]["obja_thresh"]
    assert entry["extra_memory"]["fraction_of"] == "object"
    assert set(entry["ratios"]) == {"agnostic", "plain", "floor"}
    assert entry["floor"] == "copy"
    text = printed(done)
    assert "float32, complex object" in text
    assert "as a fraction of the complex object" in text
    assert "complex" not in printed(results(made("obja_thresh", {})))


def test_every_object_constraint_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arraycon.bench.session.measure", lambda case, **_: case)
    measured = bench.run(TINY, form="complex").measurements
    assert tuple(measured) == bench.names_for("complex")
    assert all(case.form == "complex" for case in measured.values())
    assert tuple(bench.run(TINY).measurements) == bench.NAMES


def test_no_names_of_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.node", lambda: "secret")
    done = bench.run(TINY, names=["pos_recenter"], rounds=1, threads=1)
    shown = json.dumps(reporting.as_json(done)) + printed(done)
    assert "secret" not in shown
    assert str(Path.home()) not in shown


def test_full_results_are_shown() -> None:
    longest = max((kind for kind, _ in cpu.FLOORS.values()), key=len)
    done = results(
        made("kr_thresh", {"PtyRAD": 23.4, "floor": 0.987}, differences={"PtyRAD": 0.7}),
        made("kz_filter", {"floor": 1.5}, absent={"PtyRAD": "kz_filter fails"}, floor=longest),
        peak_memory={"kr_thresh": 2.05, "kz_filter": None},
        first_calls={"kr_thresh": 0.3, "kz_filter": 0.4},
        import_seconds=0.1,
    )
    assert reporting.extra_memory(done, "kr_thresh") == 2.05
    assert reporting.extra_memory(done, "kz_filter") == 0.25
    text = printed(done)
    for part in (
        longest,
        "23",
        "0.99",
        "7e-01*",
        "2.050",
        "0.250",
        "0.30 s",
        "import arraycon: 0.10 s",
    ):
        assert part in text
    assert "* kr_thresh: PtyRAD's inverse" in text
    assert "kz_filter: no PtyRAD: kz_filter fails" in text
    data = reporting.as_json(done)
    assert data["absent"] == {}
    assert data["constraints"]["kr_thresh"]["extra_memory"]["process"] == 2.05
    assert data["constraints"]["kr_thresh"]["unequal"]
    assert data["constraints"]["kz_filter"]["first_call_seconds"] == 0.4
    assert data["import_seconds"] == 0.1


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (math.nan, "–"), (0.654, "0.65"), (1.234, "1.2"), (9.87, "9.9"), (123.4, "123")],
)
def test_factors(value: float | None, text: str) -> None:
    assert reporting.factor(value) == text


@pytest.mark.slow
@pytest.mark.parametrize("peers_there", [("PtyRAD", "plain"), ("plain",), ()])
def test_chart(peers_there: tuple[str, ...], tmp_path: Path) -> None:
    ratios = dict(zip(peers_there, (4.0, 0.5), strict=False))
    done = results(made("kr_filter", ratios), made("kz_filter", {}))
    figure = chart.draw(done)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["kr_filter", "kz_filter", "geometric mean"]
    ends = sorted(bar.get_x() + bar.get_width() for bar in axes.patches)
    assert ends == pytest.approx(sorted([*ratios.values()] * 2))  # the bar and the mean
    chart.save(done, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_command(tmp_path: Path) -> None:
    code, output = run(
        "--only", "tilt_smooth,obja_thresh", "--rounds", "1", "--threads", "1", "--out",
        str(tmp_path / "new" / "results"),
    )  # fmt: skip
    assert code == 0, output
    folder = tmp_path / "new" / "results"
    assert sorted(path.name for path in folder.iterdir()) == [
        "bench.json",
        "bench.png",
        "table.txt",
    ]
    data = json.loads((folder / "bench.json").read_text())
    assert list(data["constraints"]) == ["obja_thresh", "tilt_smooth"]  # in order of execution
    table = (folder / "table.txt").read_text()
    assert "tilt_smooth" in output
    assert "tilt_smooth" in table
    assert "\x1b" not in table


def test_command_with_a_complex_object(tmp_path: Path) -> None:
    code, output = run(
        "--complex", "--only", "obja_thresh", "--rounds", "1", "--threads", "1", "--out",
        str(tmp_path),
    )  # fmt: skip
    assert code == 0, output
    assert json.loads((tmp_path / "bench.json").read_text())["size"]["form"] == "complex"
    assert "complex object" in (tmp_path / "table.txt").read_text()
    code, output = run("--complex", "--only", "pos_recenter")
    assert code == 2
    assert "expected names out of obj_probe_scale" in output


def test_command_writes_nothing_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, output = run("--only", "pos_recenter", "--rounds", "1")
    assert code == 0, output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("only", ["kz", "", "kz_filter,nothing"])
def test_command_refuses_unknown_names(only: str) -> None:
    code, output = run("--only", only)
    assert code == 2
    assert "expected names out of probe_mask_k" in output


def test_command_refuses_a_file_as_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, output = run("--out", str(tmp_path / "file"))
    assert code == 2
    assert "cannot be made" in output


def test_a_failing_chart_leaves_no_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(chart, "save", fail)
    code, output = run("--only", "pos_recenter", "--rounds", "1", "--out", str(tmp_path))
    assert code == 1
    assert "No space left" in output
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]
