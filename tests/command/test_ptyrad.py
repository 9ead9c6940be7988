"""``arraycon ptyrad``, in front of a stand-in of PtyRAD's own command.

`tests/integration` runs PtyRAD itself by it.
"""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from command import run
from foreign import OFF

from arraycon.adapters import ptyrad

pytestmark = pytest.mark.usefixtures("plain", "folder")


class Original:
    """PtyRAD's class, as far as it is looked at."""

    def __init__(self, constraint_params, device="cuda"):
        self.constraint_params, self.device = constraint_params, device

    def forward(self, model, niter):
        raise NotImplementedError


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch):
    """PtyRAD's modules, whose command tells what it is called with."""
    names = ("ptyrad", "ptyrad.cli", "ptyrad.cli.entry", "ptyrad.core", "ptyrad.core.constraints",
             "ptyrad.solver", "ptyrad.solver.reconstruction")  # fmt: skip
    modules = {name: ModuleType(name) for name in names}
    for name, module in modules.items():
        module.__path__ = []
        monkeypatch.setitem(sys.modules, name, module)
    constraints = modules["ptyrad.core.constraints"]
    constraints.CombinedConstraint = Original
    modules["ptyrad.solver.reconstruction"].create_optimizer = lambda: None
    seen = modules["seen"] = []

    def main():
        made = constraints.CombinedConstraint({**OFF, "objp_postiv": {"start_iter": 3}})
        seen.append((sys.argv, made))
        print("done by PtyRAD")

    modules["ptyrad.cli.entry"].main = main
    monkeypatch.setattr(sys, "argv", ["arraycon"])
    return modules


def test_what_follows_is_passed_on(package):
    given = ("run", "params.yaml", "--gpuid", "acc", "--help", "-c", "x", "--debug", "--", "-v")
    code, output = run("ptyrad", *given)
    assert code == 0, output
    assert "done by PtyRAD" in output
    ((argv, made),) = package["seen"]
    assert argv == ["ptyrad", *given]
    assert isinstance(made, ptyrad.CombinedConstraint)
    assert made.constraints["objp_postiv"].start_iter == 3
    assert package["ptyrad.core.constraints"].CombinedConstraint is Original


def test_constraints_of_a_file_of_ones_own(package, folder):
    (folder / "ours.yaml").write_text("kz_filter: {start_iter: 2, boundary: mirror}\n")
    code, output = run("ptyrad", "--constraints", "ours.yaml", "run", "params.yaml")
    assert code == 0, output
    ((argv, made),) = package["seen"]
    assert argv == ["ptyrad", "run", "params.yaml"]
    assert made.constraints["kz_filter"].boundary == "mirror"


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help(package, arguments):
    code, output = run("ptyrad", *arguments)
    assert code == 0
    if arguments:
        assert "accelerate launch --multi_gpu --num_processes 2 -m arraycon ptyrad" in " ".join(
            output.split()
        )
        assert package["seen"] == []
    else:
        assert package["seen"][0][0] == ["ptyrad", "--help"]


def test_errors(package, folder, monkeypatch):
    (folder / "wrong.yaml").write_text("kz_filter: {start_iter: 1, beta: -1}\n")
    code, output = run("ptyrad", "-c", "wrong.yaml", "run", "params.yaml")
    assert code == 2
    assert "kz_filter.beta" in output
    code, output = run("ptyrad", "-c", "none.yaml", "run")
    assert code == 2
    assert "none.yaml" in output
    assert package["seen"] == []
    monkeypatch.setitem(sys.modules, "ptyrad", None)
    code, output = run("ptyrad", "run", "params.yaml")
    assert code == 1
    assert "error: PtyRAD is not installed" in output


def test_what_ptyrad_ends_with(package):
    def leave():
        raise SystemExit(3)

    package["ptyrad.cli.entry"].main = leave
    assert run("ptyrad", "run")[0] == 3
    assert package["ptyrad.core.constraints"].CombinedConstraint is Original
