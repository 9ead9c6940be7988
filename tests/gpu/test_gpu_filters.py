"""Filters of CuPy arrays: shapes, batches whose items stay apart, extreme options, transforms.

Without a GPU `test_on_cpu` runs this file on the stand-in.
"""

from __future__ import annotations

import numpy as np
import pytest
from libraries import FLOAT32, FLOAT64, Library, relative_error

import arraycon

CUPY = Library("cupy")
if reason := CUPY.available():
    pytest.skip(reason, allow_module_level=True)

import cupy  # noqa: E402

from arraycon.kernels.gpu.tools import (  # noqa: E402
    batches,
    short_blur,
    transforms,
)

ON_GPU = not hasattr(cupy, "synchronisations")
BLURRED = [
    ((3, 70, 11), 5),
    ((2, 130, 12), 17),
    ((1, 1, 300), 5),
    ((2, 40, 3), 5),  # as wide as the taps on one side and the center
    ((2, 40, 2), 5),
    ((2, 3, 40), 17),  # rows are mirrored several times
    ((1, 20, 600), 9),
    ((3, 20, 30), 19),
    ((1, 3, 7000), 5),
]


@pytest.mark.parametrize("dtype", ["float32", "complex64", "float64"])
@pytest.mark.parametrize(("shape", "taps"), BLURRED)
@pytest.mark.parametrize("wanted", [1, 1 << 20], ids=["long bands", "short bands"])
def test_lateral_blurs_of_all_shapes(shape, taps, dtype, wanted, monkeypatch):
    monkeypatch.setattr(short_blur, "_BLOCKS", wanted)
    rng = np.random.default_rng(5)
    values = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype("complex128")
    values = values if dtype[0] == "c" else values.real
    options = {"kernel_size": taps, "std": 2.0}
    with arraycon.use_agnostic():
        expected = arraycon.obj_rblur(values, **options)
    answer = CUPY.numpy(arraycon.obj_rblur(CUPY.array(values.astype(dtype)), **options))
    assert relative_error(answer, expected) < (FLOAT64 if dtype == "float64" else FLOAT32)


@pytest.mark.parametrize("taps", [3, 9, 17, 19])
@pytest.mark.parametrize("shape", [(2, 1, 3, 4), (1, 2, 3, 4), (2, 7, 1, 300), (1, 30, 5, 1)])
def test_depth_blurs_of_all_shapes(shape, taps):
    values = np.random.default_rng(6).normal(size=shape)
    options = {"kernel_size": taps, "std": 2.0}
    with arraycon.use_agnostic():
        expected = arraycon.obj_zblur(values, **options)
    answer = CUPY.numpy(arraycon.obj_zblur(CUPY.array(values.astype("float32")), **options))
    assert relative_error(answer, expected) < FLOAT32


@pytest.mark.quick(when=lambda nz, **_: nz in (1, 4, 20, 65))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("nz", [1, 2, 3, 4, 5, 8, 20, 47, 48, 49, 64, 65, 130])
@pytest.mark.parametrize("options", [{"beta": 0.5, "alpha": 1.0}, {"obj_type": "amplitude"}])
def test_depth_filters_of_all_depths(nz, dtype, options):
    values = np.random.default_rng(7).normal(size=(2, nz, 4, 5))
    with arraycon.use_agnostic():
        expected = arraycon.kz_filter(values, **options)
    answer = CUPY.numpy(arraycon.kz_filter(CUPY.array(values.astype(dtype)), **options))
    assert relative_error(answer, expected) < (FLOAT64 if dtype == "float64" else FLOAT32)


