"""The command: in this process through typer's runner, and as a real process where that matters."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import ptyrad_file
import pytest
import yaml
from typer.testing import CliRunner

import arraycon
from arraycon import Constraints, figure, io, params, pipeline
from arraycon.cli import app, doctor, job, tables
from arraycon.kernels.common import threads as kernel_threads
from arraycon.params import ConstraintParams

OFF: dict[str, Any] = {"obj_rblur": None, "obj_zblur": None, "pos_recenter": None}
PARAMS: dict[str, Any] = OFF | {
    "ortho_pmode": {"start_iter": 1},
    "fix_probe_int": {"start_iter": 1},
    "objp_postiv": {"start_iter": 1},
    "kz_filter": {"start_iter": 5, "step": 5, "beta": 0.5},
    "obja_thresh": {"start_iter": 3, "end_iter": 6},
}
ESCAPE = "\x1b"


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figure, "_DPI", 20)
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "ARRAYCON_BACKEND"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder, made the current one, with a reconstruction and a parameter file."""
    ptyrad_file.build(tmp_path / "model.hdf5")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app.app, list(arguments), prog_name="arraycon")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def apply(*arguments: str) -> tuple[int, str]:
    return run("apply", "model.hdf5", "--params", "params.yaml", *arguments)


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "arraycon", *arguments], capture_output=True, text=True,
        encoding="utf-8", timeout=60, check=False, env=environment(),
    )  # fmt: skip


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join(
        [*more.pop("first", "").split(), str(Path(arraycon.__file__).parents[1])]
    )
    kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "FORCE_COLOR")}
    return kept | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"} | more


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def words(text: str) -> str:
    return " ".join(text.split())


# apply


def test_apply_is_what_the_library_does(folder: Path) -> None:
    code, output = apply("--out", "out.hdf5")
    assert code == 0, output
    state = io.read("model.hdf5").state
    Constraints(PARAMS).apply(state, iteration=7)
    written = io.read("out.hdf5").state
    for field in ptyrad_file.ARRAYS:
        np.testing.assert_array_equal(getattr(written, field), getattr(state, field))
    assert names() == ["model.hdf5", "out.hdf5", "params.yaml"]
    before, after = (ptyrad_file.contents(folder / n) for n in ("model.hdf5", "out.hdf5"))
    assert {name for name in before if before[name] != after[name]} == {
        "optimizable_tensors/objp",
        "optimizable_tensors/probe",
    }


def test_apply_says_what_it_did() -> None:
    code, output = apply("-o", "out.hdf5")
    assert code == 0
    assert "iteration 7 (where the file ended), on numpy" in output
    assert re.search(r"ortho_pmode +1 +probe +relative change \d", output)
    assert re.search(r"objp_postiv +1 +object_phase +relative change 0\.\d{3}\b", output)
    assert "not due: kz_filter, next at iteration 10" in output
    assert "not due: obja_thresh, never again" in output
    assert "wrote out.hdf5" in output
    assert "tilt_smooth" not in output  # off
    assert ESCAPE not in output


def test_iterations() -> None:
    code, output = apply("--iterations", "2:6", "-o", "out.hdf5")
    assert code == 0, output
    assert "iterations 2 to 6 (5 in all)" in output
    assert re.search(r"ortho_pmode +5 +probe", output)
    assert re.search(r"obja_thresh +3 +object_amplitude", output)
    assert re.search(r"kz_filter +1 +object_amplitude", output)
    state = io.read("model.hdf5").state
    constraints = Constraints(PARAMS)
    for iteration in (2, 3, 4, 5, 6):
        constraints.apply(state, iteration=iteration)
    np.testing.assert_array_equal(io.read("out.hdf5").state.object_phase, state.object_phase)


def test_iteration() -> None:
    code, output = apply("--iteration", "10", "-o", "out.hdf5")
    assert code == 0
    assert "iteration 10, on numpy" in output
    assert re.search(r"kz_filter +1 ", output)


