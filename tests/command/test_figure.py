"""The before/after figure: what it holds for which state, and how it is saved."""

from __future__ import annotations

import os
import struct
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import processes
import ptyrad_file
import pytest

import arraycon
from arraycon import figure
from arraycon.figure.probes import hue_wheel, phase_hue, round_length, scale_bar
from arraycon.io import atomic
from arraycon.state import State

CALIBRATION = {"dx": 0.25, "slice_thickness": 12.0, "wavelength": 0.025}


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figure, "_DPI", 25)  # rendering is what takes the time


def state(*names: str, **changed: Any) -> State:
    """Return a state with the arrays named, all of them by default."""
    values = ptyrad_file.arrays()
    chosen = {name: values[name] for name in names or values}
    return State(**(CALIBRATION | chosen | changed))


def drawn(before: State, after: State | None = None, **options: Any) -> Any:
    first = figure.snapshot(before)
    second = figure.snapshot(after or before, row=first.row)
    return figure.draw(first, second, **options)


def texts(made: Any) -> list[str]:
    from matplotlib.text import Text

    return [item.get_text() for item in made.findobj(Text) if item.get_text()]


def maps(made: Any) -> list[Any]:
    """Return the axes that are maps with a colour bar, row by row."""
    return [axes for axes in made.axes if axes.images and axes.get_xlabel()]


PHASE, AMPLITUDE, SECTION = "phase summed", "amplitude, mean", "phase per slice"
PROBE, PROFILE = "probe modes", "depth profile"


@pytest.mark.slow
@pytest.mark.quick(when=lambda parts, **_: len(parts) == 1)
@pytest.mark.parametrize(
    ("shown", "parts"),
    [
        (state(), {PHASE, AMPLITUDE, SECTION, PROBE, PROFILE}),
        (state("probe"), {PROBE}),
        (state("object_phase"), {PHASE, SECTION, PROFILE}),
        (state("object_amplitude"), {AMPLITUDE}),
        (state("object_amplitude", "probe"), {AMPLITUDE, PROBE}),
        (state(dx=None, slice_thickness=None), {PHASE, AMPLITUDE, SECTION, PROBE, PROFILE}),
        (
            State(object=np.exp(1j * ptyrad_file.arrays()["object_phase"])),
            {PHASE, AMPLITUDE, SECTION, PROFILE},
        ),
        (state("object_phase", object_phase=np.ones((1, 20, 18))), {PHASE, PROFILE}),
        (state("object_phase", object_phase=np.ones((2, 3, 5, 40, 9))), {PHASE, SECTION, PROFILE}),
        (state("object_phase", object_phase=np.zeros((300, 1, 2))), {PHASE, SECTION, PROFILE}),
        (state("probe", probe=np.ones((1, 8, 8), complex)), {PROBE}),
        (state("probe", probe=np.zeros((9, 8, 6), complex)), {PROBE}),
    ],
)
def test_rows(tmp_path: Path, shown: State, parts: set[str]) -> None:
    made = drawn(shown, title="a title")
    found = texts(made)
    every = (PHASE, AMPLITUDE, SECTION, PROBE, PROFILE)
    assert {part for part in every if any(text.startswith(part) for text in found)} == parts
    assert "a title" in found
    figure.save(made, tmp_path / "a.png")  # warnings, of layout for example, are errors
    size = struct.unpack(">II", (tmp_path / "a.png").read_bytes()[16:24])
    assert size[0] == pytest.approx(12.5 * 25, abs=1)


def test_colours_and_differences() -> None:
    before, after = state(), state()
    after.object_phase[...] *= 0.5
    after.object_amplitude[...] += 0.1
    axes = maps(drawn(before, after))
    assert len(axes) == 9
    for row in (axes[:3], axes[3:6], axes[6:]):
        one, two, change = (a.images[0] for a in row)
        assert one.get_clim() == two.get_clim()
        low, high = change.get_clim()
        assert low == -high
        assert high > 0
        np.testing.assert_allclose(
            change.get_array(), two.get_array() - one.get_array(), atol=1e-12
        )
        assert [a.get_title() for a in row] == ["before", "after", "after − before"]
        assert row[0].images[0].colorbar is not None


