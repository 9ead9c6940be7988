"""What the tests of the command start from; each file says what of it."""

from __future__ import annotations

from pathlib import Path

import ptyrad_file
import pytest
import yaml
from command import PARAMS
from tiny_bench import TINY

from arraycon import bench, figure
from arraycon.bench import chart, measuring, ptyrad_model


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coarse figures, and nothing in the environment that changes what is printed."""
    monkeypatch.setattr(figure, "_DPI", 20)
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "ARRAYCON_BACKEND"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder, made the current one, with a reconstruction and a parameter file."""
    ptyrad_file.build(tmp_path / "model.hdf5")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """No PtyRAD even where there is one, no more rounds than asked for, a coarse chart."""
    monkeypatch.setattr(ptyrad_model, "_constraint_class", lambda: (None, "left out by the test"))
    monkeypatch.setattr(measuring, "_BUDGET", 0)
    monkeypatch.setattr(measuring, "_PAUSE", 0)
    monkeypatch.setattr(chart, "_DPI", 20)
    monkeypatch.setitem(bench.SIZES, "small", TINY)
    for name in ("COLUMNS", "FORCE_COLOR", "ARRAYCON_BACKEND", "ARRAYCON_THREADS"):
        monkeypatch.delenv(name, raising=False)