def test_a_file_without_iterations_counts_from_1() -> None:
    io.save("a.npz", io.read("model.hdf5").state)
    code, output = run("apply", "a.npz", "-p", "params.yaml", "-o", "b.npz")
    assert code == 0
    assert "iteration 1 (the file records none)" in output
    assert io.read("b.npz").state.object_phase.min() >= 0


def test_nothing_due(folder: Path) -> None:
    late = OFF | {"ortho_pmode": None, "fix_probe_int": {"start_iter": 50}}
    Path("params.yaml").write_text(yaml.safe_dump(late))
    code, output = apply("-o", "out.hdf5")
    assert code == 0
    assert "nothing was due" in output
    assert "not due: fix_probe_int, next at iteration 50" in output
    assert "warning: out.hdf5: nothing was changed" in output
    assert ptyrad_file.contents(folder / "out.hdf5") == ptyrad_file.contents(folder / "model.hdf5")


def test_skipped_by_default(folder: Path) -> None:
    ptyrad_file.build(folder / "model.hdf5", omit=("optimizable_tensors/probe_pos_shifts",))
    Path("params.yaml").write_text(yaml.safe_dump({"obj_zblur": None}))
    code, output = apply("-o", "out.hdf5")
    assert code == 0
    assert "skipped: pos_recenter, on by default, but the file holds no position_shifts" in output


def test_missing_input(folder: Path) -> None:
    ptyrad_file.build(folder / "model.hdf5", omit=("optimizable_tensors/probe",))
    code, output = apply("-o", "out.hdf5")
    assert code == 2
    assert re.fullmatch(r"error: model\.hdf5: .*needs probe.*\n", output.splitlines(True)[-1])
    assert "out.hdf5" not in names()


def test_in_place(folder: Path) -> None:
    before = ptyrad_file.contents(folder / "model.hdf5")
    code, output = apply("--in-place")
    assert code == 0, output
    after = ptyrad_file.contents(folder / "model.hdf5")
    assert {name for name in before if before[name] != after[name]} == {
        "optimizable_tensors/objp",
        "optimizable_tensors/probe",
    }
    assert names() == ["model.hdf5", "params.yaml"]


def test_figure() -> None:
    code, output = apply("-o", "out.hdf5", "--figure", "fig.png")
    assert code == 0, output
    assert Path("fig.png").read_bytes().startswith(b"\x89PNG")
    assert "wrote fig.png" in output


def test_parameter_warnings_are_lines() -> None:
    Path("params.yaml").write_text(yaml.safe_dump(PARAMS | {"obj_zblur": {"start_iter": 1}}))
    code, output = apply("-o", "out.hdf5")
    assert code == 0
    lines = [line for line in output.splitlines() if line.startswith("warning: ")]
    assert any("obj_zblur" in line and "kz_filter" in line for line in lines)
    assert "Warning:" not in output  # Python's own way of showing them
    assert "params.py" not in output


def test_brackets_in_names_are_literal() -> None:
    Path("model.hdf5").rename("a[red]b[-x].hdf5")
    code, output = run("apply", "a[red]b[-x].hdf5", "-p", "params.yaml", "-o", "[bold]o.hdf5",
                       "--figure", "[f].png")  # fmt: skip
    assert code == 0, output
    assert "wrote [bold]o.hdf5" in output
    code, output = run("apply", "[no].hdf5", "-p", "params.yaml", "-o", "out.hdf5")
    assert output == "error: [no].hdf5: no such file\n"


