"""The benchmark's own arithmetic and structure, at tiny sizes; no timing decides anything."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from arraycon import bench, steps
from arraycon.bench import (
    Case,
    agreement,
    cases,
    chart,
    floors,
    fresh,
    machine,
    measuring,
    peers,
    places,
    plain,
    ptyrad_model,
    reporting,
)  # fmt: skip
from arraycon.bench.measuring import Spread
from arraycon.cli import app


def ticking(clock):
    """Time by a clock that the test moves on."""
    return places.cpu(clock).seconds


TINY = bench.Size("tiny", (1, 4, 24, 20), (3, 24, 20), (5, 6))
WITHOUT_PTYRAD = tuple(name for name in peers.CONTENDERS if name != peers.PTYRAD)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No PtyRAD even where there is one, no more rounds than asked for, a coarse chart."""
    monkeypatch.setattr(ptyrad_model, "_constraint_class", lambda: (None, "left out by the test"))
    monkeypatch.setattr(measuring, "_BUDGET", 0)
    monkeypatch.setattr(measuring, "_PAUSE", 0)
    monkeypatch.setattr(chart, "_DPI", 20)
    monkeypatch.setitem(bench.SIZES, "small", TINY)
    for name in ("COLUMNS", "FORCE_COLOR", "ARRAYCON_BACKEND", "ARRAYCON_THREADS"):
        monkeypatch.delenv(name, raising=False)


def contender(name: str, log: list[str] | None = None) -> peers.Contender:
    log = [] if log is None else log
    return peers.Contender(
        name, lambda: log.append(f"restore {name}"), lambda: log.append(f"run {name}"), dict
    )


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app.app, ["bench", *arguments], prog_name="arraycon")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def made(name: str, ratios: dict[str, float], **more: Any) -> bench.Measurement:
    spreads = {peer: Spread(value, value, value) for peer, value in ratios.items()}
    values: dict[str, Any] = {
        "case": Case(name, TINY), "floor": "copy", "rounds": 1, "seconds": spreads,
        "ratios": spreads, "differences": {}, "change": 0.1, "allocated": 0.25, "absent": {},
    }  # fmt: skip
    return bench.Measurement(**values | more)


def results(*measurements: bench.Measurement, **more: Any) -> bench.Bench:
    found = {one.case.name: one for one in measurements}
    return bench.Bench(TINY, "float32", machine.describe(2), found, **more)


def printed(done: bench.Bench) -> str:
    stream = io.StringIO()
    Console(file=stream, width=reporting.WIDTH).print(reporting.table(done))
    return stream.getvalue()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", bench.NAMES)
def test_every_contender_agrees(name: str, dtype: str) -> None:
    case = Case(name, TINY, dtype)
    done = bench.measure(case, rounds=2, threads=1, names=WITHOUT_PTYRAD)
    assert set(done.seconds) == set(WITHOUT_PTYRAD)
    assert set(done.differences) == {peers.AGNOSTIC, peers.PLAIN}
    assert max(done.differences.values()) < {"float32": 2e-5, "float64": 1e-10}[dtype]
    assert done.change > 1e-4  # otherwise nothing was timed
    assert done.rounds == 2
    assert done.allocated > 0
    assert all(s.p25 <= s.median <= s.p75 for s in done.seconds.values())


@pytest.mark.parametrize("name", bench.NAMES)
def test_inputs_and_floors(name: str) -> None:
    case = Case(name, TINY)
    one, two = case.fields(), case.fields()
    for field in case.arrays:
        assert one[field] is not two[field]
        np.testing.assert_array_equal(one[field], two[field])
        assert np.all(np.isfinite(one[field]))
        assert not np.any((one[field] != 0) & (np.abs(one[field]) < 1e-30))
    assert set(case.writes) <= set(case.arrays)
    assert case.unit_bytes == one[case.unit].nbytes
    kind, floor = floors.floor(case, one)
    floor()
    assert kind
    for field in case.arrays:  # a floor works on buffers of its own
        np.testing.assert_array_equal(one[field], two[field])


