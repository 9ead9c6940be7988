"""What importing the package, and clearing its caches, brings along: nothing heavy."""

from __future__ import annotations

import os
import sys

import processes
import pytest


def python(code):
    """Run code in a process of its own, with warnings as errors; return what it prints."""
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-c", code]
    done = processes.run(command, capture_output=True, text=True, env=environment, check=True)
    return done.stdout


def test_import_is_light():
    code = (
        "import sys, arraycon; "
        "heavy = {'numba', 'cupy', 'matplotlib', 'torch', 'jax', 'pydantic', 'h5py', 'yaml'}; "
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or None)"
    )
    python(code)


@pytest.mark.slow
def test_clearing_caches_imports_nothing():
    code = (
        "import sys, numpy, arraycon; arraycon.clear_caches(); "
        "arraycon.pos_recenter(numpy.ones((3, 2))); arraycon.clear_caches(); "
        "sys.exit(bool({'cupy', 'arraycon.kernels.gpu'} & set(sys.modules)))"
    )
    python(code)


def test_importing_the_models_imports_no_reader_and_no_plotter():
    code = (
        "import sys, arraycon.params, arraycon.params.files, arraycon.params.templates;"
        "print({'yaml', 'h5py', 'matplotlib', 'scipy', 'numba', 'cupy'} & set(sys.modules))"
    )
    assert python(code).strip() == "set()"
