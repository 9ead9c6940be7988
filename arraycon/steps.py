"""Steps: what each constraint reads and writes, and the kernel call that its parameters become."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from arraycon import kernels, params
from arraycon.params import Block
from arraycon.report import Measured
from arraycon.state import ARRAYS, State

Inputs: TypeAlias = Mapping[str, Any]
"""Fields of the state by name."""

Updates: TypeAlias = Mapping[str, Any]
"""New arrays by the name of the field that they replace."""

Returned: TypeAlias = Updates | tuple[Updates, Mapping[str, Measured]]

Run: TypeAlias = Callable[[Inputs, Any], Returned]
"""A user's constraint: inputs and parameters in, new arrays (and metrics, if there are any) out."""

RunInto: TypeAlias = Callable[[Inputs, Any, Mapping[str, Any]], Returned]
"""A constraint that writes its results into the arrays of the last argument, where it has any."""

Names: TypeAlias = Callable[[Any], tuple[str, ...]]

FIELDS = tuple(field.name for field in fields(State))
_OBJECT = {"amplitude": ("object_amplitude",), "phase": ("object_phase",)}
_BOTH = ("object_amplitude", "object_phase")


@dataclass(frozen=True)
class Step:
    """One constraint: its function, and the state's fields that it needs and changes."""

    name: str
    run: RunInto
    needs: Names
    writes: Names
    in_place: bool = True
    """Whether `run` writes into arrays that it is given."""


STEPS: dict[str, Step] = {}
"""Every constraint by name: the sixteen, then the users' own in order of registration."""


def register(
    name: str,
    *,
    model: type[Block],
    needs: Sequence[str],
    writes: Sequence[str] | None = None,
) -> Callable[[Run], Run]:
    """Make a function a constraint that parameter files can switch on under `name`.

    The function gets the fields it needs as a mapping, and its parameters as an instance of
    `model`; it returns a mapping of new arrays, or a pair of that and a mapping of metrics. It must
    not write to its inputs: that is what makes a failing constraint leave the state untouched.
    Registering a name again replaces the function, as re-running a notebook's cell does.

    Parameters
    ----------
    name : str
        Key in parameter files, a Python identifier that is not one of the sixteen.
    model : type of Block
        Its parameters; inherits `start_iter`, `step` and `end_iter`, and is off without
        `start_iter` unless the model gives it another default.
    needs : sequence of str
        Fields of `State` without which it cannot run.
    writes : sequence of str, optional
        Array fields that it may change; by default all array fields in `needs`.

    Returns
    -------
    callable
        The decorator, which returns the function itself.

    Raises
    ------
    ValueError
        The name is taken by one of the sixteen, or a field does not exist.

    Examples
    --------
    >>> class PhaseCap(arraycon.Block):
    ...     limit: float = 1.0
    >>> @arraycon.register("phase_cap", model=PhaseCap, needs=["object_phase"])
    ... def phase_cap(inputs, params):
    ...     return {"object_phase": inputs["object_phase"].clip(max=params.limit)}
    """
    needed, written = _field_names("needs", needs, FIELDS), tuple(writes or ())
    if writes is None:
        written = tuple(field for field in needed if field in ARRAYS)
    written = _field_names("writes", written, ARRAYS)

    def decorate(run: Run) -> Run:
        params.register_model(name, model)
        STEPS[name] = Step(
            name,
            lambda inputs, block, _: run(inputs, block),
            lambda _: needed,
            lambda _: written,
            in_place=False,
        )
        return run

    return decorate


def unregister(name: str) -> None:
    """Forget a constraint that was registered; the sixteen stay."""
    params.unregister_model(name)
    STEPS.pop(name, None)


def _field_names(argument: str, names: Sequence[str], valid: tuple[str, ...]) -> tuple[str, ...]:
    names = (names,) if isinstance(names, str) else tuple(names)
    for name in names:
        if name not in valid:
            raise ValueError(f"{argument}: expected names out of {', '.join(valid)}, got {name!r}")
    return names


def _options(block: Block) -> dict[str, Any]:
    """Parameters of a block that its kernel takes, under the same names."""
    return block.model_dump(exclude={"start_iter", "step", "end_iter", "obj_type"})