@pytest.mark.parametrize("engine", [floors._Scipy, pytest.param(floors._Ducc, id="_Ducc")])
def test_floor_transforms_are_pairs(engine: type, monkeypatch: pytest.MonkeyPatch) -> None:
    if engine is floors._Ducc:
        pytest.importorskip("ducc0")
    calls = []

    class Spy(engine):  # type: ignore[misc, valid-type]
        def __getattribute__(self, attribute: str) -> Any:
            if not attribute.startswith("_"):
                calls.append(attribute)
            return super().__getattribute__(attribute)

    monkeypatch.setattr(floors, "_engine", Spy)
    for name, expected in (
        ("kr_filter", ["real_forward", "real_inverse"] * 2),
        ("kr_thresh", ["cosine"] * 4),
        ("probe_mask_k", ["forward", "inverse"]),
        ("obj_z_recenter", ["forward", "inverse"] * 2),
    ):
        case = Case(name, TINY)
        _, floor = floors.floor(case, case.fields())
        calls.clear()
        floor()
        assert calls == expected


def test_recentring_really_shifts() -> None:
    case = Case("obj_z_recenter", TINY)
    plain_fields, before = case.fields(), case.fields()
    plain.ports("cpu")[case.name](plain_fields, **case.parameters)
    mass = [np.maximum(f["object_phase"], 0).mean(axis=(0, 2, 3)) for f in (before, plain_fields)]
    centres = [np.sum(np.arange(4) * m) / m.sum() for m in mass]
    assert centres[0] < 1.4  # 1.5 is the middle
    assert abs(centres[1] - 1.5) < abs(centres[0] - 1.5)


def test_the_sixteen() -> None:
    assert set(bench.NAMES) == set(plain.NAMES)
    assert set(bench.NAMES) <= set(steps.STEPS)
    assert set(peers.UNEQUAL) <= set(bench.NAMES)
    for name in bench.NAMES:
        assert Case(name, TINY).constraints.due(1) == (name,)


@pytest.mark.parametrize(("name", "dtype"), [("kz", "float32"), ("kz_filter", "float16")])
def test_impossible_cases(name: str, dtype: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Case(name, TINY, dtype)


def test_turns_and_restoring() -> None:
    log: list[str] = []
    ticks = itertools.count()
    times = measuring.alternate(
        [contender(name, log) for name in "abc"],
        3,
        seconds=ticking(lambda: float(next(ticks))),
        pause=0,
    )
    order = [entry.removeprefix("run ") for entry in log if entry.startswith("run")]
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"  # the first round warms up
    assert log[::2] == [f"restore {name}" for name in order]
    assert times == {name: [1.0] * 3 for name in "abc"}


def test_quick_ones_get_more_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_BUDGET", 10)
    ticks = itertools.count()
    one = [contender("a")]
    assert (
        len(measuring.alternate(one, 4, seconds=ticking(lambda: next(ticks)), pause=0)["a"]) == 10
    )
    assert (
        len(measuring.alternate(one, 4, seconds=ticking(lambda: next(ticks) / 99), pause=0)["a"])
        == 40
    )
    assert (
        len(measuring.alternate(one, 20, seconds=ticking(lambda: next(ticks)), pause=0)["a"]) == 20
    )


def test_ratios_are_formed_round_by_round() -> None:
    # the machine becomes ten times slower: ratios of the rounds do not notice
    times = {"fast": [1.0, 10.0, 10.0], "plain": [2.0, 20.0, 40.0], "floor": [0.5, 5.0, 5.0]}
    found = measuring.ratios(times)
    assert found["plain"] == Spread(2.0, 2.0, 3.0)
    assert found["floor"] == Spread(2.0, 2.0, 2.0)
    assert "fast" not in found


def test_means() -> None:
    assert measuring.geometric_mean([2, 8]) == pytest.approx(4)
    assert math.isnan(measuring.geometric_mean([]))
    done = results(
        made("kr_filter", {"PtyRAD": 2, "floor": 1}), made("kz_filter", {"PtyRAD": 8, "plain": 3})
    )
    means = reporting.geometric_means(done)
    assert means == pytest.approx({"PtyRAD": 4, "plain": 3, "floor": 1})


def test_difference() -> None:
    rng = np.random.default_rng(0)
    probe = rng.normal(size=(2, 4, 4)) + 1j * rng.normal(size=(2, 4, 4))
    turned = probe * np.array([1j, -1])[:, None, None]
    assert agreement.difference({"probe": probe}, {"probe": turned}) > 1
    assert agreement.difference({"probe": probe}, {"probe": turned}, phasors=True) < 1e-15
    one, other = {"a": np.ones(4), "b": np.full(4, 2.0)}, {"a": np.ones(4), "b": np.full(4, 2.2)}
    assert agreement.difference(one, other) == pytest.approx(0.1)
    zero = {"a": np.zeros(3)}
    assert agreement.difference(zero, zero) == 0
    assert agreement.difference(zero, {"a": np.ones(3)}) == math.inf
    assert math.isnan(agreement.difference({"a": np.ones(3)}, {"a": np.full(3, np.nan)}))


def test_difference_goes_through_large_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "_CHUNK", 3)
    a = np.arange(1.0, 9.0)
    expected = np.linalg.norm(0.5 * a) / np.linalg.norm(a)
    assert agreement.difference({"a": a}, {"a": 1.5 * a}) == pytest.approx(expected)


