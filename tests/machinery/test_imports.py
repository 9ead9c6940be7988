"""What importing the package, and clearing its caches, brings along: nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys


def test_import_is_light():
    code = (
        "import sys, arraycon; "
        "heavy = {'numba', 'cupy', 'matplotlib', 'torch', 'jax', 'pydantic', 'h5py', 'yaml'}; "
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or None)"
    )
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr


def test_clearing_caches_imports_nothing():
    code = (
        "import sys, numpy, arraycon; arraycon.clear_caches(); "
        "arraycon.pos_recenter(numpy.ones((3, 2))); arraycon.clear_caches(); "
        "sys.exit(bool({'cupy', 'arraycon.kernels.gpu'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr


def test_importing_the_models_imports_no_reader_and_no_plotter():
    code = (
        "import sys, arraycon.params, arraycon.params.files, arraycon.params.templates;"
        "print({'yaml', 'h5py', 'matplotlib', 'scipy', 'numba', 'cupy'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
