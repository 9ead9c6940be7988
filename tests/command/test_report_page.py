"""The page that `arraycon apply --report` writes."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from command import apply, names, run

pytestmark = pytest.mark.usefixtures("plain", "folder")

VOID = {"meta", "img", "input", "br"}


class Checked(HTMLParser):
    """Follows which elements are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.sources += [value or "" for key, value in attrs if key in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page() -> str:
    code, output = apply("-o", "out.hdf5", "--report", "report.html")
    assert code == 0, output
    assert "wrote report.html" in output
    return Path("report.html").read_text(encoding="utf-8")


def test_it_is_whole_and_needs_no_network() -> None:
    text = page()
    seen = Checked()
    seen.feed(text)
    assert seen.open == []
    assert seen.sources
    assert all(source.startswith("data:image/png;base64,") for source in seen.sources)
    assert not re.search(r"https?://", text)
    assert "$" not in text.partition("<script>")[0]


def test_it_has_figures_parameters_and_where_all_came_from() -> None:
    text = page()
    for part in ("objp_postiv", "object_phase: relative change", "kz_filter", "next due at"):
        assert part in text
    assert "objp_postiv: {start_iter: 1" in text
    assert "model.hdf5" in text
    assert "params.yaml" in text
    assert f"numpy {np.__version__}" in text
    assert text.count('type="range"') == 3
    assert 'class="section"' in text


def test_names_of_files_are_no_markup() -> None:
    Path("model.hdf5").rename("<b>&.hdf5")
    code, output = run(
        "apply", "<b>&.hdf5", "-p", "params.yaml", "-o", "o.hdf5", "--report", "r.html"
    )
    assert code == 0, output
    text = Path("r.html").read_text(encoding="utf-8")
    assert "<b>" not in text
    assert "&lt;b&gt;&amp;.hdf5" in text


def test_a_file_with_a_probe_alone() -> None:
    np.savez("p.npz", probe=np.ones((2, 8, 8), complex))
    code, output = run(
        "apply", "p.npz", "-p", "params.yaml", "--only", "ortho_pmode", "-o", "o.npz",
        "--report", "r.html",
    )  # fmt: skip
    assert code == 0, output
    text = Path("r.html").read_text(encoding="utf-8")
    assert text.count('type="range"') == 1
    assert 'class="section"' not in text


@pytest.mark.parametrize("name", ["model.hdf5", "params.yaml", "out.hdf5"])
def test_it_takes_the_place_of_no_other_file(name: str) -> None:
    code, output = apply("-o", "out.hdf5", "--report", name, "--force")
    assert code == 2, output
    assert name in output
    assert names() == ["model.hdf5", "params.yaml"]


def test_it_is_not_written_where_the_result_cannot_be() -> None:
    code, _ = apply("-o", "missing/out.hdf5", "--report", "report.html")
    assert code == 2
    assert names() == ["model.hdf5", "params.yaml"]


def test_one_that_is_there_stays_without_force() -> None:
    Path("report.html").write_text("mine")
    code, output = apply("-o", "out.hdf5", "--report", "report.html")
    assert code == 2
    assert "--force" in output
    assert Path("report.html").read_text() == "mine"