@pytest.mark.parametrize("columns", ["20", "40", "200"])
def test_narrow_terminals(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for arguments in (("-o", "out.hdf5"), ("-o", "out.hdf5", "--iterations", "1:3")):
        code, output = apply(*arguments)
        assert code == 0
        assert "ortho_pmode" in output or columns == "20"
    assert run("params", "check", "params.yaml")[0] == 0


# errors: one line, an exit code, and no file


def usage(folder: Path) -> dict[str, tuple[list[str], str]]:
    """Return bad calls of `apply` by name: its arguments, and what the line says."""
    ptyrad_file.build(folder / "nan.hdf5", optimizable_tensors__objp=np.full((1, 2, 4, 4), np.nan))
    ptyrad_file.build(folder / "shape.hdf5", optimizable_tensors__probe=np.ones((4, 4), "c8"))
    ptyrad_file.build(folder / "scan.hdf5", model_attributes__N_scan_slow=5)
    (folder / "short.hdf5").write_bytes((folder / "model.hdf5").read_bytes()[:30_000])
    (folder / "tilt.yaml").write_text(yaml.safe_dump(OFF | {"tilt_smooth": {"start_iter": 1}}))
    (folder / "bad.yaml").write_text("kz_filter: {beta: -1, start_iter: 1}\nkz_filtr: {}\n")
    (folder / "sub").mkdir()
    (folder / "link.hdf5").symlink_to("model.hdf5")
    (folder / "link.png").symlink_to("model.hdf5")
    end = ["-p", "params.yaml", "-o", "out.hdf5"]
    good = ["model.hdf5", "-p", "params.yaml"]
    return {
        "missing": (["gone.hdf5", *end], "gone.hdf5: no such file"),
        "folder": (["sub", *end], "sub: unknown format"),
        "format": (["params.yaml", *end], "params.yaml: unknown format"),
        "truncated": (["short.hdf5", *end], "short.hdf5: .*truncated"),
        "nan": (["nan.hdf5", *end], r"nan.hdf5: optimizable_tensors/objp: 32 values .*\(0, 0, 0"),
        "shape": (["shape.hdf5", *end], "shape.hdf5: optimizable_tensors/probe: .*shape"),
        "tilts": (["scan.hdf5", "-p", "tilt.yaml", "-o", "out.hdf5"], "tilts"),
        "no params": (["model.hdf5", "-p", "gone.yaml", "-o", "out.hdf5"], "gone.yaml: no such"),
        "params folder": (["model.hdf5", "-p", "sub", "-o", "out.hdf5"], "sub: is a folder"),
        "no output": (good, "expected --out FILE, or --in-place"),
        "two outputs": ([*good, "-o", "out.hdf5", "--in-place"], "no --out beside it"),
        "same": ([*good, "-o", "model.hdf5"], "same file .*--in-place"),
        "same by link": ([*good, "-o", "link.hdf5"], "same file .*--in-place"),
        "other format": ([*good, "-o", "out.npz"], "out.npz: .*format of the input"),
        "no folder": ([*good, "-o", "gone/out.hdf5"], "gone/out.hdf5: .*does not exist"),
        "file as folder": ([*good, "-o", "model.hdf5/a.hdf5"], "is not a folder"),
        "figure kind": ([*good, "-o", "out.hdf5", "--figure", "a.doc"], "unknown image format"),
        "figure folder": ([*good, "-o", "out.hdf5", "--figure", "gone/a.png"], "does not exist"),
        "figure on input": ([*good, "-o", "out.hdf5", "--figure", "link.png"], "same file"),
        "both": ([*good, "-o", "out.hdf5", "--iteration", "1", "--iterations", "1:2"], "got both"),
        "backwards": ([*good, "-o", "out.hdf5", "--iterations", "5:4"], "1 ≤ A ≤ B.*'5:4'"),
        "from zero": ([*good, "-o", "out.hdf5", "--iterations", "0:4"], "1 ≤ A ≤ B.*'0:4'"),
        "no colon": ([*good, "-o", "out.hdf5", "--iterations", "4"], "1 ≤ A ≤ B.*'4'"),
    }  # fmt: skip


USAGE = (
    "missing", "folder", "format", "truncated", "nan", "shape", "tilts", "no params",
    "params folder", "no output", "two outputs", "same", "same by link", "other format",
    "no folder", "file as folder", "figure kind", "figure folder", "figure on input", "both",
    "backwards", "from zero", "no colon",
)  # fmt: skip


def test_the_list_of_errors_is_whole(folder: Path) -> None:
    assert set(usage(folder)) == set(USAGE)


@pytest.mark.parametrize("name", USAGE)
def test_errors(folder: Path, name: str) -> None:
    arguments, message = usage(folder)[name]
    files = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    code, output = run("apply", *arguments)
    assert code == 2
    (line,) = [line for line in output.splitlines() if not line.startswith("iteration")]
    assert re.search(rf"^error: .*{message}", line)
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == files


def test_parameter_errors_name_every_field(folder: Path) -> None:
    usage(folder)
    code, output = run("apply", "model.hdf5", "-p", "bad.yaml", "-o", "out.hdf5")
    assert code == 2
    assert "kz_filter.beta" in output
    assert "did you mean kz_filter" in output
    assert "Traceback" not in output
    assert "out.hdf5" not in names()


def test_debug_shows_the_traceback() -> None:
    result = CliRunner().invoke(
        app.app, ["apply", "gone.hdf5", "-p", "p", "-o", "o.hdf5", "--debug"]
    )
    assert isinstance(result.exception, io.ReadError)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (OSError(28, "No space left on device"), 1, "error: out.hdf5: .*No space left on device"),
        (KeyboardInterrupt(), 130, "error: interrupted"),
        (MemoryError(), 1, "error: out of memory"),
        (ZeroDivisionError("odd"), 1, "error: ZeroDivisionError: odd .--debug shows where"),
    ],
)
def test_failures_while_writing(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    found, output = apply("-o", "out.hdf5", "--figure", "fig.png")
    assert found == code
    lines = [line for line in output.splitlines() if not line.startswith("iteration")]
    assert len(lines) == 1
    assert re.match(message.replace("out.hdf5", r"(out\.hdf5|fig\.png)"), lines[0])
    assert names() == ["model.hdf5", "params.yaml"]


def test_interrupted_while_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Constraints, "apply", interrupt)
    code, output = apply("-o", "out.hdf5")
    assert code == 130
    assert output.endswith("error: interrupted\n")
    assert names() == ["model.hdf5", "params.yaml"]


