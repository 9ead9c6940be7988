"""The number of threads, and the pool that uses them."""

from __future__ import annotations

import _thread
import functools
import os
import sys
import threading
import time
import weakref

import numpy as np
import processes
import pytest

import arraycon
from arraycon.kernels.common import threads


@pytest.mark.parametrize("number", [1, 2, 3, 7])
@pytest.mark.parametrize("size", [0, 1, 2, 5, 100])
@pytest.mark.parametrize("grain", [1, 3, 1000])
def test_every_item_is_done_once(number, size, grain):
    done = np.zeros(size, int)
    ranges = []

    def work(start, stop):
        ranges.append((start, stop))
        done[start:stop] += 1

    with threads.use_threads(number):
        threads.run(work, size, grain=grain)
    assert np.all(done == 1)
    assert all(stop - start >= min(grain, size) for start, stop in ranges)
    if size < 2 * grain or number == 1:
        assert ranges == [(0, size)]
    elif size >= number * grain:
        assert len(ranges) >= number


def test_ranges_are_worked_on_at_the_same_time():
    meeting = threading.Barrier(2, timeout=20)
    with threads.use_threads(2):
        threads.run(lambda *_: meeting.wait(), 2)  # alone, neither would come back


def test_an_exception_comes_out_when_all_are_done():
    finished = []

    def work(start, stop):
        if start == 0:
            raise RuntimeError("first")
        time.sleep(0.1)
        finished.append(stop)

    with threads.use_threads(2), pytest.raises(RuntimeError, match="first"):
        threads.run(work, 2)
    assert finished == [2]

    def other(start, _):
        if start > 0:
            raise RuntimeError("second")

    with threads.use_threads(2), pytest.raises(RuntimeError, match="second"):
        threads.run(other, 2)


