"""Child processes of the suite: none outlives its limit, and signals reach all of them."""

from __future__ import annotations

import signal
import sys
import time

import processes
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

HANG = "import time; print('here', flush=True); time.sleep(100)"
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {HANG!r}])
"""


def python(code):
    return [sys.executable, "-c", code]


@pytest.mark.slow
def test_a_child_that_hangs_is_killed_and_says_what_it_has_said():
    before = time.monotonic()
    with pytest.raises(TimeoutError, match=r"(?s)killed after 2 s.*here"):
        processes.run(python(HANG), limit=2, capture_output=True, text=True)
    assert time.monotonic() - before < 60


@pytest.mark.slow
def test_who_reads_from_a_child_that_hangs_is_not_kept_waiting():
    with processes.start(python(HANG), limit=2, stdout=processes.PIPE, text=True) as child:
        assert child.stdout.read() == "here\n"
    assert child.returncode == -signal.SIGKILL


def test_nothing_is_left_after_the_block():
    with processes.start(python(PARENT), stdout=processes.PIPE, text=True) as child:
        assert child.stdout.readline() == "here\n"
        pipe = child.stdout
        child.stdout = None
    # the child's child holds the other end for as long as it lives
    assert pipe.read() == ""
    pipe.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ignored_signals_are_not_inherited(number):
    code = f"import signal; print(signal.getsignal({int(number)}) is signal.SIG_IGN)"
    before = signal.signal(number, signal.SIG_IGN)
    try:
        done = processes.run(python(code), capture_output=True, text=True, check=True)
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)
    assert done.stdout == "False\n"


def test_a_failing_child_shows_what_it_has_written():
    with pytest.raises(AssertionError, match=r"(?s)exit code 3.*reason"):
        processes.run(
            python("import sys; print('reason', file=sys.stderr); sys.exit(3)"),
            capture_output=True,
            text=True,
            check=True,
        )
