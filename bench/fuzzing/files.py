"""Damaged files: reconstructions and parameter files with bytes changed, cut or repeated.

Reading ends with a value or with an error that says what is wrong with the file; nothing may
crash, wait, or take memory out of proportion.
"""

from __future__ import annotations

import faulthandler
import functools
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from arraycon import io
from arraycon.blocks import ParameterError
from arraycon.io.atomic import ReadError
from arraycon.params import files as parameters

Rng = np.random.Generator

FOLDER = tempfile.TemporaryDirectory()
LONGEST = 60  # s for one file; what takes longer ends the process with a traceback
MEMORY = 1 << 25  # bytes that files of some kilobytes may cost
TEXT = """\
constraint_params:
  obj_rblur: {start_iter: 1, std: 0.4, kernel_size: 5}
  kz_filter:
    start_iter: 5
    beta: 0.5
  probe_mask_r: {start_iter: null, z_range: [-100, 100]}
  objp_postiv: null
  obja_thresh: {start_iter: 2, thresh: [0.96, 1.04], relax: 1e-1}
"""
PIECES = (
    b":",
    b"\n",
    b"  ",
    b"- ",
    b"{",
    b"}",
    b"&a ",
    b"*a",
    b"!!",
    b"\t",
    b"\x00",
    b"\xff",
    b"'",
)


def case(seed: int, number: int) -> str:
    """Read one damaged file; return what came of it."""
    rng = np.random.default_rng((seed, number))
    kind, read = KINDS[number % len(KINDS)]
    path = Path(FOLDER.name) / f"damaged.{kind}"
    path.write_bytes(damaged(rng, whole(kind), text=kind in TEXTS))
    faulthandler.dump_traceback_later(LONGEST, exit=True)
    tracemalloc.start()
    try:
        read(path)
        outcome = "read"
    except (ReadError, ParameterError) as error:
        if not str(error) or len(str(error)) > 2000:
            return f"WRONG: {kind}: a message of {len(str(error))} characters"
        outcome = "refused"
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        faulthandler.cancel_dump_traceback_later()
    if peak > MEMORY:
        return f"WRONG: {kind}: {peak >> 20} MB for {path.stat().st_size} bytes"
    return f"{kind} {outcome}"


def damaged(rng: Rng, content: bytes, *, text: bool) -> bytes:
    """Return content with one or two faults."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 3))):
        at = int(rng.integers(len(data))) if data else 0
        choice = rng.integers(6)
        if choice == 0:
            del data[at:]
        elif choice == 1:
            del data[at : at + int(rng.integers(1, 64))]
        elif choice == 2:
            piece = PIECES[rng.integers(len(PIECES))] if text else rng.bytes(8)
            data[at:at] = piece
        elif choice == 3:
            data[at:at] = data[at : at + int(rng.integers(1, 200))]
        elif choice == 4:
            data[at : at + 8] = rng.choice([b"\xff" * 8, b"\x00" * 8, b"\x7f" + b"\xff" * 7])
        elif data:
            data[at % len(data)] ^= 1 << int(rng.integers(8))
    return bytes(data)


@functools.cache
def whole(kind: str) -> bytes:
    """Return the content of an undamaged file."""
    if kind in TEXTS:
        return TEXTS[kind]()
    path = Path(FOLDER.name) / f"whole.{kind}"
    rng = np.random.default_rng(0)
    fields = {
        "object_amplitude": 1 + 0.1 * rng.standard_normal((1, 2, 9, 8)),
        "object_phase": 0.1 * rng.standard_normal((1, 2, 9, 8)),
        "probe": rng.standard_normal((2, 6, 6)) + 1j,
        "dx": 0.2,
    }
    if kind == "npz":
        np.savez_compressed(path, **fields)
    else:
        _hdf5(path, fields)
    return path.read_bytes()


def _hdf5(path: Path, fields: dict[str, object]) -> None:
    import h5py

    names = {
        "object_amplitude": "optimizable_tensors/obja",
        "object_phase": "optimizable_tensors/objp",
        "probe": "optimizable_tensors/probe",
        "dx": "model_attributes/dx",
    }
    with h5py.File(path, "w") as file:
        for name, value in fields.items():
            packed = {"compression": "gzip"} if np.ndim(value) else {}
            file.create_dataset(names[name], data=value, **packed)


def _yaml() -> bytes:
    return TEXT.encode()


def _json() -> bytes:
    import json

    import yaml

    return json.dumps(yaml.safe_load(TEXT)).encode()


TEXTS: dict[str, Callable[[], bytes]] = {"yaml": _yaml, "json": _json}
KINDS: tuple[tuple[str, Callable[[Path], object]], ...] = (
    ("hdf5", io.read),
    ("npz", io.read),
    ("yaml", parameters.load),
    ("json", parameters.load),
)
