"""CUDA sources: NVRTC compiles them for every architecture, and launchers and packages have them.

The compiler is NVIDIA's own, from the wheel of the extra ``dev``; it needs neither a driver nor a
GPU. What the kernels compute is in `test_gpu_on_cpu` and `test_gpu`.
"""

from __future__ import annotations

import ast
import fnmatch
import math
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nvrtc
import pytest
from on_cpu import TESTS, cuda_on_cpu

from arraycon.kernels.gpu.tools import source

KERNEL = cuda_on_cpu.KERNEL
TOOLS = Path(source.__file__).parent
LAUNCHERS = sorted([*TOOLS.glob("*.py"), *TOOLS.parent.glob("*.py")])
VARIANTS = [(dtype, index) for dtype in ("float32", "float64") for index in ("int", "long long")]
ARCHITECTURES = (75, 80, 90, 100)
SCALARS = ("long long", "double", "real")
NEEDS_NVRTC = pytest.mark.skipif(
    nvrtc.library() is None, reason=f"{nvrtc.WHEEL} is not installed (extra: dev)"
)


@NEEDS_NVRTC
@pytest.mark.quick(
    when=lambda architecture, dtype, index, **_: (
        (architecture, dtype, index) == (90, "float32", "int")
    )
)
@pytest.mark.whole(
    when=lambda architecture, dtype, index, family: (
        ARCHITECTURES[
            (source.families().index(family) + VARIANTS.index((dtype, index))) % len(ARCHITECTURES)
        ]
        == architecture
        or (architecture, dtype, index) == (90, "float32", "int")
    )
)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("dtype", "index"), VARIANTS)
@pytest.mark.parametrize("family", source.families())
def test_sources_compile(family: str, dtype: str, index: str, architecture: int) -> None:
    program = source.program(family, dtype, index)
    code, log = nvrtc.compiled(program, f"compute_{architecture}", source.OPTIONS)
    assert not log
    # the kernels that the compiler sees are those that the run on the CPU finds
    assert sorted(re.findall(rb"\.entry (\w+)\(", code)) == sorted(
        name.encode() for name in KERNEL.findall(program)
    )


@NEEDS_NVRTC
@pytest.mark.slow
@pytest.mark.whole(when=lambda dtype, **_: dtype == "float64")  # which takes more of both
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("family", source.families())
def test_sources_assemble(family: str, dtype: str) -> None:
    """Too much shared memory, or too many registers for the threads, is found only here."""
    program = source.program(family, dtype, "long long")
    code, log = nvrtc.compiled(program, "sm_90", source.OPTIONS)
    assert code.startswith(b"\x7fELF")
    assert not log


def slices(nz: int) -> dict[str, Any]:
    cosines = (str(math.cos(2 * math.pi * j / nz)) for j in range(nz))
    return {"NZ": nz, "COSINES": f"{{{', '.join(cosines)}}}"}


IN_REGISTERS = [
    *[("circulant", slices(nz)) for nz in (1, 20, 40, 64)],
    ("short_blur", {"REACH": 2, "PARTS": 1, "PIXELS": 4}),
    ("short_blur", {"REACH": 2, "PARTS": 2, "PIXELS": 21}),
    ("short_blur", {"REACH": 8, "PARTS": 1, "PIXELS": 7}),
    *[("variation", {"PARTS": parts}) for parts in (1, 2)],
    *[("transfer", {"MIRRORED": axes}) for axes in (0, 1, 3, 4, 7)],
]


@NEEDS_NVRTC
@pytest.mark.slow
@pytest.mark.whole(when=lambda index, **_: index == "long long")  # which takes more registers
@pytest.mark.parametrize("index", ["int", "long long"])
@pytest.mark.parametrize(("family", "defines"), IN_REGISTERS, ids=str)
def test_windows_stay_in_registers(family: str, defines: dict[str, Any], index: str) -> None:
    """Local memory would cost more than all that is gained: no stack, and nothing spilled."""
    program = source.program(family, "float32", index, tuple(defines.items()))
    _, log = nvrtc.compiled(program, "sm_90", (*source.OPTIONS, "--ptxas-options=-v"))
    kernels = KERNEL.findall(program)
    frames = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores", log)
    assert len(frames) == len(kernels)
    assert set(frames) == {("0", "0")}


