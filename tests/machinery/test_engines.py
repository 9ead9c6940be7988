"""Which transforms take slices: the vector transforms, and a library whenever they fail."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import numpy as np
import processes
import pytest
from libraries import FLOAT32, relative_error

import arraycon

pytest.importorskip("numba", reason="numba is not installed")

from arraycon.kernels.cpu.fft import guarded, slices, transform
from arraycon.kernels.cpu.fft.library import LIBRARY

SUITED = (64, 60)
NEEDS_OWN = pytest.mark.skipif(
    not transform.suits(64, 64), reason="this processor has no AVX2: a library transforms"
)
METHODS = (
    "rfft2_into",
    "irfft2_into",
    "filter_real",
    "in_place",
    "fft2_inplace",
    "filter_complex",
    "dct2_inplace",
)

# every constraint that transforms slices
COMPUTE = """
import numpy, arraycon

def compute():
    rng = numpy.random.default_rng(0)
    obj = rng.normal(size=(3, 64, 60)).astype("float32")
    probe = rng.normal(size=(2, 64, 60)) + 1j * rng.normal(size=(2, 64, 60))
    probe = probe.astype("complex64")
    return {
        "kr_filter": arraycon.kr_filter(obj, radius=0.4),
        "one slice": arraycon.kr_filter(obj[0], radius=0.4),
        "kz_filter": arraycon.kz_filter(obj),
        "kr_thresh": arraycon.kr_thresh(obj),
        "probe_mask_k": arraycon.probe_mask_k(probe),
        "probe_mask_r": arraycon.probe_mask_r(probe, dx=0.2, wavelength=0.0251, z_steps=5),
    }
