"""The figures as Markdown."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]


def markdown(found: dict[str, Any]) -> str:
    """Return both tables, and what did not take part."""
    lines = [
        "Times in ms. host: until the call returns; device: on the device alone (*: the host was "
        "not done, or waited, so there are gaps in it); ÷ floor: device against bare copies or "
        "transforms; extra: memory in a fresh pool, in units of one real object.",
        "",
        "| schedule | object | way | wall | host | device | ÷ floor | × PtyRAD | extra |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|",
        *_rows(found["schedules"]),
        "",
        "| constraint | object | way | wall | host | device | ÷ floor | × PtyRAD | extra |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|",
        *_rows(found["constraints"]),
        "",
        *(f"No PtyRAD: {reason}" for reason in _absent(found)),
    ]
    return "\n".join(lines) + "\n"


def _rows(rows: list[Row]) -> list[str]:
    by = {(row["name"], row["way"]): row for row in rows if row["object"] == "parts"}
    return [_row(row, by) for row in rows if "wall" in row]


def _row(row: Row, by: dict[tuple[str, str], Row]) -> str:
    floor, peer = by[row["name"], "floor"], by[row["name"], "PtyRAD"]
    device = f"{1e3 * row['device']:.3f}{'*' if row['waited'] else ''}"
    against = f"{row['device'] / floor['device']:.2f}" if floor["device"] > 0 else ""
    faster = f"{peer['wall'] / row['wall']:.1f}" if "wall" in peer else ""
    extra = f"{row['extra_bytes'] / row['object_bytes']:.2f}" if "extra_bytes" in row else ""
    wall, host = f"{1e3 * row['wall']:.3f}", f"{1e3 * row['host']:.3f}"
    cells = row["name"], row["object"], row["way"], wall, host, device, against, faster, extra
    return f"| {' | '.join(cells)} |"


def _absent(found: dict[str, Any]) -> list[str]:
    rows = found["schedules"] + found["constraints"]
    return sorted({row["absent"] for row in rows if "absent" in row})
