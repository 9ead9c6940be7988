"""What is measured: sizes, seeded inputs, and the parameters of each constraint."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arraycon.blocks import SCHEDULE, Block, ParameterWarning
from arraycon.constraints import declared
from arraycon.pipeline import Constraints
from arraycon.state import ARRAYS, READ_ONLY

OBJECT = ("object_amplitude", "object_phase")
FORMS = ("parts", "complex")
"""How an object may be held: as amplitude and phase, or as one complex array."""

NAMES = tuple(name for name, one in declared().items() if one.built_in)
"""The constraints in order of execution."""

Fields = dict[str, Any]
"""Fields of a state by name: arrays that may be written to, and numbers."""

PROBE_INTENSITY, SLICE_THICKNESS = 1.6e4, 8.0
DX, WAVELENGTH = 0.2, 0.0251
DEFOCUS = 93.0  # Å, between two planes of the default focus search, so that no two of them tie
_APERTURE = 0.3  # of Nyquist: 19 mrad at 0.2 Å and 300 kV


@dataclass(frozen=True)
class Size:
    """Shapes of one benchmark.

    Parameters
    ----------
    name : str
        As ``--size`` takes it.
    object : tuple of int
        (omode, nz, ny, nx).
    probe : tuple of int
        (pmode, ny, nx).
    scan : tuple of int
        Positions (slow, fast).
    """

    name: str
    object: tuple[int, int, int, int]
    probe: tuple[int, int, int]
    scan: tuple[int, int]

    def __str__(self) -> str:
        shapes = ("×".join(map(str, shape)) for shape in (self.object, self.probe, self.scan))
        return "object {}, probe {}, scan {}".format(*shapes)


SIZES = {
    size.name: size
    for size in (
        Size("small", (1, 6, 256, 256), (4, 128, 128), (32, 32)),
        Size("medium", (1, 20, 512, 512), (8, 256, 256), (128, 128)),
        Size("large", (2, 40, 1024, 1024), (8, 512, 512), (256, 256)),
        # 614 = 2·307, as wide as PtyRAD's demonstration object: no transform likes it
        Size("awkward", (1, 6, 614, 614), (4, 192, 192), (64, 64)),
    )
}


@dataclass(frozen=True)
class Case:
    """One constraint at one size.

    Parameters
    ----------
    name : str
        A constraint.
    size : Size
        Shapes of its inputs.
    dtype : str
        ``float32`` or ``float64``; the probe is complex of the same precision.
    form : str
        One of `FORMS`; a complex object has the values of the parts.
    seed : int
        Of all random numbers.
    """

    name: str
    size: Size
    dtype: str = "float32"
    form: str = "parts"
    seed: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"expected constraints out of {', '.join(NAMES)}, got {self.name!r}")
        omode, nz, ny, nx = self.size.object
        if declared()[self.name].flat and nz > 1:  # as many pixels, in modes
            size = replace(self.size, object=(omode * nz, 1, ny, nx))
            object.__setattr__(self, "size", size)
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f"dtype: expected float32 or float64, got {self.dtype!r}")
        if self.form not in FORMS:
            raise ValueError(f"form: expected {' or '.join(FORMS)}, got {self.form!r}")
        if self.form == "complex" and not _takes_object(self.name):
            raise ValueError(f"form: expected parts, because {self.name} takes no object")

    @property
    def constraints(self) -> Constraints:
        """Pipeline in which this constraint alone is on, with defaults where they do something."""
        blocks: dict[str, Any] = dict.fromkeys(NAMES)
        blocks[self.name] = {"start_iter": 1, **declared()[self.name].typical}
        with warnings.catch_warnings():
            # the default depth blur is a truncated Gaussian, which is no news here
            warnings.simplefilter("ignore", ParameterWarning)
            return Constraints(blocks)

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the constraint, its schedule left out."""
        dumped: dict[str, Any] = self._block.model_dump(exclude=set(SCHEDULE))
        return dumped

    @property
    def blocks(self) -> dict[str, dict[str, Any]]:
        """Parameters of what runs, by constraint."""
        return {self.name: self.parameters}

    @property
    def needs(self) -> tuple[str, ...]:
        """Fields of the state that the constraint reads, in the form in which they are held."""
        return self._held(declared()[self.name].needs(self._block))

    @property
    def arrays(self) -> tuple[str, ...]:
        """Those of `needs` that are arrays."""
        return tuple(name for name in self.needs if name in ARRAYS)

    @property
    def writes(self) -> tuple[str, ...]:
        """Arrays that the constraint changes."""
        return self._held(declared()[self.name].writes(self._block))

    @property
    def in_parts(self) -> Case:
        """The same case for whoever holds amplitude and phase."""
        return replace(self, form="parts")

    def _held(self, names: tuple[str, ...]) -> tuple[str, ...]:
        if self.form == "parts":
            return names
        return tuple(dict.fromkeys("object" if name in OBJECT else name for name in names))

    @property
    def _block(self) -> Block:
        return self.constraints.params.blocks()[self.name]

    @property
    def unit(self) -> str:
        """Array that extra memory is a fraction of."""
        return self.arrays[0]

    @property
    def unit_bytes(self) -> int:
        """Size of that array."""
        shape = self.size.probe if self.unit == "probe" else self.size.object
        if self.unit in ("position_shifts", "tilts"):
            shape = (*self.size.scan, 2)
        item = np.dtype(self.dtype).itemsize * (2 if self.unit in ("probe", "object") else 1)
        return item * math.prod(shape)

    def fields(self) -> Fields:
        """Return fresh inputs, the same at every call."""
        return {name: self.field(name) for name in self.needs}

    def parts(self) -> Fields:
        """Return fresh amplitude and phase, the same at every call."""
        return {name: self.field(name) for name in OBJECT}

    def field(self, name: str) -> Any:
        """Return a fresh value of one field of the state, the same at every call."""
        scalars: Mapping[str, Any] = {
            "dx": DX,
            "wavelength": WAVELENGTH,
            "slice_thickness": SLICE_THICKNESS,
            "probe_intensity": PROBE_INTENSITY,
            "scan_shape": self.size.scan,
        }
        if name in scalars:
            return scalars[name]
        if name == "object":
            return joined(self.parts())
        rng = np.random.default_rng((self.seed, ARRAYS.index(name)))
        if name == "probe":
            return probe(rng, self.size.probe, self.dtype)
        if name in ("position_shifts", "tilts"):
            rows = self.size.scan[0] * self.size.scan[1]
            return (0.3 + rng.standard_normal((rows, 2))).astype(self.dtype)
        if name in READ_ONLY:
            values = rng.random(self.size.object[2:], dtype=np.dtype(self.dtype).type)
            # a third of the field, at random: what has no sample there is no rectangle either
            return values if name == "illumination" else values < 1 / 3
        values = rng.standard_normal(self.size.object, dtype=np.dtype(self.dtype).type)
        return amplitude(values) if name == "object_amplitude" else phase(values)