# what each item is: a volume, or a slice
ITEMS = [
    ("obj_rblur", 2, {"kernel_size": 5, "std": 1.0}),
    ("obj_zblur", 3, {"kernel_size": 3, "std": 1.0}),
    ("kr_filter", 2, {"radius": 0.3, "width": 0.1}),
    ("kz_filter", 3, {"beta": 0.5, "alpha": 1.0}),
    ("kr_thresh", 2, {"thresh": 0.3, "scope": "slice"}),
    ("obj_gaussian", 2, {"dx": 0.2, "sigma": 0.3, "boundary": "periodic"}),
    (
        "obj_bandpass",
        3,
        {"dx": 0.2, "q_lowpass": 1.0, "dims": "volume", "slice_thickness": 2.0, "relax": 0.1},
    ),
    ("obj_wedge", 3, {"dx": 0.2, "slice_thickness": 2.0, "boundary": "periodic"}),
    ("grid_notch", 2, {"dx": 0.1, "period": 0.45}),
    ("obj_gaussian", 2, {"dx": 0.2, "sigma": 0.3}),
    ("obj_gaussian", 3, {"dx": 0.2, "sigma": 0.3, "sigma_z": 3.0, "slice_thickness": 2.0}),
    ("obj_wedge", 3, {"dx": 0.2, "slice_thickness": 2.0}),
    ("obj_gaussian", 3, {"dx": 0.2, "sigma": 0.0, "sigma_z": 3.0, "slice_thickness": 2.0}),
    ("identical_slices", 3, {"relax": 0.2}),
    ("obj_smooth", 2, {"alpha": 0.1}),
    ("obj_tv", 3, {"weight": 0.1, "axes_weight": (1.0, 1.0, 1.0), "n_iter": 4}),
]


@pytest.mark.parametrize(("name", "axes", "options"), ITEMS)
@pytest.mark.parametrize("value", [np.nan, 1e30])
@pytest.mark.parametrize("shape", [(4, 6, 7), (3, 1, 5), (5, 3, 1), (130, 1, 2)])
@pytest.mark.parametrize("nbytes", [200, 1 << 20])
@pytest.mark.filterwarnings("ignore:(invalid|overflow|divide):RuntimeWarning")
def test_items_do_not_touch_each_other(name, axes, options, value, shape, nbytes, monkeypatch):
    """Scratch memory is made once for all items, and must not carry one into the next."""
    monkeypatch.setattr(batches, "_ENOUGH", nbytes)
    monkeypatch.setattr(batches, "_MOST", nbytes)
    if axes == 2:  # how deep the object is matters to what works in depth only
        shape = (min(shape[0], 6), *shape[1:])
    values = np.random.default_rng(4).normal(size=(3, *shape)).astype("float32")
    items = values.reshape(-1, *shape[-axes:])
    spoilt = np.arange(len(items)) % 3 == 1
    items[spoilt] = value
    function = getattr(arraycon, name)
    together = CUPY.numpy(function(CUPY.array(values), **options)).reshape(items.shape)
    alone = [
        CUPY.numpy(function(CUPY.array(items[index]), **options))
        for index in np.flatnonzero(~spoilt)[:4]
    ]
    for answer, expected in zip(together[~spoilt], alone, strict=False):
        assert np.all(np.isfinite(expected))
        assert relative_error(answer, expected) < FLOAT32