@NEEDS_NVRTC
def test_errors_and_warnings_are_shown() -> None:
    with pytest.raises(nvrtc.CompileError, match=r'kernels.cu\(1\).*"undeclared" is undefined'):
        nvrtc.compiled("__global__ void f(int *x) { *x = undeclared; }", "compute_90")
    _, log = nvrtc.compiled("__global__ void f(int *x) { int unused; }", "compute_90")
    assert "unused" in log
    excess = "__global__ void f(int *x) { __shared__ int y[20000]; y[*x] = 1; *x = y[x[1]]; }"
    nvrtc.compiled(excess, "compute_90")
    with pytest.raises(nvrtc.CompileError, match="too much shared data"):
        nvrtc.compiled(excess, "sm_90")


def test_families_have_a_source_and_a_module() -> None:
    assert len(source.families()) == len(set(source.families())) >= 10
    for family in source.families():
        folder = next(path for path in (TOOLS, TOOLS.parent) if (path / f"{family}.cu").exists())
        assert (folder / f"{family}.py").exists()
        names = KERNEL.findall((folder / f"{family}.cu").read_text(encoding="utf-8"))
        assert len(names) == len(set(names)) > 0


@pytest.mark.parametrize("path", LAUNCHERS, ids=lambda path: path.stem)
def test_launchers_name_kernels_that_exist(path: Path) -> None:
    for family, kernel in _launches(path):
        assert family in source.families()
        found = KERNEL.findall(source.program(family, "float32"))
        assert kernel is None or kernel in found, f"{family}.cu has no {kernel}"


@pytest.mark.parametrize("family", source.families())
def test_parameters_are_of_types_that_launches_know(family: str) -> None:
    program = source.program(family, "float32")
    for kernel in KERNEL.findall(program):
        for parameter in source.parameters(family, kernel):
            assert parameter.endswith(("*", "*__restrict__")) or parameter in SCALARS
    with pytest.raises(KeyError, match="no kernel missing"):
        source.parameters(family, "missing")


@NEEDS_NVRTC
def test_messages_name_the_file_and_its_line() -> None:
    text = (TOOLS.parent / "clamp.cu").read_text(encoding="utf-8")
    program = source.program("clamp", "float32")
    assert f'#line 1 "clamp.cu"\n{text}' in program
    with pytest.raises(nvrtc.CompileError, match=r"clamp.cu\(3\).*undeclared"):
        nvrtc.compiled(
            program.replace(text, "\n\n__global__ void f(int *x) { *x = undeclared; }"),
            "compute_90",
        )


def _launches(path: Path) -> Iterator[tuple[str, str | None]]:
    """Families and kernels in the calls of ``launch``, as far as they are written out there."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "launch":
            family, kernel = (getattr(argument, "value", None) for argument in node.args[:2])
            if isinstance(family, str):
                yield family, kernel if isinstance(kernel, str) else None


def test_wheels_hold_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    setuptools = pytest.importorskip("setuptools", reason="setuptools is not installed")
    settings: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **given: settings.update(given))
    monkeypatch.chdir(TESTS.parent)
    runpy.run_path("setup.py")
    sources = [path for path in TOOLS.parent.rglob("*.cu*") if path.suffix in (".cu", ".cuh")]
    assert len(sources) > 10
    for path in sources:
        package = "arraycon.kernels.gpu" + (".tools" if path.parent == TOOLS else "")
        assert package in settings["packages"]
        patterns = settings["package_data"][package]
        assert any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns), path.name