def names_for(form: str) -> tuple[str, ...]:
    """Return the constraints that can be measured on objects of a form, in order of execution."""
    return NAMES if form == "parts" else tuple(filter(_takes_object, NAMES))


def _takes_object(name: str) -> bool:
    one = declared()[name]
    return not set(OBJECT).isdisjoint(one.needs(one.model(**one.typical)))


def joined(parts: Mapping[str, Any]) -> NDArray[Any]:
    """Return the complex object of parts, as one writes it in NumPy."""
    amplitude, phase = (parts[name] for name in OBJECT)
    transmission: NDArray[Any] = amplitude * np.exp(1j * phase)
    return transmission


def amplitude(noise: NDArray[Any]) -> NDArray[Any]:
    """Turn unit noise into a positive amplitude around 1, partly outside the default limits."""
    noise *= 0.02
    noise += 1
    return np.clip(noise, 0.5, None, out=noise)


def phase(noise: NDArray[Any]) -> NDArray[Any]:
    """Turn unit noise into a phase of both signs, stronger in the upper slices.

    Its centre of mass is off-centre, so that `obj_z_recenter` has something to move; it stays well
    within ±π, where PtyRAD does not wrap it.
    """
    strength = np.linspace(0.15, 0.05, noise.shape[1], dtype=noise.dtype)
    noise *= strength[:, None, None]
    return np.clip(noise, -1, 1, out=noise)


def probe(rng: np.random.Generator, shape: tuple[int, int, int], dtype: str) -> NDArray[Any]:
    """Return defocused, overlapping modes of clearly different powers, strongest first.

    The strongest has a sharp focus: in mere noise the search of `probe_mask_r` would be decided by
    rounding, and no two implementations would agree. They are sorted, as they are after the first
    `ortho_pmode`: PtyRAD's `probe_mask_k` chooses modes without sorting them.
    """
    pmode, ny, nx = shape
    ky, kx = np.fft.fftfreq(ny)[:, None], np.fft.fftfreq(nx)[None, :]
    square = (ky**2 + kx**2) / DX**2
    aperture = 1 / (1 + np.exp((np.sqrt(square) * 2 * DX - _APERTURE) / 0.01))
    spectrum = aperture * np.exp(1j * np.pi * WAVELENGTH * DEFOCUS * square)
    shifts = rng.uniform(-0.6, 0.6, (pmode, 2)) * np.arange(pmode)[:, None]  # px
    ramps = np.exp(2j * np.pi * (ky * shifts[:, :1, None] + kx * shifts[:, 1:, None]))
    modes = np.fft.fftshift(np.fft.ifft2(spectrum * ramps), axes=(1, 2))
    level = np.sqrt(np.mean(np.abs(modes) ** 2))
    noise = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    modes = modes / level + 0.05 * noise
    powers = 0.5 ** np.arange(pmode)
    modes *= np.sqrt(powers / np.sum(np.abs(modes) ** 2, axis=(1, 2)))[:, None, None]
    scaled: NDArray[Any] = (modes * 100).astype(np.result_type(dtype, np.complex64))
    return scaled
