"""Run one foreign code, as its authors publish it, with this package inside.

    python tests/integration/run.py CODE [--python PATH] [--keep FOLDER] [--source PATH]

Makes a fresh virtual environment in a temporary folder, installs the code from PyPI and this
checkout, runs the tests for that code on the CPU, and prints the versions and figures. ptypy is not
on PyPI: `--source PATH` says where its source tree is. tike runs on a GPU only. Without, they are
skipped.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "support"))

import processes  # noqa: E402

LIMIT = 3600  # s, of installing and of reconstructing
CHECKOUT = HERE.parent.parent

# The oldest and the newest Python for each code; 3.12 was run for PtyRAD, and 3.11 for the others.
# PtyRAD 1.0.0 asks for 3.10, but its plots have an f-string that only 3.12 can read; NumPy 1.26,
# which py4DSTEM needs, ends at 3.12.
PYTHONS = {
    "ptyrad": ((3, 12), (3, 13)),
    "py4dstem": ((3, 10), (3, 12)),
    "ptylab": ((3, 11), (3, 13)),
    "ptychi": ((3, 11), (3, 13)),
    "phaser": ((3, 11), (3, 13)),
    "quantem": ((3, 11), (3, 13)),
    "cdtools": ((3, 11), (3, 13)),
    "tike": ((3, 11), (3, 13)),
    "ptypy": ((3, 11), (3, 13)),
    "ptydy": ((3, 10), (3, 13)),
}
SHOWN = (
    "ptyrad", "py4DSTEM", "ptylab", "ptychi", "phaserEM", "quantem", "cdtools-py", "tike", "ptypy",
    "ptydy", "arraycon", "numpy", "scipy", "numba", "torch", "torchvision", "jax", "cupy-cuda13x",
)  # fmt: skip
# Installed by themselves: tike asks for the source package of CuPy, which has to be built, and for
# a NumPy below what it runs with.
WITHOUT_DEPENDENCIES = {"tike": "tike==0.26.0"}
LEFT_OUT = (".git", "build", ".venv*", "*.egg-info", "__pycache__", ".ruff_cache", ".mypy_cache")


def version_of(python: str) -> tuple[int, int]:
    """Ask an interpreter for its version; (0, 0) if it does not answer."""
    code = "import sys, venv, ensurepip; print(*sys.version_info[:2])"
    done = processes.run([python, "-c", code], capture_output=True, text=True)
    if done.returncode:
        return (0, 0)
    major, minor = done.stdout.split()
    return int(major), int(minor)


def interpreter(code: str) -> str:
    """Find a Python that the code runs on: this one, on the path, or pyenv's."""
    low, high = PYTHONS[code]
    minors = range(low[1], high[1] + 1)
    candidates = [sys.executable, *filter(None, (shutil.which(f"python3.{m}") for m in minors))]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in minors:
        candidates += map(str, sorted(versions.glob(f"3.{minor}.*/bin/python")))
    for candidate in candidates:
        if low <= version_of(candidate) <= high:
            return candidate
    wanted = " to ".join(".".join(map(str, version)) for version in (low, high))
    sys.exit(f"{code} needs Python {wanted}, and none was found: give --python PATH")


def lacking(code: str, source: Path | None) -> str:
    """Say why a code cannot be run here, or nothing."""
    if code == "ptypy" and source is None:
        return "it is not on PyPI: say --source PATH of its source tree"
    if code == "tike":
        command = shutil.which("nvidia-smi")
        if command is None or processes.run([command, "-L"], capture_output=True).returncode:
            return "it runs on a CUDA device only, and none answers"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("code", choices=PYTHONS)
    parser.add_argument("--python", help="interpreter for the environment")
    parser.add_argument("--keep", type=Path, help="make the environment there and keep it")
    parser.add_argument("--source", type=Path, help="source tree of a code that is not on PyPI")
    given = parser.parse_args()
    if reason := lacking(given.code, given.source):
        print(f"{given.code}: skipped: {reason}")
        return 0

    python = given.python or interpreter(given.code)
    with tempfile.TemporaryDirectory(prefix=f"arraycon-{given.code}-") as temporary:
        folder = Path(temporary)
        environment = given.keep or folder / "venv"
        processes.run([python, "-m", "venv", environment], limit=LIMIT, check=True)
        bin_folder = environment / ("Scripts" if os.name == "nt" else "bin")

        # a copy, so that building leaves nothing in the checkout
        source = folder / "source"
        shutil.copytree(CHECKOUT, source, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
        requirements = HERE / f"requirements-{given.code}.txt"
        install = [bin_folder / "python", "-m", "pip", "install", "--quiet"]
        packages = ["-r", requirements, "pytest>=8", f"{source}[cli]"]
        if given.source is not None:
            packages.append(given.source.resolve())
        processes.run([*install, *packages], limit=LIMIT, check=True)
        if given.code in WITHOUT_DEPENDENCIES:
            alone = ["--no-deps", WITHOUT_DEPENDENCIES[given.code]]
            processes.run([*install, *alone], limit=LIMIT, check=True)

        print("Python", ".".join(map(str, version_of(str(bin_folder / "python")))))
        listed = processes.run(
            [bin_folder / "python", "-m", "pip", "list", "--format=freeze"],
            capture_output=True, text=True, check=True,
        ).stdout.splitlines()  # fmt: skip
        shown = {name.lower() for name in SHOWN}
        print(*[line for line in listed if line.partition("==")[0].lower() in shown], sep="\n")
        sys.stdout.flush()

        # idle threads that spin take the cores from those that work
        quiet = {"OMP_WAIT_POLICY": "passive", "MPLBACKEND": "Agg", "PYTHONPATH": ""}
        tests = HERE / f"check_{given.code}.py"
        command = [bin_folder / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        return processes.run(
            [*command, "-c", HERE / "pytest.ini", tests],
            limit=LIMIT, cwd=folder, env={**os.environ, **quiet},
        ).returncode  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
