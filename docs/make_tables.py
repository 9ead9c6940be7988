"""Write the tables of all constraints, made from their declarations, into README and docs.

``python docs/make_tables.py`` writes them; with ``--check`` nothing is written, and the exit code
is 1 if something would change.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from arraycon.blocks import SCHEDULE, Block, allowed
from arraycon.constraints import Constraint, declared

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- constraints: made by docs/make_tables.py -->", "<!-- end of constraints -->"
HEAD = """\
# The constraints, one by one

Made by `python docs/make_tables.py` from their declarations in `arraycon/constraints`, in the order
in which they run. `help(arraycon.NAME)` has the equation, shapes, errors and source of each. All of
them also have `start_iter`, `step`, `end_iter` and `start_when`.
"""


def main(*arguments: str) -> int:
    """Write what has changed, or say that it has."""
    changed = [path for path, text in files().items() if path.read_text(encoding="utf-8") != text]
    for path in changed:
        print(f"{path.relative_to(ROOT)}: {'out of date' if arguments else 'written'}")
        if not arguments:
            path.write_text(files()[path], encoding="utf-8")
    return int(bool(changed and arguments))


def files() -> dict[Path, str]:
    """Return each file that has a table, with the text that it should have."""
    readme, page = ROOT / "README.md", ROOT / "docs" / "constraints.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "\n".join([BEGIN, *overview(), END])
    return {readme: f"{before}{table}{after}", page: "\n".join([HEAD, *pages()]) + "\n"}


def overview() -> Iterator[str]:
    """Lines of README's table."""
    yield "| constraint | on | what it does | parameters |"
    yield "|---|---|---|---|"
    for name, one in own().items():
        on = "✓" if one.default_on else ""
        fields = ", ".join(f"`{field}`" for field in parameters(one.model) if field not in SCHEDULE)
        yield f"| `{name}` | {on} | {one.meaning.rstrip('.')} | {fields} |".replace("|  |", "| |")


def pages() -> Iterator[str]:
    """Lines about each constraint."""
    for name, one in own().items():
        block = one.model()
        yield f"## `{name}`\n\n{one.meaning}\n"
        yield f"- takes {names(one.needs(block))}; changes {names(one.writes(block))}"
        if one.default_on:
            yield "- on by default where a file does not mention it"
        if one.centred:
            yield "- needs the probe in the middle of its array"
        if one.memory:
            yield "- keeps arrays from one iteration to the next"
        if one.returns:
            yield f"- leaves {names(one.returns)} in the report's record (`record.returned`)"
        if layouts := one.layout(one.model(**one.typical)):
            yield f"- passes over the object: {', '.join(layouts)}"
        yield from rows(one)
        yield ""


def rows(one: Constraint) -> Iterator[str]:
    """Lines of a constraint's table of parameters."""
    fields = parameters(one.model)
    if not fields:
        return
    yield "\n| parameter | default | allowed | meaning |\n|---|---|---|---|"
    for name in fields:
        field = one.model.model_fields[name]
        default = field.default if isinstance(field.default, str) else json.dumps(field.default)
        yield f"| `{name}` | {default} | {allowed(one.model, name)} | {field.description} |"


def parameters(model: type[Block]) -> list[str]:
    """Names of a constraint's own fields."""
    return [name for name in model.model_fields if name not in Block.model_fields]


def own() -> dict[str, Constraint]:
    """Return this package's constraints."""
    return {name: one for name, one in declared().items() if one.built_in}


def names(fields: tuple[str, ...]) -> str:
    """Write names as code, with commas."""
    return ", ".join(f"`{name}`" for name in fields)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