def test_failed_output_leaves_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise io.WriteError("out.hdf5: disk full")

    monkeypatch.setattr(io, "write", fail)
    assert apply("-o", "out.hdf5", "--figure", "fig.png")[0] == 1
    assert names() == ["model.hdf5", "params.yaml"]


@pytest.mark.parametrize("package", ["h5py", "yaml", "matplotlib"])
def test_missing_package(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    loaded = [name for name in sys.modules if name.partition(".")[0] == package]
    for name in loaded:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    code, output = apply("-o", "out.hdf5", "--figure", "fig.png")
    assert code in (1, 2)  # a parameter file's own reader says it for YAML
    assert 'pip install "arraycon[cli]"' in output
    assert "out.hdf5" not in names()


# CuPy, by a stand-in that is NumPy under another name


def stand_in(devices: int | Exception) -> types.ModuleType:
    module = types.ModuleType("cupy")

    def count() -> int:
        if isinstance(devices, Exception):
            raise devices
        return devices

    runtime = types.SimpleNamespace(getDeviceCount=count)
    module.cuda = types.SimpleNamespace(runtime=runtime)  # type: ignore[attr-defined]
    module.asarray = lambda x: x.copy()  # type: ignore[attr-defined]
    module.asnumpy = lambda x: x.copy()  # type: ignore[attr-defined]
    return module


def test_cupy_gives_its_results_back() -> None:
    state = io.read("model.hdf5").state
    phase = state.object_phase
    before = phase.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cupy", stand_in(1))
        with job.on_backend(state, "cupy") as working:
            working.object_phase[...] += 1
            assert working.dx == state.dx
            np.testing.assert_array_equal(phase, before)
    np.testing.assert_array_equal(phase, before + 1)
    assert state.object_phase is phase


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (None, "CuPy cannot be imported.*arraycon doctor"),
        (stand_in(0), "no GPU answers"),
        (stand_in(RuntimeError("driver too old")), "no GPU answers: driver too old"),
    ],
)
def test_cupy_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, module: Any, message: str
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", module)
    code, output = apply("-o", "out.hdf5", "--backend", "cupy")
    assert code == 2
    assert re.search(f"^error: --backend cupy: {message}", output, re.MULTILINE)
    assert names() == ["model.hdf5", "params.yaml"]