FILTERS = [
    ("obj_gaussian", {"dx": 1e-300}), ("obj_gaussian", {"dx": 1.0, "sigma": 5e-324}),
    ("obj_gaussian", {"dx": 5e-324, "sigma": 1e300, "sigma_z": 1e300, "slice_thickness": 1e300}),
    ("obj_gaussian", {"dx": 1.0, "sigma": 0.0, "sigma_z": 1e300, "slice_thickness": 5e-324}),
    ("obj_bandpass", {"dx": 1e-300, "q_lowpass": 1e300, "q_highpass": 5e-324}),
    ("obj_bandpass", {"dx": 1.0, "q_lowpass": 5e-324, "order": 1e6}),
    ("obj_bandpass", {"dx": 1.0, "q_lowpass": 0.3, "order": 5e-324}),
    ("obj_bandpass", {"dx": 1e300, "q_highpass": 1e300, "shape": "gaussian"}),
    ("obj_wedge", {"dx": 1e300, "slice_thickness": 5e-324, "semiangle": 1569.99}),
    ("obj_wedge", {"dx": 1.0, "slice_thickness": 1e300, "semiangle": 5e-324}),
    ("obj_wedge", {"dx": 1.0, "slice_thickness": 1.0, "q_floor": 1e300}),
    ("grid_notch", {"dx": 1e300, "period": 1e300}),
    ("grid_notch", {"dx": 1.0, "period": 5e-324}),
    ("grid_notch", {"dx": 1.0, "period": 4.0, "window": 1e300, "rotation": 1e300}),
    ("grid_notch", {"dx": 0.1, "period": 1.7, "window": 0.3, "rotation": -130.0, "relax": 0.2}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), FILTERS)
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (3, 1, 6), (4, 5, 1)])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("boundary", ["periodic", "mirror"])
def test_extreme_filters_are_the_reference(name, options, shape, dtype, boundary):
    rng = np.random.default_rng(8)
    obj = (rng.normal(1, 0.5, shape) + 1j * rng.normal(size=shape)).astype("complex128")
    obj = (obj if dtype == "complex128" else obj.real).astype(dtype)
    if name != "grid_notch":
        options = {"boundary": boundary, **options}
    function = getattr(arraycon, name)
    with arraycon.use_agnostic():
        expected = function(obj, **options)
    answer = CUPY.numpy(function(CUPY.array(obj), **options))
    assert relative_error(answer, expected) < (FLOAT32 if dtype == "float32" else FLOAT64)


DEEP = {"slice_thickness": 2.0}
# filter, whether it is of volumes, its kernel
MULTIPLIED = [
    ("kr_filter", {"radius": 0.3, "width": 0.1}, False, "soft_edge"),
    ("obj_gaussian", {"dx": 0.2}, False, "gaussian"),
    ("obj_gaussian", {"dx": 0.2, "sigma_z": 3.0, **DEEP}, True, "gaussian"),
    ("obj_gaussian", {"dx": 0.2, "boundary": "periodic"}, False, "gaussian"),
    ("obj_bandpass", {"dx": 0.2, "q_lowpass": 1.0, "boundary": "mirror"}, False, "band"),
    ("obj_bandpass", {"dx": 0.2, "q_lowpass": 1.0, "dims": "volume", **DEEP}, True, "band"),
    ("obj_wedge", {"dx": 0.2, **DEEP}, True, "damp_depth"),
    ("obj_wedge", {"dx": 0.2, "boundary": "periodic", **DEEP}, True, "damp_depth"),
]


BOUNDARIES = {
    "kr_filter": "periodic",
    "obj_gaussian": "mirror",
    "obj_bandpass": "periodic",
    "obj_wedge": "mirror",
}


