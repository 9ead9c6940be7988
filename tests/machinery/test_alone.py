"""Few slices are filtered in their own memory, by parts of their rows and columns."""

import tracemalloc

import numpy as np
import pytest

import arraycon
from arraycon.kernels.common import fft
from arraycon.kernels.cpu.fft import library, slices
from arraycon.kernels.cpu.fft.library import LIBRARY
from arraycon.kernels.cpu.tools import alone

pytestmark = pytest.mark.quick(when=lambda dtype="float32", **_: dtype == "float32")


@pytest.fixture
def small(monkeypatch):
    """Slices of any size, shared by threads."""
    monkeypatch.setattr(alone, "_SMALL", 1)
    monkeypatch.setattr(library, "_LARGE", 1)


@pytest.fixture(params=["own", "_Ducc", "_Scipy"])
def engine(request, monkeypatch):
    if request.param == "own":
        return
    if request.param == "_Ducc":
        pytest.importorskip("ducc0")
    monkeypatch.setenv(slices.SWITCH, "library")
    made = getattr(fft, request.param)()
    monkeypatch.setattr(fft, "_numpy_engine", lambda: made)


def filters(x):
    yield arraycon.kr_filter(x, radius=0.3)
    yield arraycon.obj_bandpass(x, dx=0.5, q_highpass=0.2, q_lowpass=0.8)
    yield arraycon.obj_gaussian(x, dx=0.5, sigma=0.7, boundary="periodic")
    yield arraycon.grid_notch(x, dx=0.5, period=(2.3, 3.1), rotation=25.0, relax=0.1)


