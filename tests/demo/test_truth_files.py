"""Truths that the demo is judged by: what is taken, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demo_files import DX, npz, potential, read_truth, refused


def test_truth_is_summed_into_slices(tmp_path: Path) -> None:
    found = read_truth(tmp_path, dx_A=DX * 1.0005).phase
    assert found.dtype == np.float64
    expected = 7e-4 * potential().astype(float).reshape(2, 2, 64, 64).sum(axis=1)
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("dtype", [np.float16, ">f4", np.int32, np.longdouble])
def test_truth_of_any_real_type(tmp_path: Path, dtype: Any) -> None:
    found = read_truth(tmp_path, potential_VA=potential().astype(dtype), sigma_rad_per_VA=-1)
    assert found.phase.dtype == np.float64


def test_data_without_a_pixel_size_take_any(tmp_path: Path) -> None:
    assert read_truth(tmp_path, data=npz(tmp_path), dx_A=99.0).phase.shape == (1, 64, 64)


def test_truth_may_be_as_small_as_the_scanned_field(tmp_path: Path) -> None:
    assert read_truth(tmp_path, potential_VA=potential(n=7)).phase.shape == (2, 7, 7)


def but(value: float) -> Any:
    found = potential()
    found[1, 40, 2] = value
    return found


def outside() -> Any:
    """Something, but none of it where the positions are."""
    found = np.zeros((4, 64, 64))
    found[:, :20] = 100 * np.random.default_rng(2).normal(size=(20, 64))
    return found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dx_A": DX * 1.01}, "dx_A: expected 0.25 as in the data, got 0.2525"),
        ({"dx_A": 0.5}, "dx_A: expected 0.25 as in the data, got 0.5"),
        ({"dx_A": "0.25"}, "dx_A: expected a pixel size above 0 Å, got '0.25'"),
        ({"dx_A": np.nan}, "dx_A: expected a pixel size above 0 Å, got nan"),
        ({"dx_A": -DX}, "dx_A: expected a pixel size above 0 Å, got -0.25"),
        ({"dx_A": np.ones(2)}, "dx_A: expected a pixel size above 0 Å, got float64 of shape (2,)"),
        ({"dx_A": np.array(None)}, "dx_A: holds pickled Python objects"),
        ({"potential_VA": potential(n=6)}, "expected at least 7 x 7 px as the positions span, got"),
        ({"potential_VA": potential()[:, :6]}, "potential_VA: expected at least 7 x 7 px"),
        ({"potential_VA": potential()[:, :, :6]}, "potential_VA: expected at least 7 x 7 px"),
        ({"potential_VA": but(np.nan)}, "potential_VA: holds NaN or infinite values"),
        ({"potential_VA": but(-np.inf)}, "potential_VA: holds NaN or infinite values"),
        ({"potential_VA": potential() * 0}, "potential_VA: expected phases up to 1e+06 rad that v"),
        ({"potential_VA": potential() * 0 + 3}, "got up to 0.0042 rad that vary by 0 rad"),
        ({"potential_VA": outside()}, "where the positions are, got up to"),
        ({"potential_VA": potential() * 1e-30}, "potential_VA: expected phases up to 1e+06 rad"),
        ({"potential_VA": 1e300 * potential().astype(float)}, "expected phases up to 1e+06 rad"),
        ({"potential_VA": np.full((4, 64, 64), 1.7e308)}, "expected phases up to 1e+06 rad"),
        ({"potential_VA": potential()[:0]}, "potential_VA: expected real numbers, got float32 of"),
        ({"potential_VA": potential()[:, :, :0]}, "got float32 of shape (4, 64, 0)"),
        ({"potential_VA": potential()[0]}, "potential_VA: expected real (slabs, ny, nx), got (64"),
        ({"potential_VA": potential() + 0j}, "potential_VA: expected real numbers, got complex64"),
        ({"potential_VA": potential().astype(str)}, "potential_VA: expected real numbers, got tex"),
        ({"potential_VA": potential()[:3]}, "potential_VA: 3 slabs cannot be 2 slices"),
        *(({"sigma_rad_per_VA": value}, f"sigma_rad_per_VA: expected one finite number other than "
           f"0, got {got}")
          for value, got in ((0.0, "0"), (np.nan, "nan"), (np.inf, "inf"), (1 + 1j, "1+1j"),
                             ("7e-4", "'7e-4'"), (np.ones(3), "float64 of shape (3,)"),
                             (np.ones(0), "float64 of shape (0,)"), (True, "bool of shape ()"))),
        ({"sigma_rad_per_VA": 1e300}, "expected phases up to 1e+06 rad"),
        ({"sigma_rad_per_VA": 1e-300}, "expected phases up to 1e+06 rad"),
    ],
)  # fmt: skip
def test_wrong_truths(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with refused(message) as caught:
        read_truth(tmp_path, **changes)
    assert str(caught.value).startswith(f"{tmp_path / 'truth.npz'}: ")