def test_phase_is_a_sum_and_amplitude_a_mean() -> None:
    phase = np.arange(2 * 3 * 4 * 5, dtype=np.float64).reshape(2, 3, 4, 5)
    seen = figure.snapshot(state("object_phase", object_phase=phase))
    np.testing.assert_allclose(seen.phase, phase.mean(axis=0).sum(axis=0))
    np.testing.assert_allclose(seen.profile, phase.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(seen.section, phase.mean(axis=0)[:, seen.row])
    seen = figure.snapshot(state("object_amplitude", object_amplitude=phase))
    np.testing.assert_allclose(seen.amplitude, phase.mean(axis=(0, 1)))


def test_complex_object_is_split() -> None:
    phase, amplitude = np.full((3, 4, 5), 0.3), np.full((3, 4, 5), 0.9)
    seen = figure.snapshot(State(object=amplitude * np.exp(1j * phase)))
    np.testing.assert_allclose(seen.phase, 0.9)
    np.testing.assert_allclose(seen.amplitude, 0.9)


def test_row_of_the_section() -> None:
    phase = np.zeros((2, 40, 6))
    phase[:, 1], phase[:, 27] = 9.0, 1.0  # the rim does not count
    assert figure.snapshot(state("object_phase", object_phase=phase)).row == 27
    assert figure.snapshot(state("object_phase", object_phase=phase), row=3).row == 3


@pytest.mark.parametrize(("dx", "unit", "width"), [(0.25, "Å", 4.5), (None, "px", 18)])
def test_axes_have_units(dx: float | None, unit: str, width: float) -> None:
    axes = maps(drawn(state(dx=dx)))
    assert axes[0].get_xlabel() == f"x ({unit})"
    assert axes[0].get_ylabel() == f"y ({unit})"
    assert axes[0].get_xlim() == (0, width)


@pytest.mark.slow
@pytest.mark.parametrize(("thickness", "unit", "depth"), [(12.0, "Å", 48), (None, "slice", 4)])
def test_depth_has_units(thickness: float | None, unit: str, depth: float) -> None:
    axes = maps(drawn(state(slice_thickness=thickness)))
    assert axes[6].get_ylabel() == f"z ({unit})"
    assert axes[6].get_ylim() == (depth, 0)  # the beam goes down


@pytest.mark.slow
def test_depth_is_stretched_only_where_it_must_be() -> None:
    shape = (1, 10, 20, 40)
    phase = np.random.default_rng(0).normal(size=shape)
    even = drawn(state("object_phase", object_phase=phase, dx=1.0, slice_thickness=2.0))
    assert not any("drawn ×" in text for text in texts(even))
    flat = drawn(state("object_phase", object_phase=phase, dx=1.0, slice_thickness=0.2))
    assert any("drawn × 8" in text for text in texts(flat))


def test_powers() -> None:
    probe = np.ones((7, 4, 4), np.complex64) * np.sqrt(np.arange(1, 8))[:, None, None]
    seen = figure.snapshot(state("probe", probe=probe.astype(np.complex64)))
    np.testing.assert_allclose(seen.powers, np.arange(1, 8) / 28, rtol=1e-6)
    assert len(seen.modes) == 6
    found = texts(drawn(state("probe", probe=probe.astype(np.complex64))))
    assert any("first 6 of 7" in text for text in found)
    assert "3.57 %" in found
    assert "25 %" not in found  # the seventh


def test_phase_hue() -> None:
    mode = np.array([[2.0, -2.0], [1j, 0]])
    rgb = phase_hue(mode)
    np.testing.assert_allclose(rgb[0, 0], [0, 1, 1], atol=0.05)  # 0: cyan
    np.testing.assert_allclose(rgb[0, 1], [1, 0, 0], atol=0.1)  # π: red
    assert rgb[1, 0].max() == pytest.approx(0.5, abs=0.01)  # half the amplitude
    np.testing.assert_array_equal(rgb[1, 1], 0)


def test_snapshot_keeps_no_array_of_the_state() -> None:
    shown = state()
    seen = figure.snapshot(shown)
    held = [np.array(getattr(seen, field.name)) for field in fields(seen)]
    for name in ("object_phase", "object_amplitude", "probe"):
        getattr(shown, name)[...] = 7
    for field, before in zip(fields(seen), held, strict=True):
        np.testing.assert_array_equal(np.array(getattr(seen, field.name)), before)


def test_title_is_literal(tmp_path: Path) -> None:
    made = drawn(state("probe"), title=r"a $\frac{ [red]b_c 電子 %s {0}.npz")
    assert r"a $\frac{ [red]b_c 電子 %s {0}.npz" in texts(made)
    figure.save(made, tmp_path / "a.png")


def test_nothing_to_draw() -> None:
    empty = figure.snapshot(State(tilts=np.zeros((1, 2))))
    with pytest.raises(ValueError, match="neither an object nor a probe"):
        figure.draw(empty, empty)


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg", ".PNG"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    figure.check_figure(path, state("probe"))
    figure.save(drawn(state("probe")), path)
    starts = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}
    assert path.read_bytes().startswith(starts[suffix.lower()])
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.xyz", "unknown image format; expected one of"),
        ("a", "unknown image format"),
        ("no/a.png", "does not exist"),
        ("link.png", "same file"),
    ],
)
def test_impossible_figures(tmp_path: Path, name: str, message: str) -> None:
    keep = tmp_path / "model.hdf5"
    keep.write_text("x")
    (tmp_path / "link.png").symlink_to(keep)
    with pytest.raises(atomic.OutputError, match=message):
        figure.check_figure(tmp_path / name, state(), keep=(tmp_path / "absent", keep))