def test_unknown_backend() -> None:
    code, output = apply("-o", "out.hdf5", "--backend", "torch")
    assert code == 2
    assert "Traceback" not in output


# the pieces of apply


@pytest.mark.parametrize(
    ("block", "after", "expected"),
    [
        ({"start_iter": 5}, 1, 5),
        ({"start_iter": 5}, 5, 6),
        ({"start_iter": 5, "step": 10}, 5, 15),
        ({"start_iter": 5, "step": 10}, 14, 15),
        ({"start_iter": 5, "step": 10}, 15, 25),
        ({"start_iter": 5, "step": 10, "end_iter": 15}, 5, None),
        ({"start_iter": 5, "end_iter": 7}, 5, 6),
        ({"start_iter": None}, 5, None),
    ],
)
def test_next_due(block: dict[str, Any], after: int, expected: int | None) -> None:
    found = params.Block(**block)
    assert job.next_due(found, after) == expected
    brute = [i for i in range(after + 1, after + 50) if found.is_due(i)]
    assert (brute[0] if brute else None) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123456, "0.0123"),
        (12345.6, "1.23e+04"),
        ((1.0, 0.25), "1, 0.25"),
        (tuple(range(8)), "0, 1, 2, 3, 4, 5, … (8 in all)"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_in_tables(value: Any, text: str) -> None:
    assert tables.number(value) == text


def test_users_own_constraint() -> None:
    class Halve(params.Block):
        """Halve the phase."""

        factor: float = 0.5

    def halve(fields: Any, block: Any) -> Any:
        return {"object_phase": fields["object_phase"] * block.factor}, {"strength": 0.123456}

    pipeline.register("halve", model=Halve, needs=("object_phase",), writes=("object_phase",))(
        halve
    )
    try:
        Path("params.yaml").write_text(yaml.safe_dump(PARAMS | {"halve": {"start_iter": 7}}))
        code, output = apply("-o", "out.hdf5")
    finally:
        pipeline.unregister("halve")
    assert code == 0, output
    assert "strength 0.123" in output


# params, doctor, help


def test_params_check() -> None:
    code, output = run("params", "check", "params.yaml")
    assert code == 0
    assert re.search(r"kz_filter +active +every 5th from 5 +the file .*beta 0\.5", words(output))
    assert re.search(r"obj_zblur +off +the file", output)
    assert re.search(r"tilt_smooth +off +default", output)
    for name in ConstraintParams.model_fields:
        assert name in output
    Path("empty.json").write_text("{}")
    code, output = run("params", "check", "empty.json")
    assert code == 0
    assert re.search(r"obj_rblur +active +every iteration +default", output)


def test_params_check_warns() -> None:
    Path("p.yaml").write_text("kz_filter: {beta: 1}\n")
    code, output = run("params", "check", "p.yaml")
    assert code == 0
    assert re.search(r"^warning: .*kz_filter", output, re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.yaml", "kz_filter: {beta: -1}", "kz_filter.beta"),
        ("p.yaml", "a: [", "p.yaml"),
        ("p.txt", "", "p.txt"),
        ("gone/p.yaml", None, "no such file"),
    ],
)
def test_params_check_refuses(name: str, content: Any, message: str) -> None:
    if content is not None:
        Path(name).write_text(content)
    code, output = run("params", "check", name)
    assert code == 2
    assert re.search(rf"error: (.|\n)*{message}", output)


