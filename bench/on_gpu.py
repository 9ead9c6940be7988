"""Everything that needs a GPU, in one call: suite, sanitizers, benchmarks, whole schedules.

    python bench/on_gpu.py [--out FOLDER] [--sizes small,medium,large] [--quick]
                             [--rounds N] [--only STEPS]

Writes ``FOLDER/<card>.json`` (all figures), ``<card>.md`` (tables, and how each step ended) and one
log per step. A step that fails does not stop the others; the exit code says whether any did.
Needs CuPy and pytest; PtyRAD takes part if PyTorch finds the card, compute-sanitizer if it is
on the path.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SANITIZED = ("memcheck", "racecheck", "initcheck", "synccheck")
# the suite on CuPy arrays, and what only a GPU can show
SUITE = (
    "tests/constraints",
    "tests/machinery/test_pipeline.py",
    "tests/gpu/test_gpu.py",
    "-k",
    "cupy or gpu",
)
# one layout, no repetition: under a sanitizer everything takes many times as long
SHORT = ("tests/constraints", "-k", "cupy and contiguous and not options")
TIMEOUT = 1500  # s, of one step


@dataclass
class Step:
    """One command, and how it ended."""

    name: str
    command: list[str]
    status: str = ""
    seconds: float = 0.0


def main() -> int:
    """Run all steps; return the number of those that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    parser.add_argument("--sizes", default="small,medium,large")
    parser.add_argument("--quick", action="store_true", help="no sanitizers, three rounds")
    parser.add_argument("--rounds", type=int, help="timed calls: 15, or 3 with --quick")
    parser.add_argument("--only", default="", help="steps whose names begin so, with commas")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    card = name_of_card()
    logs = options.out / f"{card}-logs"
    logs.mkdir(exist_ok=True)
    steps = [
        step for step in planned(options, logs) if step.name.startswith((*options.only.split(","),))
    ]
    for step in steps:
        run(step, logs)
        report(card, steps, options.out, logs)
    return sum(step.status.startswith("failed") for step in steps)


def name_of_card() -> str:
    """Name of the current device as part of a file's name."""
    try:
        import cupy

        name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
    except Exception as error:  # no CuPy, none that can be imported, no driver, no device
        sys.exit(f"on_gpu: no GPU to run on: {error}; `arraycon doctor` says more")
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()


def planned(options: argparse.Namespace, logs: Path) -> list[Step]:
    """Return the steps in order, the most telling first."""
    python = [sys.executable, "-W", "ignore"]
    pytest = [*python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    steps = [
        Step("doctor", [*python, "-m", "arraycon", "doctor"]),
        Step("suite", [*pytest, *SUITE]),
    ]
    rounds = str(options.rounds or (3 if options.quick else 15))
    for size in options.sizes.split(","):
        command = [*python, "-m", "gpu_tables", "--size", size]
        command += ["--rounds", rounds, "--out", str(logs / size)]
        steps.append(Step(f"schedules {size}", command))
        command = [*python, "-m", "arraycon", "bench", "--on", "gpu", "--size", size]
        steps.append(
            Step(f"bench {size}", [*command, "--rounds", rounds, "--out", str(logs / size)])
        )
    sanitizer = shutil.which("compute-sanitizer")
    for tool in () if options.quick else SANITIZED:
        command = [sanitizer or "compute-sanitizer", "--tool", tool, "--error-exitcode", "9"]
        steps.append(Step(f"compute-sanitizer {tool}", [*command, *pytest, *SHORT]))
    return steps


def run(step: Step, logs: Path) -> None:
    """Run a step with its output in a log."""
    log = logs / f"{step.name.replace(' ', '-')}.log"
    path = [str(ROOT), str(ROOT / "bench"), *sys.path[1:]]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path)}
    start = time.perf_counter()
    print(f"{step.name} ...", end=" ", flush=True)
    try:
        with log.open("w", encoding="utf-8") as file:
            code = subprocess.run(
                step.command, cwd=ROOT, env=environment, timeout=TIMEOUT, check=False,
                stdout=file, stderr=subprocess.STDOUT,
            ).returncode  # fmt: skip
        step.status = "passed" if code == 0 else f"failed with exit code {code}"
    except FileNotFoundError:
        step.status = f"not run: {step.command[0]} is not on the path"
    except subprocess.TimeoutExpired:
        step.status = f"failed: not done after {TIMEOUT} s"
    step.seconds = time.perf_counter() - start
    print(f"{step.status}, {step.seconds:.0f} s", flush=True)


def report(card: str, steps: list[Step], out: Path, logs: Path) -> None:
    """Write what there is so far as JSON and Markdown."""
    done = [step for step in steps if step.status]
    benches, schedules = {}, {}
    lines = [f"# {card}", "", "| step | outcome | s |", "|---|---|---|"]
    lines += [f"| {step.name} | {step.status} | {step.seconds:.0f} |" for step in done]
    for folder in sorted(path for path in logs.iterdir() if path.is_dir()):
        figures, table = folder / "bench.json", folder / "table.txt"
        if figures.exists():
            benches[folder.name] = json.loads(figures.read_text(encoding="utf-8"))
        if table.exists():
            lines += ["", f"## {folder.name}", "```", table.read_text(encoding="utf-8"), "```"]
        figures, table = folder / "schedules.json", folder / "schedules.md"
        if figures.exists() and table.exists():
            schedules[folder.name] = json.loads(figures.read_text(encoding="utf-8"))
            lines += ["", f"## {folder.name}: schedules", "", table.read_text(encoding="utf-8")]
    summary = [{**asdict(step), "command": " ".join(step.command[1:])} for step in done]
    found = {"card": card, "steps": summary, "benches": benches, "schedules": schedules}
    (out / f"{card}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (out / f"{card}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
