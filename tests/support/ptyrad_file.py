"""Small files in PtyRAD's HDF5 layout, with everything in them that is awkward to keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

ARRAYS = {
    "object_amplitude": "optimizable_tensors/obja",
    "object_phase": "optimizable_tensors/objp",
    "probe": "optimizable_tensors/probe",
    "position_shifts": "optimizable_tensors/probe_pos_shifts",
    "tilts": "optimizable_tensors/obj_tilts",
}
REAL = Path(__file__).parents[3] / "shared" / "data" / "ptyrad_model.hdf5"
REAL_PARAMS = REAL.with_name("ptyrad_params.yaml")
NO_REAL = f"no real reconstruction: {REAL.name} is not in ../shared/data"


def arrays(seed: int = 0) -> dict[str, Any]:
    """Return values of the optimizable tensors."""
    rng = np.random.default_rng(seed)
    probe = rng.normal(size=(3, 12, 10)) + 1j * rng.normal(size=(3, 12, 10))
    return {
        "object_amplitude": rng.normal(1, 0.05, (1, 4, 20, 18)).astype(np.float32),
        "object_phase": rng.normal(0.02, 0.05, (1, 4, 20, 18)).astype(np.float32),
        "probe": probe.astype(np.complex64),
        "position_shifts": rng.normal(0.3, 0.1, (6, 2)).astype(np.float32),
        "tilts": rng.normal(0, 1, (6, 2)).astype(np.float32),
    }


def build(
    path: Path, *, compressed: bool = False, omit: tuple[str, ...] = (), **changed: Any
) -> Path:
    """Write a file; `changed` replaces or adds datasets, with ``__`` for the slash."""
    storage: dict[str, Any] = {"chunks": True, "compression": "gzip"} if compressed else {}
    values: dict[str, Any] = {name: arrays()[field] for field, name in ARRAYS.items()}
    values |= {
        "optimizable_tensors/slice_thickness": np.float32(12.0),
        "model_attributes/probe_int_sum": np.float32(500.0),
        "model_attributes/dx": np.float32(0.25),
        "model_attributes/dk": np.float32(0.07),
        "model_attributes/lambd": np.float32(0.025),
        "model_attributes/N_scan_slow": np.int32(2),
        "model_attributes/N_scan_fast": np.int32(3),
        "model_attributes/crop_pos": np.arange(12, dtype=np.int32).reshape(6, 2),
        "model_attributes/tilt_obj": np.bool_(False),
        "model_attributes/detector_blur_std": "__NONE__",
        "model_attributes/H": np.ones((12, 10), np.complex64),
        "niter": np.int64(7),
        "ptyrad_version": "1.0.0",
        "scheduler_state_dict": "__NONE__",
        "output_path": "Gitterübersicht Å",
        "params/recon_params/save_result": ["model", "objp"],
        "params/init_params/tilt_params/init_tilts": "[[0, 0]]",
        "params/constraint_params/obja_thresh/thresh": np.array([0.96, 1.04]),
        "optim_state_dict/state/0/exp_avg": np.linspace(0, 1, 30, dtype=np.float32),
        "optim_state_dict/state/0/step": np.float32(30),
        "optim_state_dict/param_groups/0/betas": np.array([0.9, 0.999]),
    }
    values |= {key.replace("__", "/"): value for key, value in changed.items()}
    with h5py.File(path, "w", libver="v110") as file:
        for name, value in values.items():
            if name not in omit:
                big = storage if np.ndim(value) > 1 else {}
                file.create_dataset(name, data=value, **big)
        file.create_group("params/model_params/optimizer_params/configs")
        file.attrs["provenance_json"] = "é" * 70_000
        file["optimizable_tensors"].attrs["unit"] = np.array([1.5, 2.5])
    return path


def contents(path: Path) -> dict[str, Any]:
    """Return everything in a file: type, storage, bytes and attributes of each object."""
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        attributes = {key: repr(value) for key, value in item.attrs.items()}
        if isinstance(item, h5py.Group):
            found[name] = ("group", sorted(item), attributes)
            return
        value = item[()]
        raw = (
            value.tobytes()
            if isinstance(value, (np.ndarray, np.generic)) and (value.dtype.kind != "O")
            else repr(value)
        )
        storage = (
            item.dtype,
            h5py.check_enum_dtype(item.dtype),
            item.shape,
            item.maxshape,
            item.chunks,
            item.compression,
            item.id.get_type().get_size(),
        )
        found[name] = ("dataset", *storage, raw, attributes)

    with h5py.File(path, "r") as file:
        visit("/", file)
        file.visititems(visit)
    return found