def test_params_schema() -> None:
    code, output = run("params", "schema")
    assert code == 0
    assert "kz_filter" in json.loads(output)["properties"]
    assert run("params", "schema", "--out", "s.json")[0] == 0
    assert Path("s.json").read_text(encoding="utf-8") == output


@pytest.mark.parametrize("kind", ["minimal", "recommended", "full"])
def test_params_template(kind: str) -> None:
    code, output = run("params", "template", "--kind", kind)
    assert code == 0
    assert isinstance(yaml.safe_load(output), dict)
    assert run("params", "template", "--kind", kind, "-o", "t.yaml")[0] == 0
    assert Path("t.yaml").read_text(encoding="utf-8") == output
    code, output = run("params", "check", "t.yaml")
    assert code == 0
    assert "warning" not in output


def test_an_edited_template_is_not_overwritten() -> None:
    before = Path("params.yaml").read_text()
    code, output = run("params", "template", "-o", "params.yaml")
    assert code == 2
    assert "params.yaml: exists already" in output
    assert Path("params.yaml").read_text() == before


def test_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_present", lambda module: module == "numpy")
    code, output = run("doctor")
    assert code == 0
    assert re.search(r"arraycon +" + re.escape(arraycon.__version__), output)
    assert re.search(r"numpy +answers", output)
    assert re.search(r"cupy +absent +not installed", output)
    assert 'pip install "arraycon[fft]"' in output


def test_version() -> None:
    assert run("--version") == (0, f"arraycon {arraycon.__version__}\n")


COMMANDS = (
    "", "apply", "params", "params check", "params schema", "params template", "doctor", "demo",
)  # fmt: skip


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str, option: str) -> None:
    code, output = run(*command.split(), option)
    assert code == 0
    assert "Usage: arraycon" in output
    assert ESCAPE not in output


def test_help_of_apply_counts_iterations() -> None:
    # some versions of typer draw a box
    output = words(re.sub("[│╭╮╰╯─]", " ", run("apply", "--help")[1]))
    assert "from A to B, both included, counted from 1" in output


@pytest.mark.parametrize("arguments", [("applly",), ("apply",), ("apply", "x", "--nonsense")])
def test_usage_errors(arguments: tuple[str, ...]) -> None:
    code, output = run(*arguments)
    assert code == 2
    assert "Error" in output


# demo


def test_demo_in_an_impossible_place() -> None:
    code, output = run("demo", "--out", "model.hdf5/demo")
    assert code == 2
    assert output.startswith("error: model.hdf5/demo: cannot be made")


# real processes


def test_process() -> None:
    done = process("apply", "model.hdf5", "-p", "params.yaml", "-o", "out.hdf5")
    assert (done.returncode, done.stderr) == (0, "")
    assert "ortho_pmode" in done.stdout
    assert ESCAPE not in done.stdout
    assert io.read("out.hdf5").iteration == 7
    done = process("apply", "gone.hdf5", "-p", "params.yaml", "-o", "out.hdf5")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: gone.hdf5: no such file\n"