"""


def compute():
    made = {}
    exec(COMPUTE, made)
    return made["compute"]()


def assert_same(results, expected):
    assert set(results) == set(expected)
    for name, target in expected.items():
        assert relative_error(results[name], target) < FLOAT32, name


@pytest.fixture
def expected(monkeypatch):
    """What the library computes."""
    with monkeypatch.context() as patch:
        patch.setenv(slices.SWITCH, "library")
        return compute()


@pytest.fixture
def fresh():
    """Let the transforms be chosen again, in the test and after it."""
    slices._own.cache_clear()
    yield
    slices._own.cache_clear()


def said(caplog):
    """Lines of the log that are about the vector transforms."""
    return [line for line in caplog.messages if "the vector transforms cannot be used" in line]


@NEEDS_OWN
def test_own_transforms_and_library_agree(expected):
    assert slices.engine(*SUITED) is not LIBRARY
    assert not slices.why_library()
    assert_same(compute(), expected)


def test_the_library_on_request(monkeypatch):
    monkeypatch.setenv(slices.SWITCH, "library")
    assert slices.engine(*SUITED) is LIBRARY
    assert slices.why_library() == "ARRAYCON_FFT=library"
    monkeypatch.setenv(slices.SWITCH, "")
    assert (slices.engine(*SUITED) is LIBRARY) == (not transform.suits(*SUITED))


@pytest.mark.slow
def test_on_request_the_own_transforms_are_not_imported(tmp_path, expected):
    code = COMPUTE + (
        "import sys\n"
        "numpy.savez(sys.argv[1], **compute())\n"
        "sys.exit('arraycon.kernels.cpu.fft.transform' in sys.modules)\n"
    )
    environment = {**os.environ, "ARRAYCON_FFT": "library", "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-c", code, tmp_path / "results.npz"]
    processes.run(command, env=environment, check=True)
    with np.load(tmp_path / "results.npz") as results:
        assert_same(dict(results), expected)


@pytest.mark.parametrize("setting", ["own", "Library", "ducc0"])
def test_a_mistyped_setting_is_named(monkeypatch, setting):
    monkeypatch.setenv(slices.SWITCH, setting)
    with pytest.raises(ValueError, match=f"ARRAYCON_FFT: expected auto or library, got '{setting}"):
        arraycon.kr_filter(np.ones(SUITED))


@pytest.mark.usefixtures("fresh")
def test_own_transforms_that_cannot_be_imported(monkeypatch, caplog, tmp_path, expected):
    (tmp_path / "broken_transforms.py").write_text("raise AttributeError('no such intrinsic')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(slices, "_OWN", "broken_transforms")
    with caplog.at_level("INFO", "arraycon"):
        assert_same(compute(), expected)
        assert_same(compute(), expected)
    (line,) = said(caplog)
    assert "no such intrinsic" in line
    assert slices.engine(*SUITED) is LIBRARY
    assert slices.why_library() == "they cannot be used here"


@NEEDS_OWN
@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("broken", [METHODS, *((name,) for name in METHODS)], ids="+".join)
def test_own_transforms_that_fail_at_first_use(monkeypatch, caplog, broken, expected):
    def fail(*_, **__):
        raise TypeError("cannot lower this\nin many lines")

    for name in broken:
        monkeypatch.setattr(transform, name, fail)
    with caplog.at_level("INFO", "arraycon"):
        assert_same(compute(), expected)
        assert_same(compute(), expected)
    (line,) = said(caplog)
    assert line.endswith("TypeError: cannot lower this")


def own(**changed):
    """The vector transforms with some of them changed."""
    kept = {name: getattr(transform, name) for name in (*METHODS, "spectrum_buffer")}
    return SimpleNamespace(**(kept | changed))


def filter_in_place(engine, x, mask, spectrum):
    """Filter a slice in its own memory, or as the engine does that has no way for it."""
    work = engine.in_place(x, mask)
    if work is None:
        engine.filter_real(x, mask, spectrum)
        return
    memory = work.memory()
    work.forward_rows(x, 0, work.rows, memory)
    work.filter_columns(x, None, 0, work.columns, memory)
    work.backward_rows(x, 0, work.rows, memory)


def called(engine, name):
    """Run one transform on a slice; return what it has written."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=SUITED).astype("float32")
    z = (x + 1j * rng.normal(size=SUITED)).astype("complex64")
    mask = rng.random((SUITED[0] // 2 + 1, SUITED[1])).astype("float32")
    spectrum = engine.spectrum_buffer(*SUITED, x.dtype)
    half = SUITED[1] // 2 + 1
    if name == "rfft2_into":
        engine.rfft2_into(x, spectrum)
        return spectrum[:, :half]
    if name == "irfft2_into":
        spectrum[:, :half] = np.fft.rfft2(x)
        engine.irfft2_into(spectrum, x)
    elif name == "filter_real":
        engine.filter_real(x, np.ascontiguousarray(mask[:, :half]), spectrum)
    elif name == "in_place":
        filter_in_place(engine, x, np.ascontiguousarray(mask[:, :half]), spectrum)
    elif name == "dct2_inplace":
        engine.dct2_inplace(x)
    else:
        getattr(engine, name)(*((z, mask) if name == "filter_complex" else (z,)))
        return z
    return x


@NEEDS_OWN
@pytest.mark.parametrize("name", METHODS)
def test_every_transform_is_guarded(caplog, name):
    """Also one that writes before it fails: the trial is on a slice of its own."""
    calls = []

    def fail(*arrays, **_):
        calls.append(name)
        for array in arrays:
            array[...] = np.nan
        raise RuntimeError("half done")

    engine = guarded.Guarded(own(**{name: fail}))
    for _ in range(2):
        result = called(engine, name)
        assert relative_error(result, called(LIBRARY, name)) < FLOAT32
    assert calls == [name]
    assert len(said(caplog)) == 1


@NEEDS_OWN
def test_after_one_failure_nothing_else_is_tried(caplog):
    def fail(*_, **__):
        raise RuntimeError("no")

    def never(*_, **__):
        pytest.fail("another transform was tried")

    engine = guarded.Guarded(own(dct2_inplace=fail, fft2_inplace=never))
    for name in ("dct2_inplace", "fft2_inplace"):
        assert relative_error(called(engine, name), called(LIBRARY, name)) < FLOAT32
    assert len(said(caplog)) == 1


@pytest.mark.usefixtures("fresh")
def test_where_machine_code_is_kept_nowhere_a_library_transforms(monkeypatch, caplog):
    """Compiling the vector transforms would take longer than all else in each process."""
    monkeypatch.setattr(slices.compiled, "kept_nowhere", lambda: "no locator available")
    with caplog.at_level("INFO", "arraycon"):
        assert slices.engine(64, 64) is LIBRARY
        assert slices.engine(64, 64) is LIBRARY
    assert [line for line in caplog.messages if "kept" in line] == [
        "machine code cannot be kept here: a library transforms, not vector kernels"
    ]
