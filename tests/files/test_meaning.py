"""What a file means: links, filters, axes, units, energies, and files of other programs."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import ptyrad_file
import pytest
from saved import npz_state

from arraycon import Constraints, io
from arraycon.io import units

AMPLITUDE, PHASE, PROBE = (
    ptyrad_file.ARRAYS[name] for name in ("object_amplitude", "object_phase", "probe")
)
DX, KV = "model_attributes/dx", "params/init_params/probe_kv"


def edited(path: Path, *removed: str) -> h5py.File:
    file = h5py.File(path, "r+")
    for name in removed:
        del file[name]
    return file


@pytest.mark.parametrize(
    ("link", "said"),
    [
        (h5py.SoftLink("/nowhere"), "is a link to /nowhere, which is not there"),
        (h5py.ExternalLink("gone.h5", "/objp"), r"is a link to /objp in gone\.h5, which is not"),
        (h5py.SoftLink(f"/{PHASE}"), "cannot be read|is a link to"),  # to itself
    ],
)
@pytest.mark.parametrize("name", [PHASE, DX, "optimizable_tensors"])
def test_links_without_target(hdf5: Path, link: Any, said: str, name: str) -> None:
    with edited(hdf5, name) as file:
        file[name] = link
    if name == DX and link.path == f"/{PHASE}":
        said = "expected one number"  # that link has a target
    with pytest.raises(io.ReadError, match=rf"{name}.*({said})"):
        io.read(hdf5)


@pytest.mark.parametrize("link", [h5py.SoftLink(f"/{AMPLITUDE}"), None])
def test_two_names_for_one_dataset(hdf5: Path, link: Any) -> None:
    with edited(hdf5, PHASE) as file:
        file[PHASE] = link or file[AMPLITUDE]
    with pytest.raises(io.ReadError, match=f"{PHASE}: is the same dataset as {AMPLITUDE}"):
        io.read(hdf5)


def test_a_link_within_the_file(hdf5: Path) -> None:
    phase = io.read(hdf5).state.object_phase
    with edited(hdf5) as file:
        file.move(PHASE, "elsewhere")
        file[PHASE] = h5py.SoftLink("/elsewhere")
    np.testing.assert_array_equal(io.read(hdf5).state.object_phase, phase)


@pytest.mark.parametrize(
    ("code", "said"), [(32008, r"bitshuffle \(32008\)"), (31999, r"unknown \(31999\)")]
)
def test_a_filter_that_is_not_installed(hdf5: Path, code: int, said: str) -> None:
    with edited(hdf5, PHASE) as file:
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_chunk((1, 4, 20, 18))
        layout.set_filter(code, h5py.h5z.FLAG_OPTIONAL, (0, 2))
        space = h5py.h5s.create_simple((1, 4, 20, 18))
        group, kind = file["optimizable_tensors"].id, h5py.h5t.IEEE_F32LE
        made = h5py.h5d.create(group, b"objp", kind, space, layout)
        made.write_direct_chunk((0, 0, 0, 0), bytes(4 * 4 * 20 * 18), 0)
    with pytest.raises(io.ReadError, match=rf"objp: .*{said}; pip install hdf5plugin") as caught:
        io.read(hdf5)
    assert "damaged" not in str(caught.value)


def test_axes_in_reverse_order(tmp_path: Path) -> None:
    turned = {
        f"optimizable_tensors__{name}": np.ones((18, 20, 4, 1), "f4") for name in ("obja", "objp")
    }
    path = ptyrad_file.build(tmp_path / "m.hdf5", **turned)
    with pytest.raises(io.ReadError, match=r"\(18, 20, 4, 1\).*\(3, 12, 10\).*MATLAB"):
        io.read(path)
    io.save(tmp_path / "a.npz", npz_state())
    state = npz_state()
    members = {name: getattr(state, name) for name in ("object_phase", "probe")}
    np.savez(tmp_path / "a.npz", **members | {"object_phase": members["object_phase"].T})
    with pytest.raises(io.ReadError, match="reverse order"):
        io.read(tmp_path / "a.npz")


def test_an_object_smaller_than_the_probe_is_a_warning(tmp_path: Path) -> None:
    small = {f"optimizable_tensors__{n}": np.ones((1, 4, 9, 9), "f4") for n in ("obja", "objp")}
    path = ptyrad_file.build(tmp_path / "m.hdf5", **small)
    with pytest.warns(
        UserWarning, match=r"slices of \(9, 9\) are smaller than the probe, \(12, 10\)"
    ):
        assert io.read(path).state.object_phase.shape == (1, 4, 9, 9)


def test_a_dataset_that_matlab_wrote(hdf5: Path) -> None:
    with edited(hdf5) as file:
        file[PROBE].attrs["MATLAB_class"] = np.bytes_("single")
    with pytest.raises(io.ReadError, match=f"{PROBE}: was written by MATLAB"):
        io.read(hdf5)


@pytest.mark.parametrize(
    ("unit", "value"),
    [
        ("Å", 0.25), ("Angstrom", 0.25), (b"A", 0.25), ("nm", 2.5), (np.array(["nm"], "S2"), 2.5),
        ("pm", 0.0025), ("m", 0.25e10), ("µm", 2500.0), ("", 0.25),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["unit", "units"])
def test_units_of_lengths(hdf5: Path, unit: Any, value: float, name: str) -> None:
    with edited(hdf5) as file:
        file[DX].attrs[name] = unit
    assert io.read(hdf5).state.dx == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("field", "unit"),
    [
        (DX, "inch"), (DX, "1/Å"), (DX, "px"), (PHASE, "deg"), (PHASE, "mrad"),
        ("optimizable_tensors/obj_tilts", "rad"), ("optimizable_tensors/obj_tilts", "deg"),
        ("optimizable_tensors/probe_pos_shifts", "Å"), ("model_attributes/lambd", "keV"),
    ],
)  # fmt: skip
def test_units_that_are_refused(hdf5: Path, field: str, unit: str) -> None:
    with edited(hdf5) as file:
        file[field].attrs["units"] = unit
    with pytest.raises(io.ReadError, match=f"{field}: is in '{unit}', expected"):
        io.read(hdf5)


@pytest.mark.parametrize(
    ("field", "unit"), [("object_phase", "rad"), ("tilts", "mrad"), ("position_shifts", "pixels"),
                        ("probe", "sqrt(e)"), ("probe_intensity", "counts")]
)  # fmt: skip
def test_units_that_are_the_same(field: str, unit: str) -> None:
    assert units.factor(field, unit) == 1.0


@pytest.mark.parametrize(
    ("energy", "wavelength"), [(60.0, 0.0486606), (200.0, 0.0250793), (300.0, 0.0196875)]
)
def test_wavelength_of_older_files(tmp_path: Path, energy: float, wavelength: float) -> None:
    """Tabulated wavelengths of electrons."""
    changed = {"params__init_params__probe_kv": energy}
    path = ptyrad_file.build(tmp_path / "m.hdf5", omit=("model_attributes/lambd",), **changed)
    state = io.read(path).state
    assert state.wavelength == pytest.approx(wavelength, rel=2e-5)
    Constraints({"obj_z_recenter": {"start_iter": 1}}).check(state)


@pytest.mark.parametrize(
    ("changed", "said"), [({"probe_kv": -1.0}, "energy in keV"), ({"probe_kv": [1.0, 2.0]}, "one")]
)
def test_impossible_energies(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    values = {f"params__init_params__{name}": value for name, value in changed.items()}
    path = ptyrad_file.build(tmp_path / "m.hdf5", omit=("model_attributes/lambd",), **values)
    with pytest.raises(io.ReadError, match=f"{KV}: .*{said}"):
        io.read(path)


def test_x_rays_have_no_voltage(tmp_path: Path) -> None:
    values = {
        "params__init_params__probe_kv": 200.0,
        "params__init_params__probe_illum_type": "xray",
    }
    path = ptyrad_file.build(tmp_path / "m.hdf5", omit=("model_attributes/lambd",), **values)
    assert io.read(path).state.wavelength is None


def foreign(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files of other programs by kind, and what is said of each."""
    made = {}

    def plain(name: str, content: bytes, said: str) -> None:
        (folder / name).write_bytes(content)
        made[name] = (folder / name, said)

    plain("v5.mat", b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(512), "a MATLAB file;")
    plain("v4.npy", b"\x93NUMPY\x01\x00" + bytes(200), "a single NumPy array")
    plain("old.pt", pickle.dumps({}, 2), "a Python pickle .*could run code")
    plain("new.pkl", pickle.dumps({}, 5), "a Python pickle .*could run code")
    plain("a.tif", b"II*\0" + bytes(300), "a TIFF image")
    plain("a.mrc", bytes(208) + b"MAP " + bytes(50), "an MRC image")
    plain("v5.hdf5", b"MATLAB 5.0 MAT-file".ljust(512), "a MATLAB file;")
    with zipfile.ZipFile(folder / "model.pt", "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({}))
    made["model.pt"] = (folder / "model.pt", "a PyTorch file .*could run code")
    with h5py.File(folder / "v73.mat", "w", userblock_size=512) as file:
        file["obj"] = np.ones(3)
    with (folder / "v73.mat").open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    made["v73.mat"] = (folder / "v73.mat", r"a MATLAB file \(v7\.3\), with its axes in reverse")
    return made


KINDS = (
    "v5.mat",
    "v4.npy",
    "old.pt",
    "new.pkl",
    "a.tif",
    "a.mrc",
    "v5.hdf5",
    "model.pt",
    "v73.mat",
)


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_other_programs(tmp_path: Path, kind: str) -> None:
    made = foreign(tmp_path)
    assert set(made) == set(KINDS)
    path, said = made[kind]
    with pytest.raises(io.ReadError, match=rf"is {said}.*numpy\.savez") as caught:
        io.read(path)
    assert "\n" not in str(caught.value)


def test_emd_of_other_programs(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.emd", "w") as file:
        file["4DSTEM_simulation/data"] = np.ones(3)
    with pytest.raises(io.ReadError, match="holds no reconstruction: expected at least one of"):
        io.read(tmp_path / "a.emd")
