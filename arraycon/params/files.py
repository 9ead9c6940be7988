"""Parameter files: YAML, TOML or JSON, a bare set of constraint blocks or PtyRAD's whole file.

TOML has no null. There `name = false` switches a block off, `end_iter` is left out, and for
`obj_z_recenter` the numbers `thresh = 0` and a large `max_shift` do what null does elsewhere.
"""

from __future__ import annotations

import difflib
import importlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from pydantic import ValidationError

from arraycon.blocks import ParameterError, hints
from arraycon.blocks.wording import not_text, show, warn
from arraycon.constraints import declared, repeats
from arraycon.io import ptyrad
from arraycon.io.errors import ReadError
from arraycon.io.regular import kind_of
from arraycon.params.constraint_params import SECTIONS, ConstraintParams

SECTION = "constraint_params"
_SHOWN = 100  # problems
_EXAMINED = 500  # keys beside PtyRAD's sections that are compared with the constraints' names
_LARGEST = 1 << 23  # bytes; PtyRAD's whole files have some thousands


def load(path: str | os.PathLike[str]) -> ConstraintParams:
    """Read a parameter file.

    Parameters
    ----------
    path : path
        A .yaml, .yml, .toml or .json file in UTF-8, holding constraint blocks or PtyRAD's whole
        parameter file, of which only `constraint_params` is read; or a reconstruction in PtyRAD's
        HDF5 layout, which holds the parameters that it was made with. Below `constraint_params`
        may also be a list of ``{name: block}``, in which a constraint may come several times.

    Returns
    -------
    ConstraintParams
        What the file says, and defaults for what it leaves out.

    Raises
    ------
    ParameterError
        The file cannot be understood or its parameters are not allowed: all problems at once.
    OSError
        The file cannot be read.

    Warns
    -----
    ParameterWarning
        The parameters are valid but probably not meant so.
    """
    file = Path(path)
    if kind := kind_of(file):  # a pipe or a terminal would be waited for
        raise ParameterError(f"{file}: {kind}, not a parameter file")
    reader = READERS.get(file.suffix.lower())
    if reader is None and ptyrad.recognises(file):
        return _from_data(_stored(file), str(file))
    if reader is None:
        raise ParameterError(f"{file}: unknown kind of file, expected {', '.join(READERS)}")
    if file.stat().st_size > _LARGEST:
        raise ParameterError(f"{file}: larger than {_LARGEST >> 20} MiB, not a parameter file")
    raw = file.read_bytes()
    try:
        data = reader(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        text = f"not a text file in UTF-8 (byte {error.start + 1} is not)"
        raise ParameterError(f"{file}: {text}") from None
    except RecursionError:
        raise ParameterError(f"{file}: nested too deeply") from None
    except ParameterError as error:
        raise ParameterError(f"{file}: {error}") from None
    if data is None:
        raise ParameterError(f"{file}: holds no parameters")
    return _from_data(data, str(file))


def from_mapping(data: Mapping[str, Any]) -> ConstraintParams:
    """Validate parameters that are already in memory.

    Parameters
    ----------
    data : mapping
        Constraint blocks by name, or the sections of PtyRAD's whole parameter file, of which only
        `constraint_params` is read; that may be a list of ``{name: block}``.

    Returns
    -------
    ConstraintParams
        What the mapping says, and defaults for what it leaves out.

    Raises
    ------
    ParameterError
        The parameters are not allowed: all problems at once.

    Warns
    -----
    ParameterWarning
        The parameters are valid but probably not meant so.
    """
    return _from_data(data, "parameters")


def _from_data(data: object, source: str) -> ConstraintParams:
    if not isinstance(data, Mapping):
        below = f"; a list of them belongs below {SECTION}" if isinstance(data, list) else ""
        raise ParameterError(
            f"{source}: got {show(data)}, expected constraint blocks by name{below}"
        )
    problems: list[tuple[str, str]] = []
    blocks: object = data
    if any(section in data for section in SECTIONS):
        problems, blocks = _beside_sections(data), data.get(SECTION)
        if blocks is None and not problems:
            warn(f"{source}: {SECTION} is missing or empty, so every constraint has its defaults")
        listed = isinstance(blocks, list | tuple) and len(blocks) > 0
        if not (listed or isinstance(blocks, (Mapping, NoneType))):
            text = f"got {show(blocks)}, expected constraint blocks by name or a list of them"
            problems.append((SECTION, text))
            blocks = None
    try:
        params = ConstraintParams.model_validate({} if blocks is None else blocks)
    except ValidationError as error:
        problems += [(_path(item["loc"]), item["msg"]) for item in error.errors(include_url=False)]
    else:
        _warn_of_the_end(params, data)
    if problems:
        number = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = [f"  {path}: {text}" for path, text in problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            lines.append(f"  and {len(problems) - _SHOWN} more")
        raise ParameterError("\n".join([f"{source}: {number} in the parameters", *lines]))
    return params


def _warn_of_the_end(params: ConstraintParams, data: Mapping[Any, Any]) -> None:
    """Warn of constraints that begin after the run which PtyRAD's whole file describes."""
    run = data.get("recon_params")
    last = run.get("NITER") if isinstance(run, Mapping) else None
    if not isinstance(last, int) or isinstance(last, bool):
        return
    blocks = params.blocks()
    for name in sorted(params.given):
        start = blocks[name].start_iter
        if start is not None and start > last:
            warn(f"{name}: never runs, as start_iter {start} is beyond NITER {last}")


def _stored(file: Path) -> dict[str, Any]:
    """Parameters of the run that made a reconstruction."""
    try:
        return ptyrad.parameters(file)
    except ReadError as error:
        raise ParameterError(str(error)) from None


def _path(loc: tuple[int | str, ...]) -> str:
    keys = (str(key) if str(key).isprintable() else repr(key) for key in loc)
    return ".".join(key if len(key) <= 80 else f"{key[:77]}..." for key in keys)


def _beside_sections(data: Mapping[Any, Any]) -> list[tuple[str, str]]:
    """Find what stands beside PtyRAD's sections but was meant for this package.

    Other keys pass: what PtyRAD's sections may be is for PtyRAD to say.
    """
    names, problems = list(declared()), []
    for number, key in enumerate(data):
        if not isinstance(key, str):
            problems.append(not_text(key))
        elif repeats.kind(key) in names:
            text = f"would be ignored beside PtyRAD's sections, move it into {SECTION}"
            problems.append((key, text))
        elif key not in SECTIONS and number < _EXAMINED:
            near = difflib.get_close_matches(key.lower(), [SECTION, *names], n=1, cutoff=0.8)
            problems += [(key, f"unknown key, did you mean {name}?") for name in near]
    return problems


def _read_yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ParameterError('YAML needs PyYAML: pip install "arraycon[cli]"') from None

    class Loader(yaml.SafeLoader):
        # here, because later on the keys of a merge (<<) cannot be told from a map's own
        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
            node = super().compose_mapping_node(anchor)
            lines: dict[tuple[str, str], int] = {}
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue
                line, name = key.start_mark.line + 1, (key.tag, key.value)
                if name in lines:
                    text = f"key {key.value} stands there twice, at lines {lines[name]} and {line}"
                    raise ParameterError(text)
                lines[name] = line
            return node

        def construct_list(self, node: yaml.SequenceNode) -> list[Any]:
            return self.construct_sequence(node, deep=True)

        def construct_plainly(self, node: yaml.ScalarNode) -> Any:
            # what YAML 1.1 takes for another number stays text, for the block to refuse by name
            if hints.is_ambiguous(node.value):
                return node.value
            is_int = node.tag.endswith(":int")
            return (self.construct_yaml_int if is_int else self.construct_yaml_float)(node)

    for tag in ("int", "float"):
        Loader.add_constructor(f"tag:yaml.org,2002:{tag}", Loader.construct_plainly)
    # as yaml.dump writes the pairs of parameters
    python_tuple = "tag:yaml.org,2002:python/tuple"
    Loader.add_constructor(python_tuple, Loader.construct_list)
    try:
        return yaml.load(text, Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        tab = "found character '\\t'" in str(error.problem)
        problem = "a tab, but YAML is indented by spaces" if tab else error.problem
        raise ParameterError(f"{where}{problem}") from None
    except yaml.reader.ReaderError as error:
        raise ParameterError(f"character {error.position + 1} cannot be in a text file") from None
    except (ParameterError, RecursionError):
        raise
    except Exception as error:  # int(), datetime() and others, on what only looks like a value
        raise ParameterError(f"a value cannot be read: {error}") from None


def _read_toml(text: str) -> Any:
    try:
        toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ImportError:
        raise ParameterError('TOML needs tomli: pip install "arraycon[cli]"') from None
    try:
        # TOML cannot tell an empty file from an empty table
        return toml.loads(text) or None
    except ValueError as error:
        raise ParameterError(str(error)) from None


def _read_json(text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
        if twice:
            raise ParameterError(f"key {twice[0]} stands there twice")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=once) if text.strip() else None
    except json.JSONDecodeError as error:
        raise ParameterError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except ParameterError:
        raise
    except ValueError as error:  # an integer of more than 4300 digits
        raise ParameterError(str(error)) from None


READERS: dict[str, Callable[[str], Any]] = {
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
    ".toml": _read_toml,
    ".json": _read_json,
}
