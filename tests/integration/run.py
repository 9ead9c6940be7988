"""Run one foreign code, as its authors publish it, with this package inside.

    python tests/integration/run.py CODE [--python PATH] [--keep FOLDER]

Makes a fresh virtual environment in a temporary folder, installs the code from PyPI and this
checkout, runs the tests for that code on the CPU, and prints the versions and figures.
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("code", choices=PYTHONS)
    parser.add_argument("--python", help="interpreter for the environment")
    parser.add_argument("--keep", type=Path, help="make the environment there and keep it")
    given = parser.parse_args()

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
        processes.run([*install, *packages], limit=LIMIT, check=True)

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
