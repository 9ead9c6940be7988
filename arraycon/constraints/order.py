"""The order of execution within one iteration, on one screen.

Modes are masked before they are mixed, and mixed before their power is restored; filters of the
object go before whatever reads its values, and limits last, so that the result obeys them.
"""

from __future__ import annotations

from collections.abc import Mapping

ORDER = (
    # the probe
    "probe_mask_k", "probe_mask_r", "ortho_pmode", "obj_probe_scale", "fix_probe_int",
    # the object: filters
    "phase_ramp", "obj_rblur", "obj_zblur", "obj_gaussian", "obj_smooth", "kr_filter",
    "obj_bandpass", "grid_notch", "kz_filter", "obj_wedge", "identical_slices", "kr_thresh",
    "obj_tv",
    # the object: values
    "ortho_omode", "obj_baseline", "obj_shrink", "complex_ratio", "mirrored_amp",
    "obj_z_recenter", "obj_fill", "obja_thresh", "objp_thresh", "objp_postiv",
    # positions and tilts
    "pos_recenter", "tilt_smooth",
)  # fmt: skip
"""The constraints of this package; one that is not here says in its declaration what it follows."""


def arrange(places: Mapping[str, str | None]) -> tuple[str, ...]:
    """Put declared constraints in order.

    Parameters
    ----------
    places : mapping of str to str or None
        By name, in order of declaration: the constraint that it runs after. It counts only for
        those that `ORDER` does not have; None is after all others.

    Raises
    ------
    ValueError
        There is no such other constraint, or two run after each other.
    """
    arranged = [name for name in ORDER if name in places]
    waiting = {name: after for name, after in places.items() if name not in ORDER}
    arranged += [name for name, after in waiting.items() if after is None]
    behind = {name: name for name in arranged}  # the last of those that were put behind it
    waiting = {name: after for name, after in waiting.items() if after is not None}
    while waiting:
        ready = [name for name, after in waiting.items() if after in behind]
        if not ready:
            name, after = next(iter(waiting.items()))
            raise ValueError(f"{name}: expected a constraint that it runs after, got {after!r}")
        for name in ready:
            after = str(waiting.pop(name))
            arranged.insert(arranged.index(behind[after]) + 1, name)
            behind[after] = behind[name] = name
    return tuple(arranged)
