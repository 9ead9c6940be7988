"""Meaning: arrays and numbers that carry units, masks or labels are refused, never stripped."""

from __future__ import annotations

import fractions

import numpy as np
import pytest
from cases import results

import arraycon
from arraycon import bench
from arraycon.bench.cases import Case, Size
from arraycon.constraints import declared
from arraycon.kernels.common import check

TINY = Size("tiny", (1, 3, 10, 12), (2, 8, 8), (4, 5))
SHAPE = (1, 2, 3, 3)
PLAIN = np.linspace(0.5, 1.5, 18, dtype="float32").reshape(SHAPE)


class Quantity(np.ndarray):
    """As astropy's and unyt's: an array with a unit."""

    unit = "nm"


class Pint:
    """As pint's: no array, but it passes on what its array has."""

    units = "radian"

    def __init__(self, magnitude):
        self.magnitude = magnitude

    def __array_namespace__(self, **_):
        return np

    def __float__(self):
        return float(self.magnitude)

    def __getattr__(self, name):
        return getattr(self.magnitude, name)


class Labelled:
    """As xarray's and pandas': to_numpy, and a namespace that it does not have."""

    def __init__(self, values):
        self.values = values

    def to_numpy(self):
        return self.values


def masked(values):
    return np.ma.masked_greater(values, 1.0)


def record(values):
    return np.asarray(values).view(np.recarray)


def matrix(values):
    return np.asarray(values).reshape(-1, np.shape(values)[-1]).view(np.matrix)


def library(name, make):
    def made(values):
        return make(pytest.importorskip(name, reason=f"{name} is not installed"), values)

    return pytest.param(made, id=name)


MEANT = [
    pytest.param(lambda values: np.asarray(values).view(Quantity), id="quantity"),
    pytest.param(Pint, id="like pint"),
    pytest.param(Labelled, id="labelled"),
    pytest.param(masked, id="masked"),
    pytest.param(record, id="record"),
    pytest.param(matrix, id="matrix"),
    pytest.param(lambda values: np.asarray(values).flat[0], id="scalar"),
    library("astropy.units", lambda units, values: values * units.rad),
    library("unyt", lambda unyt, values: unyt.unyt_array(values, "degree")),
    library("pint", lambda pint, values: pint.UnitRegistry().Quantity(values, "radian")),
    library("xarray", lambda xarray, values: xarray.DataArray(values)),
    library("pandas", lambda pandas, values: pandas.Series(values.ravel())),
]
WAYS = r"hand over|makes an array of it"


@pytest.mark.parametrize("make", MEANT)
@pytest.mark.parametrize("path", ["auto", "agnostic"])
def test_arrays_with_a_meaning_are_refused_with_what_to_do(make, path, monkeypatch):
    monkeypatch.setenv("ARRAYCON_BACKEND", path)
    given = make(PLAIN)
    for call in (
        lambda: arraycon.objp_postiv(given),
        lambda: arraycon.mirrored_amp(PLAIN, given),
        lambda: arraycon.complex_ratio(given, given),
        lambda: arraycon.kz_filter(PLAIN, out=given),
        lambda: arraycon.complex_ratio(PLAIN, PLAIN, out=(np.empty_like(PLAIN), given)),
        lambda: arraycon.State(object_phase=given),
        lambda: arraycon.State(object_phase=PLAIN, position_shifts=given),
    ):
        with pytest.raises(TypeError, match=rf": expected an array .*, got .*({WAYS})"):
            call()


@pytest.mark.parametrize("name", bench.NAMES)
def test_every_constraint_refuses_a_mask(name):
    case, one = Case(name, TINY), declared()[name]
    fields = case.fields()
    block = one.model(start_iter=1, **one.typical)
    for field in one.needs(block):
        if isinstance(fields[field], np.ndarray):
            hidden = {**fields, field: np.ma.masked_array(fields[field])}
            with pytest.raises(TypeError, match=r"whose mask would be lost; hand over x.filled"):
                one.run(hidden, block, {})


def test_what_a_registered_constraint_returns_is_looked_at_too():
    class Cut(arraycon.Block):
        """Cut."""

    @arraycon.register("cut_for_test", model=Cut, needs=["object_phase"])
    def cut(inputs, _):
        return {"object_phase": np.ma.masked_less(inputs["object_phase"], 1)}

    try:
        state = arraycon.State(object_phase=PLAIN.copy())
        with pytest.raises(TypeError, match=r"cut_for_test's object_phase: .*mask would be lost"):
            arraycon.Constraints({"cut_for_test": {"start_iter": 1}}).apply(state, 1)
        np.testing.assert_array_equal(state.object_phase, PLAIN)
    finally:
        arraycon.unregister("cut_for_test")


def test_memory_maps_and_0d_arrays_are_arrays(tmp_path):
    mapped = np.memmap(tmp_path / "phase", "float32", "w+", shape=SHAPE)
    mapped[...] = -PLAIN
    assert arraycon.objp_postiv(mapped).max() == 0
    state = arraycon.State(object_phase=mapped)
    arraycon.Constraints({"objp_postiv": {"start_iter": 1}}).apply(state, 1)
    assert mapped.max() == mapped.min() == 0
    one = np.array(-1.0, "float32")
    for answer in (
        arraycon.objp_postiv(one),
        arraycon.obja_thresh(one, thresh=(0, 1)),
        *results(arraycon.complex_ratio(one, one)),
    ):
        assert answer.shape == ()
        assert answer.dtype == np.float32


