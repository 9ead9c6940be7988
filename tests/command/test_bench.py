"""The benchmark's own arithmetic and structure, at tiny sizes; no timing decides anything."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from typing import Any

import numpy as np
import pytest
from tiny_bench import TINY, WITHOUT_PTYRAD, contender, made, printed, results, ticking

from arraycon import bench
from arraycon.bench import (
    Case,
    agreement,
    cases,
    floors,
    machine,
    measuring,
    peers,
    places,
    plain,
    ptyrad_model,
    reporting,
)  # fmt: skip
from arraycon.bench.floors import cpu
from arraycon.bench.measuring import Spread

pytestmark = pytest.mark.usefixtures("tiny")


EVERY_FORM = pytest.mark.parametrize(
    ("name", "form"),
    [(name, form) for form in bench.FORMS for name in bench.names_for(form)],
)


@pytest.mark.quick(when=lambda dtype, form, **_: (dtype, form) == ("float32", "parts"))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@EVERY_FORM
def test_every_contender_agrees(name: str, form: str, dtype: str) -> None:
    case = Case(name, TINY, dtype, form)
    done = bench.measure(case, rounds=2, threads=1, names=WITHOUT_PTYRAD)
    assert set(done.seconds) == set(WITHOUT_PTYRAD)
    assert set(done.differences) == {peers.AGNOSTIC, peers.PLAIN}
    assert max(done.differences.values()) < {"float32": 2e-5, "float64": 1e-10}[dtype]
    assert done.change > 1e-4  # otherwise nothing was timed
    assert done.rounds == 2
    assert done.allocated > 0
    assert all(s.p25 <= s.median <= s.p75 for s in done.seconds.values())


@EVERY_FORM
def test_inputs_and_floors(name: str, form: str) -> None:
    case = Case(name, TINY, form=form)
    one, two = case.fields(), case.fields()
    for field in case.arrays:
        assert one[field] is not two[field]
        np.testing.assert_array_equal(one[field], two[field])
        assert np.all(np.isfinite(one[field]))
        assert not np.any((one[field] != 0) & (np.abs(one[field]) < 1e-30))
    assert set(case.writes) <= set(case.arrays)
    assert case.unit_bytes == one[case.unit].nbytes
    kind, floor = floors.floor(case, one, places.cpu())
    floor()
    assert kind == "copy" if form == "complex" else kind
    for field in case.arrays:  # a floor works on buffers of its own
        np.testing.assert_array_equal(one[field], two[field])


def test_complex_objects_have_the_values_of_the_parts() -> None:
    case = Case("obj_z_recenter", TINY, form="complex")
    assert case.arrays == case.writes == ("object", "probe")
    obj, parts = case.fields()["object"], case.in_parts.fields()
    assert obj.dtype == np.complex64
    np.testing.assert_allclose(np.abs(obj), parts["object_amplitude"], rtol=1e-6)
    np.testing.assert_allclose(np.angle(obj), parts["object_phase"], atol=1e-6)
    assert case.unit_bytes == 2 * case.in_parts.unit_bytes
    # also where the constraint takes one of them only
    assert Case("obja_thresh", TINY, form="complex").arrays == ("object",)
    assert set(bench.names_for("parts")) == set(bench.NAMES)
    untouched = set(bench.NAMES) - set(bench.names_for("complex"))
    assert untouched == {
        name for name in bench.NAMES
        if not {"object_amplitude", "object_phase"} & set(Case(name, TINY).arrays)
    }  # fmt: skip


def test_the_floor_of_a_complex_object_is_its_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    copied = []
    monkeypatch.setattr(cpu, "_copy", lambda array: lambda: copied.append(array))
    case = Case("kz_filter", TINY, form="complex")
    fields = case.fields()
    kind, floor = floors.floor(case, fields, places.cpu())
    floor()
    assert kind == "copy"
    assert len(copied) == 1
    assert copied[0] is fields["object"]


def test_the_plain_way_with_a_complex_object() -> None:
    case = Case("obja_thresh", TINY, "float64", "complex")
    fields, own = case.fields(), case.fields()
    plain.ports("cpu", "complex")[case.name](fields, **case.parameters)
    modulus = np.clip(np.abs(own["object"]), *case.parameters["thresh"])
    expected = own["object"] / np.abs(own["object"]) * modulus
    np.testing.assert_allclose(fields["object"], expected, rtol=1e-13)


@pytest.mark.parametrize("engine", [cpu._Scipy, pytest.param(cpu._Ducc, id="_Ducc")])
def test_floor_transforms_are_pairs(engine: type, monkeypatch: pytest.MonkeyPatch) -> None:
    if engine is cpu._Ducc:
        pytest.importorskip("ducc0")
    calls = []

    class Spy(engine):  # type: ignore[misc, valid-type]
        def __getattribute__(self, attribute: str) -> Any:
            if not attribute.startswith("_"):
                calls.append(attribute)
            return super().__getattribute__(attribute)

    monkeypatch.setattr(cpu, "_engine", Spy)
    for name, expected in (
        ("kr_filter", ["real_forward", "real_inverse"] * 2),
        ("kr_thresh", ["cosine"] * 4),
        ("obj_gaussian", ["cosine"] * 4),
        ("obj_bandpass", ["real_forward", "real_inverse"] * 2),
        ("obj_wedge", ["real_forward", "real_inverse"] * 2),
        ("grid_notch", ["real_forward", "real_inverse"]),  # of the phase alone
        ("probe_mask_k", ["forward", "inverse"]),
        ("obj_z_recenter", ["forward", "inverse"] * 2),
    ):
        case = Case(name, TINY)
        _, floor = floors.floor(case, case.fields(), places.cpu())
        calls.clear()
        floor()
        assert calls == expected


def test_recentring_really_shifts() -> None:
    case = Case("obj_z_recenter", TINY)
    plain_fields, before = case.fields(), case.fields()
    plain.ports("cpu")[case.name](plain_fields, **case.parameters)
    mass = [np.maximum(f["object_phase"], 0).mean(axis=(0, 2, 3)) for f in (before, plain_fields)]
    centres = [np.sum(np.arange(4) * m) / m.sum() for m in mass]
    assert centres[0] < 1.4  # 1.5 is the middle
    assert abs(centres[1] - 1.5) < abs(centres[0] - 1.5)


def test_every_constraint_is_a_case() -> None:
    assert set(bench.NAMES) == set(plain.ports("cpu"))
    assert set(peers.UNEQUAL) <= set(bench.NAMES)
    for name in bench.NAMES:
        assert Case(name, TINY).constraints.due(1) == (name,)


@pytest.mark.parametrize(("name", "dtype"), [("kz", "float32"), ("kz_filter", "float16")])
def test_impossible_cases(name: str, dtype: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Case(name, TINY, dtype)


@pytest.mark.parametrize(("name", "form"), [("kz_filter", "polar"), ("pos_recenter", "complex")])
def test_impossible_forms(name: str, form: str) -> None:
    with pytest.raises(ValueError, match="form: expected parts"):
        Case(name, TINY, form=form)


def test_turns_and_restoring() -> None:
    log: list[str] = []
    ticks = itertools.count()
    times = measuring.alternate(
        [contender(name, log) for name in "abc"],
        3,
        seconds=ticking(lambda: float(next(ticks))),
        pause=0,
    )
    order = [entry.removeprefix("run ") for entry in log if entry.startswith("run")]
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"  # the first round warms up
    assert log[::2] == [f"restore {name}" for name in order]
    assert times == {name: [1.0] * 3 for name in "abc"}


def test_quick_ones_get_more_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_BUDGET", 10)
    ticks = itertools.count()
    one = [contender("a")]
    assert (
        len(measuring.alternate(one, 4, seconds=ticking(lambda: next(ticks)), pause=0)["a"]) == 10
    )
    assert (
        len(measuring.alternate(one, 4, seconds=ticking(lambda: next(ticks) / 99), pause=0)["a"])
        == 40
    )
    assert (
        len(measuring.alternate(one, 20, seconds=ticking(lambda: next(ticks)), pause=0)["a"]) == 20
    )


def test_ratios_are_formed_round_by_round() -> None:
    # the machine becomes ten times slower: ratios of the rounds do not notice
    times = {"fast": [1.0, 10.0, 10.0], "plain": [2.0, 20.0, 40.0], "floor": [0.5, 5.0, 5.0]}
    found = measuring.ratios(times)
    assert found["plain"] == Spread(2.0, 2.0, 3.0)
    assert found["floor"] == Spread(2.0, 2.0, 2.0)
    assert "fast" not in found


def test_means() -> None:
    assert measuring.geometric_mean([2, 8]) == pytest.approx(4)
    assert math.isnan(measuring.geometric_mean([]))
    done = results(
        made("kr_filter", {"PtyRAD": 2, "floor": 1}), made("kz_filter", {"PtyRAD": 8, "plain": 3})
    )
    means = reporting.geometric_means(done)
    assert means == pytest.approx({"PtyRAD": 4, "plain": 3, "floor": 1})


def test_difference() -> None:
    rng = np.random.default_rng(0)
    probe = rng.normal(size=(2, 4, 4)) + 1j * rng.normal(size=(2, 4, 4))
    turned = probe * np.array([1j, -1])[:, None, None]
    assert agreement.difference({"probe": probe}, {"probe": turned}) > 1
    assert agreement.difference({"probe": probe}, {"probe": turned}, phasors=True) < 1e-15
    one, other = {"a": np.ones(4), "b": np.full(4, 2.0)}, {"a": np.ones(4), "b": np.full(4, 2.2)}
    assert agreement.difference(one, other) == pytest.approx(0.1)
    zero = {"a": np.zeros(3)}
    assert agreement.difference(zero, zero) == 0
    assert agreement.difference(zero, {"a": np.ones(3)}) == math.inf
    assert math.isnan(agreement.difference({"a": np.ones(3)}, {"a": np.full(3, np.nan)}))


def test_difference_goes_through_large_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "_CHUNK", 3)
    a = np.arange(1.0, 9.0)
    expected = np.linalg.norm(0.5 * a) / np.linalg.norm(a)
    assert agreement.difference({"a": a}, {"a": 1.5 * a}) == pytest.approx(expected)


def test_a_failing_peer() -> None:
    def fail() -> None:
        raise RuntimeError("no such operator")

    case = Case("kr_filter", TINY)
    (fast,) = peers.gather(case, threads=1, names=(peers.FAST,)).contenders
    broken = dataclasses.replace(fast, name=peers.PTYRAD, run=fail)
    agreed = agreement.compare(case, [broken, fast])
    assert agreed.contenders == (fast,)
    assert "no such operator" in agreed.absent[peers.PTYRAD]
    with pytest.raises(RuntimeError, match="no such operator"):
        agreement.compare(case, [fast, dataclasses.replace(broken, name=peers.PLAIN)])


def test_without_the_fast_path() -> None:
    with pytest.raises(ValueError, match="fast"):
        bench.measure(Case("kr_filter", TINY), names=(peers.PLAIN,))


def test_absence_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    single = peers.gather(Case("kr_filter", TINY), threads=1)
    assert single.absent == {peers.PTYRAD: "left out by the test"}
    double = peers.gather(Case("kr_filter", TINY, "float64"), threads=1)
    assert "float32" in double.absent[peers.PTYRAD]
    monkeypatch.undo()
    monkeypatch.setattr(ptyrad_model.importlib.util, "find_spec", lambda _: None)
    ptyrad_model._constraint_class.cache_clear()
    try:
        assert ptyrad_model.unavailable() == "ptyrad is not installed"
        assert ptyrad_model.versions() == {}
    finally:
        ptyrad_model._constraint_class.cache_clear()


@EVERY_FORM
def test_stand_in_model(name: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A constraint in PtyRAD's place sees the inputs, and what it changes is the result.

    It has amplitude and phase of its own also where the others have a complex object.
    """
    pytest.importorskip("torch")
    seen: dict[str, Any] = {}

    class Combined:
        def __init__(self, blocks: dict[str, Any], device: str) -> None:
            seen.update(blocks=blocks, device=device)

        def __call__(self, model: Any, niter: int) -> None:
            seen.update(model=model, niter=niter)
            for attribute in ptyrad_model._PARAMETERS.values():
                if hasattr(model, attribute):
                    getattr(model, attribute).mul_(2)

    monkeypatch.setattr(ptyrad_model, "_constraint_class", lambda: (Combined, ""))
    case = Case(name, TINY, form=form)
    inputs = case.in_parts.fields()
    changed = {field: 2 * inputs[field] for field in case.in_parts.writes}
    if form == "complex":
        parts = {**case.parts(), **changed}
        wave = parts["object_amplitude"] * np.exp(1j * parts["object_phase"])
        changed = {"object": wave} | {field: changed[field] for field in {"probe"} & set(changed)}
    (one,) = peers.gather(case, threads=1, names=(peers.PTYRAD,)).contenders
    for _ in range(2):  # restored in between
        one.restore()
        one.run()
        result = one.result()
        assert set(result) == set(case.writes)
        for field, array in result.items():
            assert array.dtype == changed[field].dtype
            np.testing.assert_array_equal(array, changed[field])
    on = {key for key, block in seen["blocks"].items() if block["start_iter"] is not None}
    assert (on, seen["niter"], seen["device"]) == ({name}, 1, "cpu")
    assert set(seen["blocks"]) == set(bench.NAMES)


def test_a_disturbed_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "disturbed" in printed(results(made("kr_filter", {}), others=0.8))
    assert "disturbed" not in printed(results(made("kr_filter", {}), others=0.01))
    assert "disturbed" not in printed(results(made("kr_filter", {}), others=None))
    elsewhere = iter([100.0, 103.0])
    clock = iter([0.0, 2.0])
    monkeypatch.setattr(machine, "_elsewhere", lambda: next(elsewhere))
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(clock))
    assert machine.Others().cores() == 1.5


def test_idle_threads_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    ptyrad_model._let_threads_sleep()
    assert os.environ["GOMP_SPINCOUNT"] == "1000"
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    ptyrad_model._let_threads_sleep()
    assert os.environ["GOMP_SPINCOUNT"] == "7"


def test_sizes() -> None:
    assert set(bench.SIZES) == {"small", "medium", "large", "awkward"}
    for size in bench.SIZES.values():
        assert size.object[-1] >= size.probe[-1]
    assert cases.SIZES["awkward"].object[-1] == 2 * 307
