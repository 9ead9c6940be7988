"""CONTRIBUTING's recipe for a new constraint, followed to the letter in a copy of the source."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import processes
import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"<!-- recipe: (\S+) -->\n```python\n(.*?)```", re.S)
PARAMETERS = """\
obj_rblur: null
obj_zblur: null
soft_threshold: {start_iter: 1, threshold: 0.25}
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Source tree with the new constraint, and nothing else changed."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("arraycon", "kernels", "docs"):
        without = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=without)
    shutil.copy(ROOT / "README.md", folder)
    blocks = BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert len(blocks) == 3
    for name, code in blocks:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        if "__all__" in text:  # "its name also in `__all__` there"
            text = text.replace("__all__ = [", '__all__ = ["soft_threshold", ', 1)
        path.write_text(f"{text}\n\n{code}", encoding="utf-8")
    (folder / "params.yaml").write_text(PARAMETERS, encoding="utf-8")
    return folder


def python(copy, *arguments):
    # the reference: compiling all kernels of the copy would take most of a minute
    environment = os.environ | {"PYTHONPATH": str(copy), "ARRAYCON_BACKEND": "agnostic"}
    command = [sys.executable, "-W", "ignore", *arguments]
    done = processes.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_apply(copy):
    phase = np.random.default_rng(0).normal(size=(1, 3, 8, 9))
    np.savez(copy / "in.npz", object_phase=phase, object_amplitude=np.ones_like(phase))
    options = ("--params", "params.yaml", "--out", "out.npz", "--iteration", "1")
    shown = python(copy, "-m", "arraycon", "apply", "in.npz", *options)
    assert "soft_threshold" in shown
    expected = np.sign(phase) * np.maximum(np.abs(phase) - 0.25, 0)
    np.testing.assert_allclose(np.load(copy / "out.npz")["object_phase"], expected, atol=1e-15)


def test_params(copy):
    shown = python(copy, "-m", "arraycon", "params", "check", "params.yaml")
    assert re.search(r"soft_threshold +active +every iteration +the file +threshold 0.25", shown)
    lines = [line.split()[0] for line in shown.splitlines() if line.strip()]
    assert lines.index("soft_threshold") == lines.index("objp_postiv") + 1
    schema = json.loads(python(copy, "-m", "arraycon", "params", "schema"))
    assert schema["$defs"]["SoftThreshold"]["properties"]["threshold"]["anyOf"][0]["minimum"] == 0
    assert "soft_threshold" in schema["properties"]
    template = python(copy, "-m", "arraycon", "params", "template", "--kind", "full")
    assert re.search(r"\n  threshold: 0.01 +# amount, rad; 0: none \[a number ≥ 0\]\n", template)


def test_function_schedule_warmup_and_bench(copy):
    code = """if True:
        import arraycon, numpy
        from arraycon import bench
        phase = numpy.array([-1.0, 0.5])
        assert arraycon.soft_threshold(phase, threshold=0.75).tolist() == [-0.25, 0]
        assert "soft_threshold" in arraycon.__all__
        assert arraycon.warmup()["soft_threshold"] > 0
        params = arraycon.ConstraintParams(soft_threshold={"start_iter": 2})
        assert params.soft_threshold.is_due(2)
        size = bench.Size("tiny", (1, 3, 10, 12), (2, 8, 8), (4, 5))
        done = bench.measure(bench.Case("soft_threshold", size), rounds=1, threads=1)
        print(sorted(done.absent.items()), done.floor)
    """
    shown = python(copy, "-c", code)
    assert "PtyRAD has no soft_threshold" in shown
    assert "nobody has written soft_threshold that way" in shown
    assert "copy" in shown


def test_tables(copy):
    shown = python(copy, "docs/make_tables.py")
    assert shown.splitlines() == ["README.md: written", "docs/constraints.md: written"]
    table = (copy / "README.md").read_text(encoding="utf-8")
    assert "| `soft_threshold` | | Shrink the object's phase towards zero | `threshold` |" in table
    assert "## `soft_threshold`" in (copy / "docs" / "constraints.md").read_text(encoding="utf-8")
