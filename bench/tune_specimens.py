"""Does ``arraycon.tune`` choose well on data that it was not made on?

``python bench/specimens/electrons.py FOLDER`` (needs abTEM) and ``x_rays.py FOLDER`` make the data;
``python bench/tune_specimens.py FOLDER OUT [NAME[:ITERATIONS] …]`` tunes on each, compares with the
truth, and writes OUT/NAME/ and OUT/NAME.md. ``bench/tune.md`` holds such tables.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from arraycon import presets as kinds
from arraycon.demo import loading, presets
from arraycon.demo.tuned import Reconstructions
from arraycon.io import atomic
from arraycon.pipeline import Constraints
from arraycon.tuning import Tuning, report, tune

SLICES, MODES = 3, 3
SIDE = 14  # positions per side that are taken, so that all of it takes minutes
ITERATIONS = {"x_rays": 12}  # of the others 8
STEPS = {"srtio3": 1.5, "gold": 1.5, "magnesia": 1.5}


def candidates(name: str) -> dict[str, Constraints]:
    """Few, from weak to strong; the last ones are wrong for a strong crystal."""
    if name == "x_rays":
        base = kinds.params("x-ray")
        changes: dict[str, dict[str, Any]] = {
            "preset": {},
            "amplitude 0.9 to 1": {"obja_thresh": {"thresh": [0.9, 1.0]}},
            "amplitude 0.999 to 1": {"obja_thresh": {"thresh": [0.999, 1.0]}},
            "largest 5 % of frequencies": {
                "kr_thresh": {"start_iter": 3, "obj_type": "phase", "thresh": 0.05}
            },
            "positive": {"objp_postiv": {"start_iter": 1}},
        }
    else:
        base = kinds.params("thin-layers").replace(
            kr_thresh={"start_iter": 3}, kz_filter={"start_iter": 3}
        )
        light: dict[str, Any] = {"obja_thresh": None}
        changes = {
            "positive": light | {"kr_thresh": None, "kz_filter": None},
            "positive, kr 0.1, kz 0.1": light,
            "positive, kr 0.03, kz 0.5": light
            | {"kr_thresh": {"thresh": 0.03}, "kz_filter": {"beta": 0.5}},
            "all, amplitude from 1": {"obja_thresh": {"start_iter": 1, "start_when": None}},
            "all, amplitude from 6": {"obja_thresh": {"start_iter": 6, "start_when": None}},
        }
    return {key: Constraints(base.replace(**change)) for key, change in changes.items()}


def study(folder: Path, name: str, out: Path, iterations: int) -> str:
    """Tune on one specimen; return its table as Markdown."""
    slices = 1 if name == "x_rays" else SLICES
    path = folder / (f"{name}.npz" if slices == 1 else f"{name}.h5")
    chosen = presets.X_RAYS if slices == 1 else presets.ELECTRONS
    settings = replace(chosen, iterations=iterations, slices=slices, modes=MODES)
    settings = replace(settings, object_step=STEPS.get(name, settings.object_step))
    data = loading.load(path, slices)
    if data.scan_shape is not None:
        grid = np.arange(len(data.counts)).reshape(data.scan_shape)[:SIDE, :SIDE].ravel()
        data = data.select(grid)
    truth = loading.load_truth(folder / f"{name}_truth.npz", data, slices)
    reconstruct = Reconstructions(data, settings)
    found = tune(reconstruct, data.counts, candidates(name), workers=2)
    pairs = {t.name: reconstruct.correlation(t.constraints, truth) for t in found.trials}
    voxels = {key: pair[1] for key, pair in pairs.items()}
    (out / name).mkdir(parents=True, exist_ok=True)
    report.write(found, out / name, title=name, correlations=voxels)
    return _markdown(name, found, pairs)


def _markdown(name: str, found: Tuning, pairs: dict[str, tuple[float, float]]) -> str:
    rows = [
        f"### {name}", "",
        "| candidate | Q | held-out deviance | halves | truth, projection | truth, voxels | |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]  # fmt: skip
    for trial in found.trials:
        projection, voxels = pairs[trial.name]
        mark = "suggested" if trial is found.suggested else ""
        rows.append(
            f"| {trial.name} | {trial.misfit:.3f} | {trial.held_out:.2f} | {trial.agreement:.3f} "
            f"| {projection:.3f} | {voxels:.3f} | {mark} |"
        )
    true = [pairs[trial.name][1] for trial in found.trials]
    scores = {
        "held-out": [-trial.held_out for trial in found.trials],
        "halves": [trial.agreement for trial in found.trials],
        "training (Q)": [-trial.misfit for trial in found.trials],
    }
    ranks = ", ".join(f"{key} {spearmanr(v, true).statistic:.2f}" for key, v in scores.items())
    rows += ["", f"Decided by: {found.judge}. Rank correlation with the truth's voxels: {ranks}."]
    if found.suggested is not None:
        regret = [
            max(p[i] for p in pairs.values()) - pairs[found.suggested.name][i] for i in (0, 1)
        ]
        rows.append(f"Regret: {regret[0]:.3f} in projection, {regret[1]:.3f} in voxels.")
    rows += [f"No ground: {doubt}." for doubt in found.doubts]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    for asked in sys.argv[3:] or ("x_rays", "carbon", "srtio3", "gold", "magnesia"):
        each, _, passes = asked.partition(":")
        text = study(source, each, target, int(passes or ITERATIONS.get(each, 8)))
        atomic.write_text(target / f"{asked.replace(':', '-')}.md", text)
        print(text, flush=True)
