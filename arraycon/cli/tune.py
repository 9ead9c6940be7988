"""``arraycon tune``: which strengths the data ask for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from arraycon.cli import signals
from arraycon.cli.errors import console, reported, shown_warnings, warn
from arraycon.cli.job import existing
from arraycon.io import atomic
from arraycon.pipeline import Constraints

if TYPE_CHECKING:
    from arraycon.demo.dataset import Truth
    from arraycon.demo.tuned import Reconstructions
    from arraycon.tuning import Tuning

_SIDE_BY_SIDE = 2


def command(
    data: Annotated[Path, typer.Option(help="Diffraction data, .npz or .h5, as for demo.")],
    vary: Annotated[
        list[str],
        typer.Option(
            metavar="NAME.FIELD=A,B,…",
            help="Values of a field, as kz_filter.beta=0.1,0.3; several make all combinations.",
        ),
    ],
    truth: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Truth of the data, .npz; it is shown beside the scores, nothing more."),
    ] = None,
    params: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--params", "-p", help="What is varied; without it, what suits the data."),
    ] = None,
    iterations: Annotated[int, typer.Option(min=1, help="Passes over the data.")] = 12,
    slices: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, max=36, help="Object slices; without it as for demo."),
    ] = None,
    modes: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, max=20, help="Probe modes; without it as for demo."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 0,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder to write to; it is made if need be.")
    ] = Path("tune"),
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that are there already.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback when something fails.")
    ] = False,
) -> None:
    """Suggest strengths of constraints from the data alone.

    Three of the demo's reconstructions for each candidate: one has to predict counts that it has
    not seen, two of halves of the counts have to agree.
    """
    from arraycon.demo import loading
    from arraycon.demo import plan as plans
    from arraycon.demo.tuned import Reconstructions
    from arraycon.tuning import candidates as combinations
    from arraycon.tuning import report

    with reported(debug=debug):
        with shown_warnings():
            given = None if params is None else _written_out(existing(params))
        fields = _fields(vary)
        asked = {"modes": modes, "iterations": iterations, "seed": seed}
        kept = {name: value for name, value in asked.items() if value is not None}
        wanted = plans.Wanted(kept, constraints=given)
        base = plans.base_settings(data, slices, truth)
        found = loading.load(data, base.slices)
        true = None if truth is None else loading.load_truth(truth, found, base.slices)
        with console(stderr=True).status("a first pass"):
            chosen = plans.suited(found, base, wanted)
        settings = chosen.settings
        with shown_warnings():
            candidates = combinations.vary(chosen.constraints.params, fields)
        _check(candidates, found, settings)
        inputs = [path for path in (data, truth, params) if path is not None]
        atomic.output_folder(out, report.FILES, keep=inputs, replace=force)
        # not to the output, which may be closed: results come first
        console(stderr=True).print(chosen.why, soft_wrap=True)
        each = 3 if true is None else 4
        with _progress((len(candidates) + 1) * each * iterations) as tell:
            reconstruct = Reconstructions(found, settings, tell)
            tuning, correlations = _tune(reconstruct, found.counts, candidates, true, seed)
        signals.hold()
        report.write(tuning, out, title=data.name, correlations=correlations, replace=force)
        console().print(report.table(tuning, correlations))
        for line in report.words(tuning):
            (warn if line.startswith(report.DOUBT) else _say)(line)
        for name in report.FILES:
            _say(f"wrote {out / name}")


def _say(line: str) -> None:
    console().print(line, soft_wrap=True)


def _fields(vary: list[str]) -> dict[str, list[Any]]:
    """Values to try, by field."""
    fields: dict[str, list[Any]] = {}
    for text in vary:
        field, equals, values = text.partition("=")
        if not equals or not values or field in fields:
            raise ValueError(
                f"--vary: expected NAME.FIELD=A,B,…, each field once, got {text!r}; values that "
                f"hold commas are put in brackets"
            )
        fields[field] = _values(text, values)
    return fields


def _written_out(path: Path) -> Constraints:
    """Give what runs by default in a file, so that it runs in each candidate."""
    params = Constraints.from_file(path).params
    blocks = params.blocks().items()
    silent = {name: block for name, block in blocks if block.enabled and name not in params.given}
    return Constraints(params.replace(**silent))


def _values(text: str, values: str) -> list[Any]:
    import yaml

    try:
        return list(yaml.safe_load(f"[{values}]"))
    except yaml.YAMLError:
        raise ValueError(f"--vary: values cannot be read in {text!r}") from None


def _check(candidates: dict[str, Constraints], data: Any, settings: Any) -> None:
    """Find out before minutes have passed what cannot run on these data."""
    from arraycon.demo.settings import initial

    state, _ = initial(data, settings)
    for constraints in candidates.values():
        constraints.check_state(state)


def _tune(
    reconstruct: Reconstructions,
    counts: Any,
    candidates: dict[str, Constraints],
    truth: Truth | None,
    seed: int,
) -> tuple[Tuning, dict[str, float] | None]:
    from arraycon.tuning import tune

    try:
        tuning = tune(
            reconstruct, counts, candidates, seed=seed, workers=_SIDE_BY_SIDE,
            tell=lambda *_: signals.look(),
        )  # fmt: skip
        if truth is None:
            return tuning, None
        return tuning, {
            trial.name: reconstruct.correlation(trial.constraints, truth)[1]
            for trial in tuning.trials
        }
    finally:
        reconstruct.stop()


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """One bar over all iterations; what is given back is to be told of each."""
    bar = console(stderr=True)
    if not bar.is_terminal:
        yield lambda: None
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=bar, transient=True) as progress:
        one = progress.add_task("iterations", total=total)
        yield lambda: progress.advance(one)
