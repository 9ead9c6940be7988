"""The gallery's examples show what constraints are for and when they hurt."""

import re
from pathlib import Path

import make_gallery
import pytest

from arraycon.constraints import declared

ROOT = Path(make_gallery.__file__).parent
PAGE = (ROOT / "gallery.md").read_text(encoding="utf-8")
EXAMPLES = make_gallery.examples()


def test_every_constraint_has_one():
    assert list(EXAMPLES) == list(declared())


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_helps_and_it_hurts_and_the_page_says_how_much(name):
    example = EXAMPLES[name]()
    (before, after), (unharmed, harmed) = example.helps.error, example.hurts.error
    assert after < 0.9 * before
    assert harmed > unharmed
    section = PAGE.partition(f"## `{name}`")[2].partition("\n## ")[0]
    written = [float(x) for x in re.findall(r"\| (\d\.\d{3}) ", section)]
    assert written == pytest.approx([before, after, unharmed, harmed], abs=1.5e-3)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_shows_a_picture(name):
    assert f"(gallery/{name}.png)" in PAGE
    assert (ROOT / "gallery" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_is_drawn(tmp_path):
    name, make = next(iter(EXAMPLES.items()))
    make_gallery.draw(name, make(), tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000