def test_a_failing_peer() -> None:
    def fail() -> None:
        raise RuntimeError("no such operator")

    case = Case("kr_filter", TINY)
    (fast,) = peers.gather(case, threads=1, names=(peers.FAST,)).contenders
    broken = dataclasses.replace(fast, name=peers.PTYRAD, run=fail)
    agreed = agreement.compare(case, [broken, fast])
    assert agreed.contenders == (fast,)
    assert "no such operator" in agreed.absent[peers.PTYRAD]
    with pytest.raises(RuntimeError, match="no such operator"):
        agreement.compare(case, [fast, dataclasses.replace(broken, name=peers.PLAIN)])


def test_without_the_fast_path() -> None:
    with pytest.raises(ValueError, match="fast"):
        bench.measure(Case("kr_filter", TINY), names=(peers.PLAIN,))


def test_absence_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    single = peers.gather(Case("kr_filter", TINY), threads=1)
    assert single.absent == {peers.PTYRAD: "left out by the test"}
    double = peers.gather(Case("kr_filter", TINY, "float64"), threads=1)
    assert "float32" in double.absent[peers.PTYRAD]
    monkeypatch.undo()
    monkeypatch.setattr(ptyrad_model.importlib.util, "find_spec", lambda _: None)
    ptyrad_model._constraint_class.cache_clear()
    try:
        assert ptyrad_model.unavailable() == "ptyrad is not installed"
        assert ptyrad_model.versions() == {}
    finally:
        ptyrad_model._constraint_class.cache_clear()


