"""Packages, and README as PyPI shows it; everything else is in pyproject.toml.

The kernels live in a top-level folder so that whoever reads them meets no pydantic, no files and no
schedule, and are installed as ``arraycon.kernels`` because a top-level name ``kernels`` would clash
with another package on PyPI.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent


def readme():
    """Return README with absolute links: on PyPI no file lies beside it."""
    project = (HERE / "pyproject.toml").read_text(encoding="utf-8")
    source = re.search(r'^Source = "(.+)"$', project, re.M)[1]
    raw = source.replace("https://github.com/", "https://raw.githubusercontent.com/")
    text = (HERE / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"(!\[[^]]*\]\()(?!https?:)", rf"\1{raw}/main/", text)
    return re.sub(r"(?<!!)(\[[^]]*\]\()(?!https?:|#)", rf"\1{source}/blob/main/", text)


kernels = [f"arraycon.{name}" for name in find_packages(include=["kernels", "kernels.*"])]

setup(
    long_description=readme(),
    long_description_content_type="text/markdown",
    packages=find_packages(include=["arraycon", "arraycon.*"]) + kernels,
    py_modules=["arraycon_command"],
    package_dir={"arraycon.kernels": "kernels"},
    package_data={
        "arraycon": ["py.typed"],
        "arraycon.cli": ["*.html"],
        **{name: ["*.cu", "*.cuh"] for name in kernels if ".gpu" in name},
    },
)