def is_alone(x):
    ny, nx = x.shape[-2:]
    return alone.filter_of(x.reshape(-1, ny, nx), np.ones((ny // 2 + 1, nx // 2 + 1), x.dtype))


# every way in which columns and rows can be left over
SHAPES = [
    *((1, 2), (2, 2), (3, 4), (40, 6), (33, 64), (64, 64), (97, 130)),
    *((32, 34), (45, 35), (36, 48), (125, 81), (50, 243), (64, 100), (41, 509), (614, 82)),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.usefixtures("small", "engine")
def test_it_is_what_the_reference_says(shape, dtype, threads):
    x = np.random.default_rng(0).normal(0, 1, (1, 2 if threads > 2 else 1, *shape)).astype(dtype)
    with arraycon.use_threads(threads):
        assert is_alone(x) or (slices.engine(*shape) is LIBRARY and shape[1] % 2)
        found = list(filters(x))
    with arraycon.use_agnostic():
        expected = list(filters(x.astype("float64")))
    for new, old in zip(found, expected, strict=True):
        np.testing.assert_allclose(new, old, atol=1e-13 if dtype == "float64" else 3e-6)


@pytest.mark.parametrize("shape", [(64, 64), (45, 75), (97, 614), (36, 509)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.usefixtures("small")
def test_by_vectors_it_is_what_many_slices_get_to_the_last_bit(shape, dtype):
    """So that it makes no difference how many slices, or threads, there are."""
    x = np.random.default_rng(0).normal(0, 1, (4, *shape)).astype(dtype)
    with arraycon.use_threads(2):
        assert is_alone(x) is None
        together = list(filters(x))
        for i, one in enumerate(x):
            for new, all_of_them in zip(filters(one), together, strict=True):
                np.testing.assert_array_equal(new, all_of_them[i])


@pytest.mark.parametrize("shape", [(1, 2), (33, 64), (64, 66), (45, 75), (97, 614)])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "block",
    [
        {"kr_filter": {"radius": 0.3}},
        {"grid_notch": {"period": [2.3, 3.1], "rotation": 25.0, "relax": 0.1}},
    ],
    ids=str,
)
@pytest.mark.usefixtures("small", "engine")
def test_measured_by_the_spectrum(shape, threads, block):
    x = np.random.default_rng(0).normal(0.5, 1, (1, 1, *shape))
    state = arraycon.State(object_phase=x.copy(), dx=0.5)
    ((name, options),) = block.items()
    blocks = {name: {"start_iter": 1, "obj_type": "phase", **options}}
    with arraycon.use_threads(threads):
        report = arraycon.Constraints(blocks).apply(state, 1, measure=True)
    change = np.linalg.norm(state.object_phase - x) / np.linalg.norm(x)
    assert report[0].metrics["object_phase: relative change"] == pytest.approx(change, rel=1e-12)


@pytest.mark.parametrize("place", [(0, 0), (3, 3), (-1, -1)])
@pytest.mark.usefixtures("small", "engine")
def test_what_is_not_finite_stays_visible(place):
    x = np.zeros((1, 1, 64, 80), "float32")
    x[0, 0][place] = np.nan
    assert np.isnan(arraycon.kr_filter(x)).all()


def test_who_goes_the_usual_way(monkeypatch):
    large = np.zeros((1, 1024, 1024), np.float32)
    assert is_alone(large)
    assert is_alone(large[:, :64])
    assert not is_alone(large[:, :, :7])  # fewer columns than a vector has, of odd number
    assert not is_alone(np.broadcast_to(np.float32(0), (64, 2048, 2048)))
    monkeypatch.setenv(slices.SWITCH, "library")
    assert is_alone(large)
    assert not is_alone(large[:, :, 1:])
    assert not is_alone(large[:, :512])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("shape", "limit"), [((512, 512), 0.6), ((625, 405), 0.7), ((1024, 1024), 0.4)]
)
def test_one_slice_takes_less_than_itself(shape, limit, threads):
    x = np.random.default_rng(0).normal(0, 1, (1, 1, *shape)).astype("float32")
    for call in (
        lambda: arraycon.kr_filter(x, out=x),
        lambda: arraycon.obj_bandpass(x, dx=0.5, q_lowpass=0.8, out=x),
        lambda: arraycon.obj_gaussian(x, dx=0.5, sigma=0.7, boundary="periodic", out=x),
    ):
        # 0.25 is the mask, the rest are two tiles for each thread
        assert peak(call, threads) < limit * x.nbytes
    # whose mask is half an array, and a byte for each of its numbers
    notch = peak(lambda: arraycon.grid_notch(x, dx=0.5, period=2.3, out=x), threads)
    assert notch < (limit + 0.4) * x.nbytes


MIRRORED = (
    {"obj_gaussian": {"sigma": 0.7, "boundary": "mirror"}},
    {"obj_bandpass": {"q_lowpass": 0.8, "q_highpass": 0.1, "boundary": "mirror"}},
    {"obj_bandpass": {"q_lowpass": 0.8, "boundary": "mirror", "shape": "gaussian"}},
    {"obj_bandpass": {"q_lowpass": 0.8, "boundary": "mirror", "shape": "hard"}},
    {"obj_bandpass": {"q_lowpass": 0.8, "boundary": "mirror", "order": 2.5}},
)


@pytest.mark.parametrize("block", MIRRORED, ids=str)
@pytest.mark.parametrize("parts", ["real", "complex"])
def test_a_slice_by_cosines_has_no_mask(block, parts):
    ((name, options),) = block.items()
    x = np.random.default_rng(0).normal(0.5, 1, (3, 45, 64))
    x = x if parts == "real" else x + 1j * x[::-1]
    function = getattr(arraycon, name)
    together = function(x, dx=0.5, **options)
    for i, one in enumerate(x):
        np.testing.assert_array_equal(function(one, dx=0.5, **options), together[i])
    with arraycon.use_agnostic():
        np.testing.assert_allclose(function(x, dx=0.5, **options), together, atol=1e-12)
    big = np.ones((512, 512), "float32")
    tiles = 0.14
    assert peak(lambda: function(big, dx=0.5, **options, out=big), 2) < (tiles + 0.02) * big.nbytes


@pytest.mark.parametrize("block", MIRRORED, ids=str)
def test_a_slice_by_cosines_is_measured_by_its_rows(block):
    ((name, options),) = block.items()
    x = np.random.default_rng(0).normal(0.5, 1, (1, 1, 45, 64))
    state = arraycon.State(object_phase=x.copy(), dx=0.5)
    report = arraycon.Constraints({name: {"start_iter": 1, "obj_type": "phase", **options}}).apply(
        state, 1, measure=True
    )
    change = np.linalg.norm(state.object_phase - x) / np.linalg.norm(x)
    assert report[0].metrics["object_phase: relative change"] == pytest.approx(change, rel=1e-12)


def test_a_large_slice_by_a_library_takes_less_than_itself(monkeypatch):
    monkeypatch.setenv(slices.SWITCH, "library")
    x = np.random.default_rng(0).normal(0, 1, (1, 1, 2048, 2048)).astype("float32")
    # 0.34 by ducc0; SciPy makes new arrays of each block
    assert peak(lambda: arraycon.kr_filter(x, out=x), 2) < 0.7 * x.nbytes


def peak(call, threads):
    with arraycon.use_threads(threads):
        call()
        tracemalloc.start()
        call()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return found
