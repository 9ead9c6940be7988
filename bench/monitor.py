"""Does ``arraycon.Monitor`` warn of what ruins a reconstruction, and only of that?

    python bench/monitor.py FOLDER OUT [NAME …]

reconstructs abtem_pso.h5, abtem_4dstem.h5 and siemens_star.npz from FOLDER, and the demo's
simulation at three doses, with the preset that the demo had when the thresholds were found; writes
OUT/NAME.md (a row of the table) and OUT/NAME.png. ``bench/monitor.md`` holds such a table.
"""

from __future__ import annotations

import logging
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arraycon.demo import loading, monitoring, simulate
from arraycon.demo.dataset import Dataset
from arraycon.demo.reconstruct import Reconstruction
from arraycon.demo.settings import Settings
from arraycon.monitor import Monitor
from arraycon.pipeline import Constraints

ATOMS: dict[str, Any] = {
    "ortho_pmode": {"start_iter": 1},
    "fix_probe_int": {"start_iter": 1},
    "pos_recenter": {"start_iter": 1},
    "objp_postiv": {"start_iter": 1},
    "obja_thresh": {"start_iter": 1, "thresh": [0.999, 1.0]},
    "kr_thresh": {"start_iter": 3, "obj_type": "phase", "thresh": 0.1},
    "kz_filter": {"start_iter": 3, "obj_type": "phase", "beta": 0.1, "alpha": 0},
}
STAR: dict[str, Any] = {
    "ortho_pmode": {"start_iter": 1},
    "fix_probe_int": {"start_iter": 1},
    "pos_recenter": {"start_iter": 1},
    "obja_thresh": {"start_iter": 1, "thresh": [0.95, 1.05]},
}
FEW_COUNTS: dict[str, Any] = {
    "slices": 6, "batch": 32, "object_step": 1.0, "regularisation": 1.0, "momentum": 0.5,
    "likelihood": "poisson",
}  # fmt: skip
ELECTRONS = {**FEW_COUNTS, "modes": 4}
SIMULATED = {**FEW_COUNTS, "mode_power": 0.15, "position_step": 1.0}
WITHOUT_CLIP = {name: block for name, block in ATOMS.items() if name != "obja_thresh"}
LATE = {**ATOMS, "obja_thresh": {"start_iter": 7, "thresh": [0.999, 1.0]}}


@dataclass(frozen=True)
class Case:
    """One reconstruction: data by file or dose, and how they are reconstructed."""

    source: str | float
    settings: dict[str, Any]
    constraints: dict[str, Any]
    iterations: int

    def data(self, folder: Path) -> Dataset:
        if isinstance(self.source, str):
            return loading.load(folder / self.source, Settings(**self.settings).slices)
        experiment = simulate.Experiment(dose=self.source, slices=self.settings["slices"])
        return simulate.simulate(experiment)[0]


CASES = {
    "PSO": Case("abtem_pso.h5", ELECTRONS, ATOMS, 6),
    "PSO without the clip": Case("abtem_pso.h5", ELECTRONS, WITHOUT_CLIP, 6),
    "PSO, clip from 7": Case("abtem_pso.h5", ELECTRONS, LATE, 12),
    "weak": Case("abtem_4dstem.h5", ELECTRONS, ATOMS, 12),
    "simulated, 3e5": Case(3e5, SIMULATED, ATOMS, 12),
    "simulated, 3e4": Case(3e4, SIMULATED, ATOMS, 12),
    "simulated, 3e3": Case(3e3, SIMULATED, ATOMS, 12),
    "star": Case("siemens_star.npz", {}, STAR, 12),
}


class Said(logging.Handler):
    """Keeps warnings by the iteration in which they were given."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.iteration, self.texts = 0, []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("iteration "):  # no other room's, as on compiling
            self.texts.append((self.iteration, record.getMessage()))


@dataclass
class Times:
    """Seconds of iterations, and of taking Q once."""

    iterations: list[float] = field(default_factory=list)
    misfits: list[float] = field(default_factory=list)

    @property
    def share(self) -> float:
        # the first ones compile and fetch
        return statistics.median(self.misfits[1:]) / statistics.median(self.iterations[1:])


def run(case: Case, folder: Path) -> tuple[Monitor, Said, Times]:
    data, times, said = case.data(folder), Times(), Said()
    going = Reconstruction(data, Settings(**case.settings))
    monitor = monitoring.monitor(going, data)
    again = monitor.subset(data.counts, monitoring.Patterns(going, data))
    bound = Constraints(case.constraints).bind(going.state, monitor=monitor)
    logger = logging.getLogger("arraycon")
    logger.addHandler(said)
    for said.iteration in range(1, case.iterations + 1):
        start = time.perf_counter()
        going.iterate()
        between = time.perf_counter()
        again.misfit()
        times.misfits.append(time.perf_counter() - between)
        times.iterations.append(between - start)
        bound.apply(said.iteration)
    logger.removeHandler(said)
    return monitor, said, times


def row(name: str, monitor: Monitor, said: Said, times: Times) -> str:
    history = monitor.history
    later = [effect for entry in history if entry.iteration > 1 for effect in entry.effects]
    worst = max(later, key=lambda effect: effect.change)
    shares = [share for entry in history if (share := entry.taken_back) is not None]
    warned = "; ".join(f"in {at}: {text.partition(': ')[2]}" for at, text in said.texts) or "none"
    return (
        f"| {name} | {said.iteration} | {history[0].misfit:.2f} → {history[-1].misfit:.2f} | "
        f"{worst.change:.3f}, {worst.constraint} | {max(shares):.2f} | {100 * times.share:.1f} % | "
        f"{warned} |\n"
    )


def main() -> None:
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[3:] or CASES:
        found = run(CASES[name], folder)
        stem = name.replace(" ", "_").replace(",", "")
        (out / f"{stem}.md").write_text(row(name, *found), encoding="utf-8")
        found[0].figure(out / f"{stem}.png", title=name)
        print(row(name, *found), end="", flush=True)


if __name__ == "__main__":
    main()