def _targets(block: Any) -> tuple[str, ...]:
    return _OBJECT.get(block.obj_type, _BOTH)


def _add(
    name: str, run: RunInto, needs: Names | Sequence[str], writes: Names | Sequence[str]
) -> None:
    STEPS[name] = Step(
        name,
        run,
        needs if callable(needs) else lambda _: tuple(needs),
        writes if callable(writes) else lambda _: tuple(writes),
    )


def _add_single(name: str, field: str, scalars: Mapping[str, str] | None = None) -> None:
    """Add a constraint of one array, whose kernel takes further fields as named arguments."""
    kernel, arguments = getattr(kernels, name), dict(scalars or {})

    def run(inputs: Inputs, block: Block, outs: Updates) -> Updates:
        given = {argument: inputs[scalar] for argument, scalar in arguments.items()}
        return {field: kernel(inputs[field], out=outs.get(field), **given, **_options(block))}

    _add(name, run, (field, *arguments.values()), (field,))


def _add_object(name: str) -> None:
    """Add a constraint that treats amplitude and phase alike, as `obj_type` chooses."""
    kernel = getattr(kernels, name)

    def run(inputs: Inputs, block: Block, outs: Updates) -> Updates:
        return {
            field: kernel(inputs[field], out=outs.get(field), **_options(block))
            for field in _targets(block)
        }

    _add(name, run, _targets, _targets)


def _kz_filter(inputs: Inputs, block: Block, outs: Updates) -> Updates:
    return {
        field: kernels.kz_filter(
            inputs[field],
            obj_type=field.removeprefix("object_"),
            out=outs.get(field),
            **_options(block),
        )
        for field in _targets(block)
    }


def _complex_ratio(inputs: Inputs, block: Block, outs: Updates) -> Updates:
    new = kernels.complex_ratio(
        *(inputs[field] for field in _BOTH),
        out=tuple(outs.get(field) for field in _BOTH),
        **_options(block),
    )
    results = dict(zip(_BOTH, new, strict=True))
    return {field: results[field] for field in _targets(block)}


def _mirrored_amp(inputs: Inputs, block: Block, outs: Updates) -> Updates:
    amplitude, phase = (inputs[field] for field in _BOTH)
    out = outs.get("object_amplitude")
    return {"object_amplitude": kernels.mirrored_amp(amplitude, phase, out=out, **_options(block))}


def _obj_z_recenter(inputs: Inputs, block: Block, outs: Updates) -> Returned:
    lengths = {name: inputs[name] for name in ("dx", "wavelength", "slice_thickness")}
    fields = (*_BOTH, "probe")
    amplitude, phase, probe = (inputs[field] for field in fields)
    *moved, shift = kernels.obj_z_recenter(
        amplitude,
        phase,
        probe,
        out=tuple(outs.get(field) for field in fields),
        **lengths,
        **_options(block),
    )
    return dict(zip(fields, moved, strict=True)), {"shift (slices)": shift}


_add_single("ortho_pmode", "probe")
_add_single("probe_mask_k", "probe")
_add_single("probe_mask_r", "probe", {"dx": "dx", "wavelength": "wavelength"})
_add_single("fix_probe_int", "probe", {"intensity": "probe_intensity"})
_add_object("obj_rblur")
_add_object("obj_zblur")
_add_object("kr_filter")
_add("kz_filter", _kz_filter, _targets, _targets)
_add_object("kr_thresh")
_add("complex_ratio", _complex_ratio, _BOTH, _targets)
_add("mirrored_amp", _mirrored_amp, _BOTH, ("object_amplitude",))
_add(
    "obj_z_recenter",
    _obj_z_recenter,
    (*_BOTH, "probe", "dx", "wavelength", "slice_thickness"),
    (*_BOTH, "probe"),
)
_add_single("obja_thresh", "object_amplitude")
_add_single("objp_postiv", "object_phase")
_add_single("pos_recenter", "position_shifts")
_add_single("tilt_smooth", "tilts", {"scan_shape": "scan_shape"})
