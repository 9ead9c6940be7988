"""torchvision beside a PyTorch that its compiled operators were not built for."""

from __future__ import annotations

from pathlib import Path

_kept = []  # a library of operators lasts as long as its object


def declare_operators() -> None:
    """Declare the operators that torchvision wants to describe, if it cannot load its own.

    Its wheel on PyPI is built for CUDA, and beside a CPU PyTorch its import fails for want of them.
    PtyRAD uses its Gaussian blur only, which needs none.
    """
    import importlib.util

    import torch

    folder = next(iter(importlib.util.find_spec("torchvision").submodule_search_locations))
    for library in Path(folder).glob("_C*.so"):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
        return
    declared = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(declared)
