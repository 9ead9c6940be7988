"""Report: what ran, on what, and what it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from arraycon.pipeline import shown
from arraycon.pipeline.record import Metrics as Metrics
from arraycon.pipeline.record import Record as Record
from arraycon.pipeline.record import Skipped as Skipped
from arraycon.pipeline.record import relative_change as relative_change
from arraycon.showing import public


@dataclass(frozen=True)
class Report(Sequence[Record]):
    """Records of one call of `Constraints.apply`, in the order in which they ran.

    Parameters
    ----------
    records : tuple of Record
    skipped : tuple of Skipped
        Constraints that were due by default only and whose fields the state does not have.

    Examples
    --------
    >>> import arraycon, numpy
    >>> phase = numpy.array([[[[-0.4, 0.3]]]])
    >>> state = arraycon.State(object_phase=phase, object_amplitude=numpy.ones_like(phase))
    >>> both = {"obja_thresh": {"start_iter": 1}, "objp_postiv": {"start_iter": 1}}
    >>> report = arraycon.Constraints(both).apply(state, 1, measure=True)
    >>> len(report), report[1].name, report["objp_postiv"].targets
    (2, 'objp_postiv', ('object_phase',))
    >>> print(report)
    1: obja_thresh(object_amplitude) object_amplitude: relative change 0
    1: objp_postiv(object_phase) object_phase: relative change 0.8
    """

    records: tuple[Record, ...] = ()
    skipped: tuple[Skipped, ...] = field(default=())

    @overload
    def __getitem__(self, index: int | str) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | str | slice) -> Record | Sequence[Record]:
        """Return a record by its place or by its constraint's name, or several."""
        if not isinstance(index, str):
            return self.records[index]
        for record in self.records:
            if record.name == index:
                return record
        raise KeyError(f"{index!r} did not run, {', '.join(self.names) or 'and nothing else'} did")

    def __contains__(self, one: object) -> bool:
        return one in self.records or one in self.names

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the constraints that ran, in order."""
        return tuple(record.name for record in self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __str__(self) -> str:
        lines = [str(record) for record in self.records]
        lines += [f"skipped: {name} (no {', '.join(missing)})" for name, missing in self.skipped]
        return "\n".join(lines) if lines else "nothing was due"

    def to_dict(self) -> dict[str, Any]:
        """Return everything but by-products, with figures read; lists stand for tuples.

        Examples
        --------
        >>> import arraycon, numpy
        >>> state = arraycon.State(object_phase=numpy.array([[[[-0.4, 0.3]]]]))
        >>> constraints = arraycon.Constraints({"objp_postiv": {"start_iter": 1}})
        >>> constraints.apply(state, 1, measure=True).to_dict()["records"][0]["metrics"]
        {'object_phase: relative change': 0.8}
        """
        return shown.as_dict(self.records, self.skipped)

    def to_json(self) -> str:
        """Return `to_dict` as JSON, with null for figures that are not finite."""
        return shown.as_json(self.records, self.skipped)

    def to_dataframe(self) -> Any:
        """Return a pandas table with a row for each figure, of each mode where there are several.

        Its columns are iteration, constraint, target, figure, index (of the mode) and value, so
        that ``pandas.concat`` makes one table of the reports of many iterations.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("to_dataframe: needs pandas, which is not installed") from None
        columns = ("iteration", "constraint", "target", "figure", "index", "value")
        made = pandas.DataFrame(shown.as_rows(self.records), columns=list(columns))
        return made.astype({"iteration": "int64", "index": "Int64", "value": "float64"})

    def to_html(
        self, *, before: shown.States | None = None, after: shown.States | None = None
    ) -> str:
        """Return the table that a notebook shows, with small pictures if they are asked for.

        Parameters
        ----------
        before, after : State or mapping, optional
            Both or none: a copy of the state made before the constraints ran, such as
            ``copy.deepcopy(state)``, and the state; or fields of states by name.

        Returns
        -------
        str
            HTML without scripts. Both pictures of a pair have one scale of greys.

        Raises
        ------
        TypeError, ValueError
            Only one of them is given, or there is neither an object nor a probe.
        """
        if before is None and after is None:
            return shown.report_table(self.records, self.skipped)
        if before is None or after is None:
            raise ValueError("expected both before and after, got one of them")
        return shown.report_page(self.records, self.skipped, before, after)

    def _repr_html_(self) -> str:
        return shown.report_table(self.records, self.skipped)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.names)

    def __dir__(self) -> list[str]:
        return public(super().__dir__())
