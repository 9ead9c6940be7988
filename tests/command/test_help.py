"""Versions, help, usage errors, and the short commands."""

from __future__ import annotations

import re

import pytest
from command import ESCAPE, run, words

import arraycon
from arraycon.bench import NAMES
from arraycon.cli import doctor

pytestmark = pytest.mark.usefixtures("plain", "folder")


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
    "tune",
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


@pytest.mark.slow
def test_demo_in_an_impossible_place() -> None:
    code, output = run("demo", "--out", "model.hdf5/demo")
    assert code == 2
    assert output.startswith("error: model.hdf5/demo: cannot be made")


def test_warmup() -> None:
    code, output = run("warmup")
    assert code == 0
    assert all(name in output for name in NAMES)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("apply",), "error: Missing argument 'FILE...' (arraycon apply --help)\n"),
        (("apply", "--nix"), "error: No such option: --nix (arraycon apply --help)\n"),
        (("nix",), "error: No such command 'nix' (arraycon --help)\n"),
    ],
)
def test_wrong_usage_is_told_in_one_line(arguments, said) -> None:
    assert run(*arguments) == (2, said)
