"""Signals at any moment, and memory that is not there: one line, an exit code, and no file."""

from __future__ import annotations

import contextlib
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import processes
import ptyrad_file
import pytest
from command import environment, names

from arraycon.cli import signals

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits")
pytestmark = [pytest.mark.usefixtures("plain", "folder"), posix]

APPLY = ("apply", "model.hdf5", "-p", "params.yaml", "-o", "out.hdf5")
FIRST = ["model.hdf5", "params.yaml"]

# constraints whose end makes a finaliser run in which the signal arrives, as llvmlite's may
FINALISER = """
import os, runpy, sys
import arraycon.pipeline as pipeline

class Reference:
    def __del__(self):
        os.kill(os.getpid(), {number})
        sum(range(10**5))

real = pipeline.Constraints.apply

def apply(*arguments, **options):
    done = real(*arguments, **options)
    Reference()
    return done

pipeline.Constraints.apply = apply
from arraycon_command import main
main()
"""


def python(code: str, *arguments: str, **options: Any) -> Any:
    command = [sys.executable, "-c", code, *arguments]
    return processes.run(command, capture_output=True, text=True, env=environment(), **options)


def errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith(("warning", "compiling"))]


@pytest.mark.quick(
    when=lambda number, iterations, **_: (number, iterations) == (signal.SIGTERM, "1:1")
)
@pytest.mark.parametrize("iterations", ["1:1", "1:5"])
@pytest.mark.parametrize(
    ("number", "word"),
    [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated"), (signal.SIGHUP, "hung up")],
)
def test_a_signal_inside_a_finaliser(number: signal.Signals, word: str, iterations: str) -> None:
    code = FINALISER.format(number=int(number))
    done = python(code, *APPLY, "--iterations", iterations)
    assert (done.returncode, errors(done.stderr)) == (128 + number, [f"error: {word}"])
    assert names() == FIRST


def test_a_signal_while_modules_are_imported(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom arraycon_command import main\n"
    done = python(f"{code}main()", "--version")
    assert (done.returncode, done.stderr) == (130, "error: interrupted\n")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_ignored_stays_ignored(number: signal.Signals) -> None:
    """As under nohup, and in the background of a script."""
    code = FINALISER.format(number=int(number))
    ignored = f"import signal; signal.signal({int(number)}, signal.SIG_IGN)\n"
    done = python(ignored + code, *APPLY)
    assert (done.returncode, errors(done.stderr)) == (0, [])
    assert names() == ["model.hdf5", "out.hdf5", "params.yaml"]


@pytest.mark.slow
def test_signals_at_random_moments() -> None:
    rng = random.Random(0)
    command = [sys.executable, "-c", "from arraycon_command import main; main()", *APPLY]
    begun = time.perf_counter()
    assert processes.run(command, capture_output=True, env=environment()).returncode == 0
    whole = time.perf_counter() - begun
    Path("out.hdf5").unlink()
    seen = set()
    for _ in range(12):
        number = rng.choice([signal.SIGINT, signal.SIGTERM])
        with processes.start(
            command, stdout=processes.PIPE, stderr=processes.PIPE, text=True, env=environment()
        ) as child:
            # not in Python's own start, in which no code of ours has run
            time.sleep(rng.uniform(0.1, 1.0) * whole)
            child.send_signal(number)
            _, text = processes.finished(child, limit=60)
        written = Path("out.hdf5").exists()
        assert (child.returncode, len(errors(text)), written) in {
            (128 + number, 1, False), (0, 0, True),
        }  # fmt: skip
        Path("out.hdf5").unlink(missing_ok=True)
        assert names() == FIRST
        seen.add(child.returncode)
    assert seen - {0}


def test_the_note_is_looked_at() -> None:
    seen = []
    with pytest.raises(SystemExit) as stopped, signals.watched():  # noqa: PT012
        with contextlib.suppress(signals.StoppedError):  # as a finaliser does
            signal.raise_signal(signal.SIGTERM)
        seen += signals.between([1])
    assert seen == []
    assert stopped.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_comes_too_late_changes_nothing() -> None:
    with signals.watched(), signals.watched():
        signals.hold()
        signal.raise_signal(signal.SIGINT)
        signals.look()
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_without_a_watch_nothing_is_looked_at() -> None:
    signals.look()
    signals.hold()
    assert list(signals.between("ab")) == ["a", "b"]


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
from arraycon_command import main
main()
"""


@pytest.mark.quick(when=lambda limit, **_: limit == 600)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="knows Linux's own figures")
@pytest.mark.parametrize("limit", [300, 450, 600, 900, 1000, 1100, 1250, 1500, 2000])
def test_memory_near_the_limit(folder: Path, limit: int) -> None:
    """One line or a result; LLVM, OpenMP and FFT libraries abort where memory ends."""
    ptyrad_file.build(folder / "model.hdf5")
    done = python(LIMITED.format(limit=limit << 20), *APPLY)
    if done.returncode == 0:
        assert errors(done.stderr) == []
        return
    assert done.returncode in (1, 2), done.stderr
    (line,) = errors(done.stderr)
    assert "memory" in line
    assert names() == FIRST