NUMBERS = [
    pytest.param(lambda x: np.asarray(x).view(Quantity), id="quantity"),
    pytest.param(lambda x: Pint(x), id="like pint"),
    pytest.param(lambda x: np.ma.array(x, mask=True), id="masked"),
    pytest.param(lambda x: np.array([x]), id="one element"),
    pytest.param(lambda x: np.full(4, x), id="four elements"),
    pytest.param(lambda x: np.array(str(x)), id="text"),
    pytest.param(lambda _: np.bool_(True), id="bool"),
    pytest.param(lambda _: np.timedelta64(3, "s"), id="seconds"),
    pytest.param(lambda x: np.complex64(x), id="complex"),
    library("astropy.units", lambda units, x: x * units.nm),
    library("unyt", lambda unyt, x: unyt.unyt_quantity(x, "nm")),
    library("pint", lambda pint, x: pint.UnitRegistry().Quantity(x, "nm")),
    library("xarray", lambda xarray, x: xarray.DataArray(x, attrs={"units": "nm"})),
]


@pytest.mark.parametrize("make", NUMBERS)
def test_numbers_with_a_meaning_are_refused(make):
    probe, number = np.ones((1, 4, 4), complex), make(0.5)
    lengths = {"dx": 0.2, "wavelength": 0.025}
    for call, name in (
        (lambda: arraycon.State(dx=number), "dx"),
        (lambda: arraycon.State(probe_intensity=number), "probe_intensity"),
        (lambda: arraycon.probe_mask_r(probe, **{**lengths, "wavelength": number}), "wavelength"),
        (lambda: arraycon.probe_mask_r(probe, **lengths, order=number), "order"),
        (lambda: arraycon.obja_thresh(PLAIN, thresh=(number, 2)), r"thresh\[0\]"),
        (lambda: arraycon.State(scan_shape=(number, 2)), r"scan_shape\[0\]"),
    ):
        with pytest.raises(TypeError, match=f"^{name}: expected .*, got"):
            call()
    with pytest.raises(ValueError, match=r"kz_filter\.beta\n +got .*, allowed: a number ≥ 0"):
        arraycon.ConstraintParams(kz_filter={"start_iter": 1, "beta": number})
    with pytest.raises(ValueError, match=r"obja_thresh\.thresh\n +got .*, allowed: an ascending"):
        arraycon.ConstraintParams(obja_thresh={"start_iter": 1, "thresh": [number, 2]})


def test_the_unit_that_is_expected_is_said():
    nm = np.array(0.02).view(Quantity)
    with pytest.raises(TypeError, match=r"dx: expected a number > 0, in Å, got 0.02 .*\(nm\)"):
        arraycon.State(dx=nm)
    with pytest.raises(ValueError, match=r"got 0.02 with a unit \(nm\), which would be lost"):
        arraycon.ConstraintParams(kr_filter={"start_iter": 1, "radius": nm})


@pytest.mark.parametrize(
    "number", [0.5, np.float32(0.5), np.float16(0.5), np.array(0.5), fractions.Fraction(1, 2)]
)
def test_plain_numbers_of_all_kinds_are_taken(number):
    state = arraycon.State(dx=number)
    assert (type(state.dx), state.dx) == (float, 0.5)
    params = arraycon.ConstraintParams(kr_filter={"start_iter": 1, "radius": number})
    assert (type(params.kr_filter.radius), params.kr_filter.radius) == (float, 0.5)


# numbers that reach a loop or an allocation, or fit into no float


@pytest.mark.parametrize(
    "huge",
    [10**400, -(10**400), 10**5000, fractions.Fraction(10**400)],
    ids=["400 digits", "negative", "5000 digits", "fraction"],
)
def test_integers_that_no_float_holds_are_out_of_range(huge):
    with pytest.raises(ValueError, match="beta: expected a number ≥ 0, got one that no float"):
        arraycon.kz_filter(PLAIN, beta=huge)
    with pytest.raises(ValueError, match="allowed: a number ≥ 0"):
        arraycon.ConstraintParams(kz_filter={"start_iter": 1, "beta": huge})
    for field in ("start_iter", "step", "end_iter"):
        with pytest.raises(ValueError, match="allowed: an integer ≥ 1"):
            arraycon.ConstraintParams(kz_filter={"start_iter": 1, field: huge})
    if isinstance(huge, int):
        with pytest.raises(ValueError, match="iteration: expected an integer ≥ 1, got one that no"):
            arraycon.Constraints({"pos_recenter": {"start_iter": 1}}).due(huge)
        with pytest.raises(ValueError, match="scan_shape"):
            check.scan_shape("scan_shape", (huge, 2))


@pytest.mark.parametrize("huge", ["1e999", "-1e999", "nan", "inf", np.inf, -np.inf, np.nan])
def test_infinities_are_out_of_range(huge):
    for block in ({"beta": huge}, {"start_iter": huge}, {"step": huge}, {"end_iter": huge}):
        with pytest.raises(ValueError, match=r"got .*, allowed: "):
            arraycon.ConstraintParams(kz_filter={"start_iter": 1, **block})
