"""Messages that are to send people the right way."""

from __future__ import annotations

import numpy as np
import pytest

import arraycon
from arraycon.params import ParameterWarning, files


def read(tmp_path, text):
    path = tmp_path / "p.yaml"
    path.write_text(text, encoding="utf-8")
    return files.load(path)


def test_a_block_that_is_not_indented(tmp_path):
    with pytest.raises(arraycon.ParameterError) as caught:
        read(tmp_path, "kz_filter:\nstart_iter: 5\nbeta: 0.5\nobj_zblur: null\n")
    for key in ("start_iter", "beta"):
        assert f"{key}: a setting of kz_filter: it belongs below that, indented" in str(
            caught.value
        )
    with pytest.raises(arraycon.ParameterError, match="radius: unknown key"):
        read(tmp_path, "kz_filter:\nradius: 5\n")


def test_constraints_as_arguments():
    with pytest.raises(TypeError, match=r"kz_filter: .*Constraints\(\{\"kz_filter\": \{"):
        arraycon.Constraints(kz_filter={"start_iter": 1})


def test_parameters_do_not_change():
    params = arraycon.ConstraintParams(kz_filter={"start_iter": 1})
    with pytest.raises(AttributeError, match=r"beta: .*params\.replace\("):
        params.kz_filter.beta = 2
    with pytest.raises(AttributeError, match=r"kz_filter: .*params\.replace\(kz_filter="):
        params.kz_filter = {}
    assert params.replace(kz_filter={"beta": 2}).kz_filter.beta == 2


@pytest.mark.parametrize(("radius", "words"), [(1.0, "corners"), (1.5, "everything"), (22, "mrad")])
@pytest.mark.parametrize("name", ["kr_filter", "probe_mask_k"])
def test_a_radius_that_is_no_fraction_of_nyquist(name, radius, words):
    with pytest.warns(ParameterWarning, match=f"{name}: radius .*{words}"):
        arraycon.Constraints({name: {"start_iter": 1, "radius": radius}})
    arraycon.Constraints({name: {"start_iter": 1, "radius": 0.99}})


def test_a_start_beyond_the_run_that_the_file_describes(tmp_path):
    run = "recon_params: {NITER: 10}\nconstraint_params:\n  kz_filter: {start_iter: %d}\n"
    with pytest.warns(ParameterWarning, match="kz_filter: never runs, .* 11 is beyond NITER 10"):
        read(tmp_path, run % 11)
    read(tmp_path, run % 10)


@pytest.mark.parametrize(
    ("field", "value"), [("wavelength", 1.97e-12), ("dx", 2e-11), ("slice_thickness", 1e-9)]
)
def test_lengths_in_another_unit(field, value):
    with pytest.warns(UserWarning, match=f"{field}: .* lengths are in Å"):
        arraycon.State(**{field: value})


def test_lengths_of_electrons_x_rays_and_light():
    for wavelength in (0.0037, 0.0197, 0.0251, 1.4, 135.0, 6328.0):
        arraycon.State(wavelength=wavelength, dx=0.1, slice_thickness=1.0)


@pytest.mark.parametrize("name", ["object", "object_amplitude", "object_phase"])
def test_an_object_that_is_smaller_than_the_probe(name):
    dtype = complex if name == "object" else float
    probe = np.ones((2, 8, 8), complex)
    with pytest.warns(UserWarning, match=rf"{name}: slices of \(20, 3\) are smaller"):
        arraycon.State(**{name: np.ones((1, 5, 20, 3), dtype)}, probe=probe)
    arraycon.State(**{name: np.ones((1, 5, 8, 8), dtype)}, probe=probe)


def test_a_state_with_the_other_part_of_the_object():
    state = arraycon.State(object_phase=np.zeros((1, 2, 4, 4)))
    blur = arraycon.Constraints({"obj_rblur": {"start_iter": 1, "obj_type": "amplitude"}})
    with pytest.raises(arraycon.MissingInputError, match="obj_type: phase works on what there is"):
        blur.apply(state, 1)


def test_an_enormous_number_in_sixties_takes_no_time(tmp_path):
    with pytest.raises(arraycon.ParameterError, match=r"kz_filter\.beta: got '1:1"):
        read(tmp_path, "kz_filter: {start_iter: 1, beta: " + ":".join(["1"] * 100_000) + "}")