def test_without_more_threads_the_work_is_done_all_the_same(monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("_thread.start_new_thread", refuse)
    done = np.zeros(10, int)

    def work(start, stop):
        done[start:stop] += 1

    with threads.use_threads(3):
        threads.run(work, 10)
    assert np.all(done == 1)


def test_work_within_work_is_not_divided():
    counts = []

    def work(*_):
        threads.run(lambda *_: counts.append(threads.count()), 10)

    with threads.use_threads(2):
        threads.run(work, 2)
        assert threads.count() == 2
    assert counts == [1, 1]


def test_many_callers_at_once():
    obj = np.random.default_rng(0).random((4, 64, 64)).astype("float32")
    expected = arraycon.obj_rblur(obj)
    wrong = []

    def call():
        for _ in range(20):
            with threads.use_threads(3):
                if not np.array_equal(arraycon.obj_rblur(obj), expected):
                    wrong.append(1)

    callers = [threading.Thread(target=call) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=60)
        assert not caller.is_alive()
    assert not wrong


def test_idle_threads_are_used_again_and_hold_nothing():
    class Payload:
        """Something a weak reference can be taken of."""

    payload = Payload()
    released = weakref.ref(payload)
    with threads.use_threads(3):
        threads.run(functools.partial(lambda *_: None, payload), 100)
        before = _thread._count()
        for _ in range(20):
            threads.run(lambda *_: None, 100)
        # 60 were asked; one that has not come back yet is not idle, and another one is started
        assert _thread._count() < before + 20
    del payload
    deadline = time.monotonic() + 20
    while released() is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert released() is None


def test_idle_threads_end_after_a_while(monkeypatch):
    monkeypatch.setattr(threads, "_PATIENCE", 0.01)
    monkeypatch.setattr(threads, "_idle", [])
    done = np.zeros(100, int)

    def work(start, stop):
        done[start:stop] += 1

    with threads.use_threads(3):
        for number in range(1, 30):
            threads.run(work, 100)
            assert np.all(done == number)
            time.sleep(0.001 * number)  # about when their patience ends
    deadline = time.monotonic() + 20
    while threads._idle and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not threads._idle


FORK = """
import os, sys
import numpy as np
import arraycon
from arraycon.kernels.common import threads

obj = np.random.default_rng(0).random((4, 256, 256))
with threads.use_threads(2):
    results = [arraycon.obj_rblur(obj), arraycon.kr_filter(obj), arraycon.kz_filter(obj)]
    child = os.fork()
    again = [arraycon.obj_rblur(obj), arraycon.kr_filter(obj), arraycon.kz_filter(obj)]
same = all(np.array_equal(a, b) for a, b in zip(results, again))
if child == 0:
    os._exit(0 if same else 1)
_, status = os.waitpid(child, 0)
sys.exit(0 if same and status == 0 else 1)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_process_computes_too():
    done = processes.run([sys.executable, "-W", "ignore", "-c", FORK])
    assert done.returncode == 0


def test_the_number_of_threads(monkeypatch):
    monkeypatch.delenv(threads.SETTING, raising=False)
    assert threads.count() == threads.cores() >= 1
    monkeypatch.setenv(threads.SETTING, "3")
    assert threads.count() == 3
    with threads.use_threads(2):
        assert threads.count() == 2
        with threads.use_threads(5):
            assert threads.count() == 5
        assert threads.count() == 2
    assert threads.count() == 3


@pytest.mark.parametrize("setting", ["0", "-1", "two", "1.5"])
def test_a_wrong_setting_is_named(monkeypatch, setting):
    monkeypatch.setenv(threads.SETTING, setting)
    with pytest.raises(
        ValueError, match=f"ARRAYCON_THREADS: expected an integer ≥ 1, got '{setting}'"
    ):
        threads.count()


@pytest.mark.parametrize("number", [0, -1, 1.5, "2", True])
def test_a_wrong_number_is_named(number):
    with (
        pytest.raises((TypeError, ValueError), match="threads: expected an integer ≥ 1, got"),
        threads.use_threads(number),
    ):
        pass


def test_the_result_does_not_depend_on_the_number_of_threads():
    rng = np.random.default_rng(0)
    obj = rng.random((2, 5, 40, 50)).astype("float32")
    probe = (rng.normal(size=(3, 32, 32)) + 1j * rng.normal(size=(3, 32, 32))).astype("complex64")
    calls = {
        "obj_rblur": (obj,),
        "obj_zblur": (obj,),
        "kr_filter": (obj,),
        "kz_filter": (obj,),
        "kr_thresh": (obj,),
        "mirrored_amp": (obj, obj),
        "objp_postiv": (obj,),
        "ortho_pmode": (probe,),
        "probe_mask_k": (probe,),
    }
    for name, arrays in calls.items():
        results = []
        for number in (1, 2, 5):
            with threads.use_threads(number):
                results.append(getattr(arraycon, name)(*arrays))
        for result in results[1:]:
            # float32, and near 0 rounding is relative to the array's size, which is about 1
            np.testing.assert_allclose(result, results[0], rtol=1e-5, atol=1e-6, err_msg=name)


PHASE = np.random.default_rng(20).normal(0.1, 0.2, (2, 64, 64)).astype("float32")
PROBE = np.random.default_rng(20).normal(size=(2, 2, 32, 32)).astype("float32")
SMALL_CALLS = {
    "obja_thresh": lambda: arraycon.obja_thresh(PHASE),
    "objp_postiv": lambda: arraycon.objp_postiv(PHASE),
    "mirrored_amp": lambda: arraycon.mirrored_amp(PHASE, PHASE, power=2.5),
    "complex_ratio": lambda: arraycon.complex_ratio(PHASE, PHASE),
    "obj_rblur": lambda: arraycon.obj_rblur(PHASE),
    "obj_zblur": lambda: arraycon.obj_zblur(PHASE),
    "kr_filter": lambda: arraycon.kr_filter(PHASE),
    "kz_filter": lambda: arraycon.kz_filter(PHASE),
    "kz_filter-mirror": lambda: arraycon.kz_filter(PHASE, boundary="mirror"),
    "kr_thresh": lambda: arraycon.kr_thresh(PHASE),
    "kr_thresh-slice": lambda: arraycon.kr_thresh(PHASE, scope="slice"),
    "obj_z_recenter": lambda: arraycon.obj_z_recenter(
        PHASE, PHASE, _probe(), dx=0.2, wavelength=0.0251, slice_thickness=5.0
    ),
    "ortho_pmode": lambda: arraycon.ortho_pmode(_probe()),
    "fix_probe_int": lambda: arraycon.fix_probe_int(_probe(), intensity=5.0),
    "probe_mask_k": lambda: arraycon.probe_mask_k(_probe()),
    "probe_mask_r": lambda: arraycon.probe_mask_r(_probe(), dx=0.2, wavelength=0.0251, z_steps=11),
    "tilt_smooth": lambda: arraycon.tilt_smooth(
        PHASE[0, :18].reshape(-1, 2)[:36], scan_shape=(6, 6)
    ),
}


def _probe():
    return PROBE[0] + 1j * PROBE[1]


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("name", SMALL_CALLS)
def test_what_is_done_before_a_thread_has_woken_up_wakes_none(name, monkeypatch):
    """kz_filter on two slices of 64² took up to seven times as long with two threads."""
    pytest.importorskip("numba", reason="numba is not installed")
    monkeypatch.setattr(threads, "_ask", lambda _: pytest.fail("a thread was woken"))
    with threads.use_threads(2):
        SMALL_CALLS[name]()