@pytest.mark.parametrize("name", bench.NAMES)
def test_stand_in_model(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A constraint in PtyRAD's place sees the inputs, and what it changes is the result."""
    pytest.importorskip("torch")
    seen: dict[str, Any] = {}

    class Combined:
        def __init__(self, blocks: dict[str, Any], device: str) -> None:
            seen.update(blocks=blocks, device=device)

        def __call__(self, model: Any, niter: int) -> None:
            seen.update(model=model, niter=niter)
            for attribute in ptyrad_model._PARAMETERS.values():
                if hasattr(model, attribute):
                    getattr(model, attribute).mul_(2)

    monkeypatch.setattr(ptyrad_model, "_constraint_class", lambda: (Combined, ""))
    case = Case(name, TINY)
    inputs = case.fields()
    (one,) = peers.gather(case, threads=1, names=(peers.PTYRAD,)).contenders
    for _ in range(2):  # restored in between
        one.restore()
        one.run()
        result = one.result()
        assert set(result) == set(case.writes)
        for field, array in result.items():
            assert array.dtype == inputs[field].dtype
            np.testing.assert_array_equal(array, 2 * inputs[field])
    on = {key for key, block in seen["blocks"].items() if block["start_iter"] is not None}
    assert (on, seen["niter"], seen["device"]) == ({name}, 1, "cpu")
    assert set(seen["blocks"]) == set(bench.NAMES)


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


def test_no_names_of_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.node", lambda: "secret")
    done = bench.run(TINY, names=["pos_recenter"], rounds=1, threads=1)
    shown = json.dumps(reporting.as_json(done)) + printed(done)
    assert "secret" not in shown
    assert str(Path.home()) not in shown


def test_full_results_are_shown() -> None:
    longest = max((kind for kind, _ in floors._FLOORS.values()), key=len)
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


def test_a_disturbed_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "disturbed" in printed(results(made("kr_filter", {}), others=0.8))
    assert "disturbed" not in printed(results(made("kr_filter", {}), others=0.01))
    assert "disturbed" not in printed(results(made("kr_filter", {}), others=None))
    elsewhere = iter([100.0, 103.0])
    clock = iter([0.0, 2.0])
    monkeypatch.setattr(machine, "_elsewhere", lambda: next(elsewhere))
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(clock))
    assert machine.Others().cores() == 1.5


def test_idle_threads_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    ptyrad_model._let_threads_sleep()
    assert os.environ["GOMP_SPINCOUNT"] == "1000"
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    ptyrad_model._let_threads_sleep()
    assert os.environ["GOMP_SPINCOUNT"] == "7"


def test_full_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "import_seconds", lambda: 0.5)
    monkeypatch.setattr(fresh, "peak_memory", lambda *_, **__: None)
    monkeypatch.setattr(fresh, "first_call_seconds", lambda _, threads: 0.25 * threads)
    done = bench.run(TINY, names=["pos_recenter"], rounds=1, threads=2, full=True)
    assert done.import_seconds == 0.5
    assert done.peak_memory == {"pos_recenter": None}
    assert done.first_calls == {"pos_recenter": 0.5}


def test_fresh_processes() -> None:
    case = Case("pos_recenter", TINY)
    assert fresh.import_seconds(times=1) > 0
    assert fresh.first_call_seconds(case, threads=1, times=1) > 0
    peak = fresh.peak_memory(case, threads=1)
    assert peak is None or peak >= 0


def test_fresh_process_sees_native_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's own arithmetic, in this process: 4 MiB more are seen as such."""
    held: list[Any] = []
    one = contender("fast")
    grow = dataclasses.replace(one, run=lambda: held.append(np.ones(1 << 19)))
    monkeypatch.setattr(peers, "gather", lambda *_, **__: SimpleNamespace(contenders=[grow]))
    rise = fresh.answer({
        "task": "memory", "name": "pos_recenter", "size": vars(TINY), "dtype": "float32",
        "contender": "fast", "threads": 1,
    })["bytes"]  # fmt: skip
    if rise is None:
        pytest.skip("this system does not tell")
    assert 3 << 20 < rise < 6 << 20


def test_fresh_process_has_the_imports_before_it() -> None:
    code = "import sys, arraycon.bench.fresh; print(*sys.modules)"
    loaded = set(fresh._python("-c", code).split())
    assert not loaded & {"scipy", "scipy.fft", "numba", "ducc0", "torch", "matplotlib"}


def test_fresh_process_that_fails() -> None:
    with pytest.raises(RuntimeError, match="exit code 3"):
        fresh._python("-c", "raise SystemExit(3)")


def test_sizes() -> None:
    assert set(bench.SIZES) == {"small", "medium", "large", "awkward"}
    for size in bench.SIZES.values():
        assert size.object[-1] >= size.probe[-1]
    assert cases.SIZES["awkward"].object[-1] == 2 * 307
