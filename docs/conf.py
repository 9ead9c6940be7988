"""How the site is built: ``python -m sphinx -W docs docs/_build``, without a network."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import make_pages  # noqa: E402

import arraycon  # noqa: E402

project = "arraycon"
author = "The arraycon developers"
release = version = arraycon.__version__
copyright = f"2026, {author}"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["_build", "gallery", "benchmarks_head.md", "Thumbs.db", ".DS_Store"]
default_role = "literal"

autosummary_generate = False
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
viewcode_line_numbers = True

myst_enable_extensions = ["dollarmath", "deflist", "colon_fence", "fieldlist"]
myst_heading_anchors = 3
# the notebooks are executed here, each in a kernel of its own; a failing cell fails the build
nb_execution_mode = "cache"
nb_execution_timeout = 180
nb_execution_raise_on_error = True
nb_merge_streams = True
# error messages are no Python, and are shown as they are
suppress_warnings = ["misc.highlighting_failure"]
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "furo"
html_title = f"arraycon {release}"
html_static_path = ["_static"]
html_css_files = ["arraycon.css"]
html_show_sourcelink = False

linkcheck_timeout = 10
linkcheck_retries = 2


def setup(app):
    """Make the pages that follow from declarations, docstrings, gallery, study and benches."""
    app.connect("builder-inited", lambda _: make_pages.main())