def with_small_files(limit: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process whose files cannot grow beyond `limit` bytes."""
    code = (
        "import resource, runpy; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
        "runpy.run_module('arraycon', run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False,
        encoding="utf-8", timeout=60, env=environment(),
    )  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_disk_full() -> None:
    # the copy of the input does not fit
    limit = Path("model.hdf5").stat().st_size // 2
    done = with_small_files(limit, "apply", "model.hdf5", "-p", "params.yaml", "-o", "out.hdf5")
    assert done.returncode == 1
    assert re.fullmatch(r"error: out\.hdf5: writing failed, .*\n", done.stderr)
    assert names() == ["model.hdf5", "params.yaml"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_disk_full_inside_hdf5(folder: Path) -> None:
    # the copy fits, but noise compresses worse than the zeros it replaces
    ptyrad_file.build(
        folder / "model.hdf5", compressed=True,
        optimizable_tensors__objp=np.eye(200, dtype=np.float32)[None],
        optimizable_tensors__obja=np.ones((1, 200, 200), np.float32),
    )  # fmt: skip
    Path("params.yaml").write_text(yaml.safe_dump(OFF | {"kr_filter": {"start_iter": 1}}))
    limit = Path("model.hdf5").stat().st_size + 1000
    done = with_small_files(limit, "apply", "model.hdf5", "-p", "params.yaml", "-o", "out.hdf5")
    assert done.returncode == 1, done.stderr
    assert re.match(r"error: .*out\.hdf5: ", done.stderr)
    assert names() == ["model.hdf5", "params.yaml"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(number: signal.Signals, code: int) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "arraycon", "apply", "model.hdf5", "-p", "params.yaml", "-o",
         "out.hdf5", "--iterations", "1:10000000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(PYTHONUNBUFFERED="1"),
    )  # fmt: skip
    with running:
        if running.stdout is None or running.stderr is None:
            pytest.fail("no pipes")
        assert "10000000 in all" in running.stdout.readline()
        time.sleep(0.2)
        running.send_signal(number)
        errors = running.stderr.read()
        # Python ends by SIGINT itself if it was interrupted inside exec(), as imports do
        assert running.wait(timeout=30) in (code, -number)
    assert errors == ("error: interrupted\n" if number == signal.SIGINT else "")
    assert names() == ["model.hdf5", "params.yaml"]


def test_warmup() -> None:
    code, output = run("warmup")
    assert code == 0
    assert all(name in output for name in params.ORDER)


def test_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(app, "perform", lambda _: seen.append(kernel_threads.count()))
    assert run("apply", "a.npz", "-p", "p.yaml", "-o", "b.npz", "--threads", "5")[0] == 0
    assert run("apply", "a.npz", "-p", "p.yaml", "-o", "b.npz", "--threads", "0")[0] == 2
    assert seen == [5]


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_the_packages_of_the_command(tmp_path: Path, package: str) -> None:
    (tmp_path / f"{package}.py").write_text(
        f"raise ModuleNotFoundError('No module named {package}', name='{package}')"
    )
    done = subprocess.run(
        [sys.executable, "-m", "arraycon", "--version"], capture_output=True, text=True,
        check=False, env=environment(first=str(tmp_path)), timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'error: the command needs pip install "arraycon[cli]"\n'


def test_a_terminal_of_ascii() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "arraycon", "params", "schema", "--out", "Å.json"], check=False,
        capture_output=True, env=environment(PYTHONIOENCODING="ascii"), timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.strip() == b"wrote ?.json"
    assert "Å.json" in names()


@pytest.mark.skipif(not ptyrad_file.REAL.exists(), reason=ptyrad_file.NO_REAL)
def test_real_reconstruction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, output = run("apply", str(ptyrad_file.REAL), "--params", str(ptyrad_file.REAL_PARAMS),
                       "--out", "out.hdf5", "--figure", "fig.png")  # fmt: skip
    assert code == 0, output
    assert "iteration 30" in output
    found = io.read("out.hdf5").state
    assert found.object_phase.min() >= 0
    assert 0.96 <= found.object_amplitude.min() <= found.object_amplitude.max() <= 1.04 + 1e-6
    before, after = (ptyrad_file.contents(p) for p in (ptyrad_file.REAL, tmp_path / "out.hdf5"))
    assert {name for name in before if before[name] != after[name]} <= {
        *ptyrad_file.ARRAYS.values()
    }
    assert before.keys() == after.keys()