def test_check_wants_something_to_draw(tmp_path: Path) -> None:
    with pytest.raises(atomic.OutputError, match="neither an object nor a probe"):
        figure.check_figure(tmp_path / "a.png", State(tilts=np.zeros((1, 2))))


def test_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_text("old")
    made = drawn(state("probe"))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(atomic.WriteError, match="No space left on device"):
        figure.save(made, path)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_saved_waits_for_the_block(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    made = drawn(state("probe"))
    with pytest.raises(RuntimeError, match="later"), figure.saved(made, path):  # noqa: PT012
        assert not path.exists()
        raise RuntimeError("later")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_no_pyplot_and_no_settings_are_touched() -> None:
    code = """
import sys, numpy as np, matplotlib
def settings():
    # asking for the backend would choose one
    return {key: matplotlib.rcParams[key] for key in matplotlib.rcParams if key != "backend"}
before = settings()
from arraycon import figure, State
seen = figure.snapshot(State(probe=np.ones((1, 4, 4), complex)))
figure.draw(seen, seen)
assert "matplotlib.pyplot" not in sys.modules
assert settings() == before
"""
    path = os.pathsep.join([str(Path(arraycon.__file__).parents[1]), *sys.path])
    processes.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": path})


@pytest.mark.parametrize(
    ("most", "length"),
    [(1, 1), (1.99, 1), (2, 2), (4.9, 2), (5, 5), (0.3, 0.2), (17, 10), (999, 500)],
)
def test_scale_bars_have_round_lengths(most, length) -> None:
    assert round_length(most) == pytest.approx(length)


@pytest.mark.parametrize(("dx", "text", "pixels"), [(0.2, "2 Å", 10), (None, "10 px", 10)])
def test_a_scale_bar_is_as_long_as_it_says(dx, text, pixels) -> None:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    axes.imshow(np.zeros((48, 48)))
    scale_bar(axes, 48, dx)
    (line,) = axes.lines
    assert line.get_xdata()[1] - line.get_xdata()[0] == pytest.approx(pixels)
    assert axes.texts[0].get_text() == text


def test_the_wheel_has_the_hues_of_the_modes() -> None:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    hue_wheel(axes)
    image = axes.child_axes[0].images[0].get_array()
    # right of the middle the phase is 0, above it π/2
    np.testing.assert_allclose(image[32, -1], phase_hue(np.array([[1.0 + 0j]]))[0, 0], atol=1e-12)
    np.testing.assert_allclose(image[0, 32], phase_hue(np.array([[1j]]))[0, 0], atol=1e-12)
