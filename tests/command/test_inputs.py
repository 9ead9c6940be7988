"""Which parameters `apply` takes, and inputs that were meant for something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import ptyrad_file
import pytest
import yaml
from command import OFF, names, run

from arraycon import Constraints, io
from arraycon.cli.iterations import parse_iterations
from arraycon.io import memory

pytestmark = pytest.mark.usefixtures("plain", "folder")

STORED = {
    "params__constraint_params__ortho_pmode__start_iter": "__NONE__",
    "params__constraint_params__fix_probe_int__start_iter": "__NONE__",
    "params__constraint_params__obj_rblur__start_iter": "__NONE__",
    "params__constraint_params__obj_zblur__start_iter": "__NONE__",
    "params__constraint_params__pos_recenter__start_iter": "__NONE__",
    "params__constraint_params__obja_thresh__start_iter": 1,
    "params__constraint_params__obja_thresh__relax": 0.0,
    "params__constraint_params__objp_postiv__start_iter": np.int64(1),
    "params__constraint_params__objp_postiv__mode": "subtract_min",
}


def test_the_parameters_that_a_file_was_made_with(folder: Path) -> None:
    ptyrad_file.build(folder / "own.hdf5", **STORED)
    constraints = Constraints.from_file("own.hdf5")
    assert list(constraints) == ["obja_thresh", "objp_postiv"]
    assert constraints["obja_thresh"].thresh == (0.96, 1.04)
    assert constraints["objp_postiv"].mode == "subtract_min"
    code, output = run("apply", "own.hdf5", "-o", "a.hdf5")
    assert code == 0, output
    assert "parameters: those that own.hdf5 was made with" in output
    code, output = run("apply", "model.hdf5", "--params", "own.hdf5", "-o", "b.hdf5")
    assert code == 0, output
    assert "was made with" not in output
    state = io.read("model.hdf5").state
    constraints.apply(state, 7)
    for name in ("a.hdf5", "b.hdf5"):
        np.testing.assert_array_equal(io.read(name).state.object_phase, state.object_phase)
        np.testing.assert_array_equal(io.read(name).state.probe, state.probe)
    assert run("params", "check", "own.hdf5")[0] == 0


@pytest.mark.skipif(not ptyrad_file.REAL.exists(), reason=ptyrad_file.NO_REAL)
def test_real_parameters_in_both_places() -> None:
    stored = Constraints.from_file(ptyrad_file.REAL)
    written = yaml.safe_load(ptyrad_file.REAL_PARAMS.read_text(encoding="utf-8"))
    own = {name for name, block in written["constraint_params"].items() if block is not None}
    assert "kz_filter" in own
    from_text = Constraints.from_file(ptyrad_file.REAL_PARAMS, defaults="none")
    for name in own:
        assert stored[name] == from_text[name]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bare.hdf5", "-o", "o.hdf5"), "bare.hdf5: holds no params/constraint_params"),
        (("a.npz", "-o", "o.npz"), "a.npz: holds no parameters; expected --params FILE"),
        (("a.npz", "-p", "bare.hdf5", "-o", "o.npz"), "bare.hdf5: holds no params/constraint"),
        (
            ("params.yaml", "-p", "model.hdf5", "-o", "o.hdf5"),
            "params.yaml: is a parameter file, expected a reconstruction: "
            "arraycon apply model.hdf5 --params params.yaml",
        ),
        (("params.yaml", "-o", "o.hdf5"), "apply RECONSTRUCTION --params params.yaml"),
        (("model.hdf5", "-p", "a.npz", "-o", "o.hdf5"), "a.npz: unknown kind of file"),
    ],
)
def test_inputs_for_something_else(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    bare = "params/constraint_params/obja_thresh/thresh"
    ptyrad_file.build(folder / "bare.hdf5", omit=(bare,))
    io.save("a.npz", io.read("model.hdf5").state)
    before = names()
    code, output = run("apply", *arguments)
    assert code == 2
    assert said in output
    assert output.count("error") == 1
    assert names() == before


@pytest.mark.parametrize("name", ["params.yaml", "gone.yaml", "model.hdf5"])
def test_params_without_a_verb(name: str) -> None:
    code, output = run("params", name)
    assert code == 2
    text = " ".join(output.replace("│", " ").split())
    assert f"'{name}' is a file, expected a command: arraycon params check {name}" in text
    assert "No such command" in run("params", "chekc")[1]


@pytest.mark.parametrize(
    ("blocks", "figure", "expected"),
    [
        ({"objp_postiv": {"start_iter": 1}}, False, {"object_phase"}),
        ({"obja_thresh": {"start_iter": 1}}, False, {"object_amplitude"}),
        ({"fix_probe_int": {"start_iter": 1}}, False, {"probe"}),
        ({"kr_filter": {"start_iter": 1}}, False, {"object_amplitude", "object_phase"}),
        ({"objp_postiv": {"start_iter": 1, "end_iter": 5}}, False, set()),
        ({"tilt_smooth": {"start_iter": 1}}, True,
         {"object_amplitude", "object_phase", "probe", "tilts"}),
    ],
)  # fmt: skip
def test_only_what_is_used_is_read(
    monkeypatch: pytest.MonkeyPatch, blocks: dict, figure: bool, expected: set[str]
) -> None:
    Path("p.yaml").write_text(yaml.safe_dump(OFF | blocks))
    seen = []
    read = io.read

    def noted(path: Path, **options: object) -> io.Reconstruction:
        seen.append(set(options["arrays"]))
        return read(path, **options)

    monkeypatch.setattr(io, "read", noted)
    drawn = ("--figure", "a.png") if figure else ()
    code, output = run("apply", "model.hdf5", "-p", "p.yaml", "-o", "o.hdf5", *drawn,
                       "--iteration", "7")  # fmt: skip
    assert code == 0, output
    assert seen == [expected]


def test_a_complex_object_is_read_for_its_parts() -> None:
    state = io.read("model.hdf5").state
    np.savez("a.npz", object=np.exp(1j * state.object_phase).astype("c8"), probe=state.probe)
    Path("p.yaml").write_text(yaml.safe_dump(OFF | {"objp_postiv": {"start_iter": 1}}))
    code, output = run("apply", "a.npz", "-p", "p.yaml", "-o", "b.npz")
    assert code == 0, output
    assert np.angle(io.read("b.npz").state.object).min() > -1e-5


def test_memory_is_estimated_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_system", lambda: iter([100_000_000]))
    code, output = run("apply", "model.hdf5", "-p", "params.yaml", "-o", "out.hdf5")
    assert code == 2
    assert "model.hdf5: takes 336 MB of memory, 100 MB are free" in output.splitlines()[-1]
    assert "out.hdf5" not in names()


def test_iterations_without_end() -> None:
    code, output = run("apply", "model.hdf5", "-p", "params.yaml", "-o", "out.hdf5",
                       "--iterations", f"1:{10**30}")  # fmt: skip
    assert code == 2
    assert "1 ≤ A ≤ B" in output
    with pytest.raises(ValueError, match="1 ≤ A ≤ B"):
        parse_iterations("1:" + "9" * 5000)