@pytest.mark.skipif(ON_GPU, reason="cuFFT's work memory and CuPy's own pool would be counted too")
@pytest.mark.parametrize(("name", "options", "volume", "kernel"), MULTIPLIED)
@pytest.mark.parametrize("shape", [(6, 40, 42), (5, 31, 24), (1, 16, 16)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_filters_need_the_spectra_of_a_batch(
    name, options, volume, kernel, shape, dtype, monkeypatch
):
    """One kernel a batch, between two that reorder mirrored samples; no item is copied."""
    monkeypatch.setattr(batches, "_ENOUGH", 1)
    monkeypatch.setattr(batches, "_MOST", 1)
    values = np.random.default_rng(1).normal(size=(2, *shape)).astype(dtype)
    obj, pool = CUPY.array(values), cupy.get_default_memory_pool()
    pool.free_all_blocks()
    before = pool.total_bytes()
    cupy.launches.clear()
    getattr(arraycon, name)(obj, **options, out=obj)
    mirrored = options.get("boundary", BOUNDARIES[name]) == "mirror"
    items = 2 if volume else 2 * shape[0]
    steps = ["to_samples", kernel, "from_samples"] if mirrored else [kernel]
    if name == "obj_wedge" and shape[0] == 1:  # which is the identity
        assert not cupy.launches
        return
    assert cupy.launches == steps * items
    ny, nx = shape[1:]
    numbers = (shape[0] if volume else 1) * ny * (2 * (nx // 2 + 1))
    held = pool.total_bytes() - before
    if dtype == "complex64" and not mirrored:
        assert held == 0  # transformed where they are
    else:
        assert held <= numbers * values.itemsize + 512


@pytest.mark.parametrize("boundary", ["periodic", "mirror"])
@pytest.mark.parametrize("shape", [(2, 1, 3, 4), (2, 2, 3, 5), (7, 4, 9), (2, 8, 5, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("nbytes", [100, 1 << 20])
def test_in_depth_alone_columns_stay_apart(boundary, shape, dtype, nbytes, monkeypatch):
    monkeypatch.setattr(batches, "_ENOUGH", nbytes)
    monkeypatch.setattr(batches, "_MOST", nbytes)
    rng = np.random.default_rng(5)
    values = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    values = (values if dtype[0] == "c" else values.real).astype(dtype)
    options = {"dx": 0.2, "sigma": 0.0, "sigma_z": 1.5, "relax": 0.1, "boundary": boundary, **DEEP}
    with arraycon.use_agnostic():
        expected = arraycon.obj_gaussian(values, **options)
    values[0, ..., 0, 0] = np.nan  # of one column, or of one slice's pixel
    answer = CUPY.numpy(arraycon.obj_gaussian(CUPY.array(values), **options))
    spoilt = np.isnan(values).any(axis=-3, keepdims=True) & np.ones_like(values, dtype=bool)
    assert np.all(np.isnan(answer[spoilt]))
    tolerance = FLOAT64 if dtype in ("float64", "complex128") else FLOAT32
    assert relative_error(answer[~spoilt], expected[~spoilt]) < tolerance


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1, 13), (1, 13, 1), (7, 1, 13), (1, 1, 1), (3, 5, 6)])
@pytest.mark.parametrize("axes", [1, 2])
def test_transforms_do_not_depend_on_flags(shape, axes, dtype):
    """An array whose axes but one have size 1 is C- and F-contiguous at once."""
    values = np.random.default_rng(3).normal(size=shape).astype(dtype)
    over = tuple(range(-axes, 0))
    wanted = np.fft.rfftn(values.astype("float64"), axes=over)
    x, whole = CUPY.array(values), CUPY.array(values.astype(np.result_type(dtype, "complex64")))
    spectrum, back = cupy.empty(wanted.shape, whole.dtype), cupy.empty(shape, dtype)
    transforms.rfft(x, spectrum, axes=axes)
    assert relative_error(CUPY.numpy(spectrum), wanted) < FLOAT32
    transforms.irfft(spectrum, back, axes=axes)
    pixels = np.prod(shape[-axes:])
    assert relative_error(CUPY.numpy(back), pixels * values) < FLOAT32
    transforms.fft(whole, axes=axes)
    assert relative_error(CUPY.numpy(whole), np.fft.fftn(values, axes=over)) < FLOAT32
    transforms.fft(whole, axes=axes, inverse=True)
    assert relative_error(CUPY.numpy(whole), pixels * values) < FLOAT32


def test_cupys_own_plans_do():
    """The reason why plans are made from shapes; the stand-in is as strict."""
    from cupyx.scipy.fft import get_fft_plan

    x = CUPY.array(np.ones((7, 3, 13), "float32"))
    get_fft_plan(x, shape=(3, 13), axes=(-2, -1), value_type="R2C")
    with pytest.raises(ValueError, match="F-order"):
        get_fft_plan(x[:1, :1], shape=(1, 13), axes=(-2, -1), value_type="R2C")
