"""The doctor tells the truth about what is installed, and never fails itself."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import stat
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arraycon.cli import doctor


def fact(report: doctor.Report, name: str) -> doctor.Fact:
    (found,) = [f for f in (*report.libraries, *report.fast_paths) if f.name == name]
    return found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the libraries that take seconds to import."""
    present = doctor._present
    monkeypatch.setattr(doctor, "_present", lambda m: m not in ("torch", "jax") and present(m))
    monkeypatch.delenv("ARRAYCON_BACKEND", raising=False)


def test_this_installation() -> None:
    report = doctor.examine()
    assert report.versions["numpy"] == np.__version__
    assert str(report.versions["python"]).startswith(sys.version.split()[0])
    assert fact(report, "numpy").good is True
    for name in ("torch", "jax", "cupy"):
        installed = importlib.util.find_spec(name) is not None
        assert (fact(report, name).good is not None) == installed
    for name, module in (("compiled CPU kernels", "cpu"), ("CUDA kernels", "gpu")):
        there = importlib.util.find_spec(f"arraycon.kernels.{module}") is not None
        assert (fact(report, name).good is not None) == there


@pytest.mark.usefixtures("quick")
def test_version_of_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    report = doctor.examine()
    assert report.versions["numpy"] is None
    assert report.versions["cupy"] is None
    assert report.versions["arraycon"]


@pytest.mark.parametrize(
    ("cuda", "remedy"),
    [
        ((12, 4), 'pip install "arraycon[cuda12x]"'),
        ((13, 0), 'pip install "arraycon[cuda13x]"'),
        ((14, 1), 'pip install "arraycon[cuda13x]"'),
    ],
)
def test_cupy_for_the_driver(cuda: tuple[int, int], remedy: str) -> None:
    assert doctor.cupy_remedy(cuda) == remedy


def test_cupy_without_a_fitting_driver() -> None:
    assert "cuda12x" in doctor.cupy_remedy(None)
    assert "cuda13x" in doctor.cupy_remedy(None)
    assert "pip" not in doctor.cupy_remedy((11, 8))
    assert "11.8" in doctor.cupy_remedy((11, 8))


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo '| NVIDIA-SMI 550.1  Driver Version: 550.1  CUDA Version: 12.4 |'", (12, 4)),
        ("echo 'NVIDIA-SMI has failed'; exit 9", None),
    ],
)
def test_driver_by_nvidia_smi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, expected: Any
) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)

    def no_library(_: str) -> None:
        raise OSError("no such library")

    monkeypatch.setattr("ctypes.CDLL", no_library)
    monkeypatch.setattr("shutil.which", lambda _: str(command))
    assert doctor.cuda_version() == expected
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert doctor.cuda_version() is None


def cupy_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> doctor.Report:
    (tmp_path / "cupy").mkdir()
    (tmp_path / "cupy" / "__init__.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(doctor, "cuda_version", lambda: (12, 2))
    monkeypatch.setattr(doctor, "CUPY_PACKAGES", ())
    try:
        return doctor.examine()
    finally:
        sys.modules.pop("cupy", None)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("code", "detail", "remedy"),
    [
        (
            "raise ImportError('libcudart.so.13: cannot open\\nmore')",
            "import fails: libcudart.so.13: cannot open; the driver supports CUDA 12.2",
            'pip install "arraycon[cuda12x]"',
        ),
        ("raise RuntimeError", "import fails: RuntimeError", 'pip install "arraycon[cuda12x]"'),
        ("", "no GPU answers", ""),
    ],
)
def test_broken_cupy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, detail: str, remedy: str
) -> None:
    found = fact(cupy_stand_in(tmp_path, monkeypatch, code), "cupy")
    assert found.good is False
    assert detail in found.detail
    assert found.remedy == remedy


@pytest.mark.usefixtures("quick")
def test_gpu_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import numpy
asarray = numpy.asarray
class cuda:
    class runtime:
        getDeviceProperties = staticmethod(lambda i: {"name": b"Card X"})
        memGetInfo = staticmethod(lambda: (2**30, 4 * 2**30))
"""
    found = fact(cupy_stand_in(tmp_path, monkeypatch, code), "cupy")
    assert found.good is True
    assert "Card X, 1.0 of 4.0 GiB free; the driver supports CUDA 12.2" in found.detail


@pytest.mark.usefixtures("quick")
def test_two_cupys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cupy.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    version = doctor.version
    monkeypatch.setattr(doctor, "version", lambda n: "13" if n.startswith("cupy-") else version(n))
    found = fact(doctor.examine(), "cupy")
    assert found.good is False
    assert "overwrite each other" in found.detail


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("setting", ["agnostic", "fast"])
def test_forced_reference(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv("ARRAYCON_BACKEND", setting)
    report = doctor.examine()
    switch = fact(report, "fast paths")
    assert switch.good is False
    assert setting in switch.detail
    assert switch.remedy == "unset ARRAYCON_BACKEND"
    assert fact(report, "FFT on NumPy").good is False


@pytest.mark.usefixtures("quick")
def test_fft_without_ducc(monkeypatch: pytest.MonkeyPatch) -> None:
    present = doctor._present
    monkeypatch.setattr(doctor, "_present", lambda module: module != "ducc0" and present(module))
    found = fact(doctor.examine(), "FFT on NumPy")
    assert found.good is False
    assert "scipy.fft" in found.detail
    assert found.remedy == 'pip install "arraycon[fft]"'


@pytest.mark.usefixtures("quick")
def test_kernels_follow_the_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    present = doctor._present
    missing: set[str] = set()
    monkeypatch.setattr(
        doctor,
        "_present",
        lambda m: (
            m not in missing and (m.startswith("arraycon.kernels.") or m == "numba" or present(m))
        ),
    )
    monkeypatch.setitem(sys.modules, "numba", types.ModuleType("numba"))
    report = doctor.examine()
    assert fact(report, "compiled CPU kernels").good is True
    if fact(report, "cupy").good is not True:
        assert fact(report, "CUDA kernels").good is False
        assert fact(report, "CUDA kernels").remedy == fact(report, "cupy").remedy
    missing.add("numba")
    found = fact(doctor.examine(), "compiled CPU kernels")
    assert (found.good, found.remedy) == (False, "pip install numba")
    missing.update(("arraycon.kernels.cpu", "arraycon.kernels.gpu"))
    report = doctor.examine()
    assert fact(report, "compiled CPU kernels").good is None
    assert fact(report, "CUDA kernels").good is None


@pytest.mark.usefixtures("quick")
def test_library_with_wrong_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "objp_postiv", lambda x: x)
    assert "wrong numbers" in fact(doctor.examine(), "numpy").detail


@pytest.mark.usefixtures("quick")
def test_module_without_a_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", types.ModuleType("cupy"))  # find_spec raises then
    assert fact(doctor.examine(), "cupy").good is None


@pytest.mark.usefixtures("quick")
def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARRAYCON_THREADS", "3")
    found = fact(doctor.examine(), "threads")
    assert found.good
    assert "3 of" in found.detail
    monkeypatch.setenv("ARRAYCON_THREADS", "many")
    found = fact(doctor.examine(), "threads")
    assert found.good is False
    assert "expected an integer ≥ 1, got 'many'" in found.detail


@pytest.mark.usefixtures("quick")
def test_a_numba_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    present = doctor._present
    monkeypatch.setattr(doctor, "_present", lambda module: module == "numba" or present(module))
    monkeypatch.setitem(sys.modules, "numba", None)
    found = fact(doctor.examine(), "compiled CPU kernels")
    assert found.good is False
    assert "Numba cannot be imported" in found.detail
