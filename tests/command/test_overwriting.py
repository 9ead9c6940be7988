"""Files that are there already: kept, by every command in the same words, unless `--force`."""

from __future__ import annotations

from pathlib import Path

import command
import pytest
from command import names, run

from arraycon import io
from arraycon.cli import bench as bench_command
from arraycon.demo import report

pytestmark = pytest.mark.usefixtures("plain", "folder", "tiny")

APPLY = ("apply", "model.hdf5", "-p", "params.yaml")
SMALL = ("--scan", "4", "--iterations", "1", "--slices", "1", "--modes", "1")
COMMANDS = {
    "apply": ((*APPLY, "-o", "out.hdf5"), "out.hdf5"),
    "figure": ((*APPLY, "-o", "out.hdf5", "--figure", "a.png"), "a.png"),
    "template": (("params", "template", "-o", "t.yaml"), "t.yaml"),
    "schema": (("params", "schema", "-o", "s.json"), "s.json"),
    "bench": (("bench", "--only", "objp_postiv", "-o", "b"), "b/table.txt"),
    "demo": (("demo", *SMALL, "-o", "d"), "d/demo.json"),
    "demo's parameters": (("demo", *SMALL, "-o", "d"), "d/used_params.yaml"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_there_is_kept(name: str) -> None:
    arguments, path = COMMANDS[name]
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text("precious")
    before = names()
    code, output = run(*arguments)
    assert code == 2, output
    assert output.splitlines()[-1] == f"error: {path}: exists already; --force replaces it"
    assert Path(path).read_text() == "precious"
    assert names() == before


@pytest.mark.parametrize(
    "name", ["apply", "template", "schema", *(pytest.param(n, marks=pytest.mark.slow)
                                              for n in ("figure", "bench", "demo"))]
)  # fmt: skip
def test_force(name: str) -> None:
    arguments, path = COMMANDS[name]
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text("precious")
    Path(path).chmod(0o600)
    code, output = run(*arguments, "--force")
    assert code == 0, output
    assert Path(path).read_bytes() != b"precious"
    assert Path(path).stat().st_mode & 0o777 == 0o600


def test_the_input_is_not_replaced_by_force_either() -> None:
    Path("link.hdf5").symlink_to("model.hdf5")
    content = Path("model.hdf5").read_bytes()
    for out in ("model.hdf5", "link.hdf5"):
        code, output = run(*APPLY, "-o", out, "--force")
        assert code == 2
        assert "same file as model.hdf5; use --in-place" in output
    assert Path("model.hdf5").read_bytes() == content


@pytest.mark.slow
def test_the_figure_is_as_private_as_the_input() -> None:
    Path("model.hdf5").chmod(0o600)
    code, output = run(*APPLY, "-o", "out.hdf5", "--figure", "a.png")
    assert code == 0, output
    assert {Path(name).stat().st_mode & 0o777 for name in ("out.hdf5", "a.png")} == {0o600}


def test_parameters_that_were_given_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither refused nor replaced: they are what would be written."""
    Path("d").mkdir()
    Path("d/used_params.yaml").write_text("objp_postiv: {start_iter: 1}\n")
    monkeypatch.setattr(io, "save", lambda *_, **__: None)
    code, output = run("demo", *SMALL, "-p", "d/used_params.yaml", "-o", "d")
    assert code == 0, output
    assert Path("d/used_params.yaml").read_text() == "objp_postiv: {start_iter: 1}\n"


def test_every_file_of_a_folder_is_looked_at() -> None:
    assert bench_command.FILES
    assert report.FILES
    for arguments, files in (
        (COMMANDS["bench"][0], bench_command.FILES), (COMMANDS["demo"][0], report.FILES)
    ):  # fmt: skip
        folder = Path(arguments[-1])
        folder.mkdir()
        for name in files:
            (folder / name).write_text("precious")
            assert run(*arguments)[0] == 2
            (folder / name).unlink()


@pytest.mark.parametrize("arguments", [("apply",), ("demo",), ("bench",), ("params", "schema"),
                                       ("params", "template")])  # fmt: skip
def test_help_says_so(arguments: tuple[str, ...]) -> None:
    text = command.words(run(*arguments, "--help")[1])
    assert "--force" in text
    assert "Replace files that are there already." in text
