"""Small grey pictures within HTML, without a plotting library and without files."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arraycon.kernels.common import arrays
from arraycon.showing.html import Markup, escaped

_WIDEST = 192  # px
_SHORT = 32  # px that are left of an axis, such as depth, where there are that many
_NARROWEST, _LOWEST = 96, 24  # px on the page
_FRAME = "border:1px solid rgba(128,128,128,0.5)"


def pair(before: Any, after: Any, *, title: str, unit: str = "") -> Markup:
    """Return two pictures with one scale of greys, and words on what it spans.

    Parameters
    ----------
    before, after : array, shape (ny, nx), real
        NumPy arrays. Pixels that are not finite are black.
    title : str
        What they show.
    unit : str
        Of the values.
    """
    values = np.concatenate([np.ravel(before), np.ravel(after)])
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    pictures = "".join(
        f'<figure style="display:inline-block;margin:0.3em">'
        f"{_image(plane, low, high, f'{title}, {word}')}<figcaption>{word}</figcaption></figure>"
        for word, plane in (("before", before), ("after", after))
    )
    words = f"{title}: black {low:.3g}, white {high:.3g} {unit}".rstrip()
    return Markup(f"<div><div>{escaped(words)}</div>{pictures}</div>")


def on_host(array: Any) -> Any:
    """Return any library's array as one of NumPy's."""
    library = arrays.library(array)
    if library == "torch":
        array = array.detach().resolve_conj().resolve_neg().cpu()
    return array.get() if library == "cupy" else np.asarray(array)


def _image(plane: Any, low: float, high: float, words: str) -> str:
    step = max(1, -(-max(plane.shape) // _WIDEST))
    span = (high - low) or 1.0
    with np.errstate(invalid="ignore"):
        grey = np.clip((_averaged(plane, step) - low) / span, 0, 1)
    pixels = np.rint(np.nan_to_num(grey) * 255).astype(np.uint8)
    ny, nx = pixels.shape
    times = max(1, _NARROWEST // max(ny, nx))
    # few slices would be a line: they are drawn thicker
    size = f"width:{times * nx}px;height:{max(times * ny, _LOWEST)}px"
    content = base64.b64encode(_png(pixels)).decode("ascii")
    return (
        f'<img alt="{escaped(words)}" src="data:image/png;base64,{content}" '
        f'style="image-rendering:pixelated;{size};{_FRAME}"/>'
    )


def _averaged(plane: Any, step: int) -> NDArray[Any]:
    """Means of step × step pixels, fewer along a short axis; an incomplete rim is left out."""
    dy, dx = (min(step, max(1, n // _SHORT)) for n in plane.shape)
    ny, nx = plane.shape[0] // dy, plane.shape[1] // dx
    cut = np.asarray(plane, np.float64)[: ny * dy, : nx * dx]
    return np.asarray(cut.reshape(ny, dy, nx, dx).mean(axis=(1, 3)))


def _png(grey: NDArray[np.uint8]) -> bytes:
    """Return an image file of one byte a pixel (PNG, ISO/IEC 15948)."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    ny, nx = grey.shape
    rows = np.insert(grey, 0, 0, axis=1)  # each row begins with its filter: none
    header = struct.pack(">IIBBBBB", nx, ny, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, content) for kind, content in parts)
