"""Packages only; everything else is in pyproject.toml.

The kernels live in a top-level folder so that whoever reads them meets no pydantic, no files and no
schedule, and are installed as ``arraycon.kernels`` because a top-level name ``kernels`` would clash
with another package on PyPI.
"""

from setuptools import find_packages, setup

kernels = [f"arraycon.{name}" for name in find_packages(include=["kernels", "kernels.*"])]

setup(
    packages=find_packages(include=["arraycon", "arraycon.*"]) + kernels,
    py_modules=["arraycon_command"],
    package_dir={"arraycon.kernels": "kernels"},
    package_data={
        "arraycon": ["py.typed"],
        "arraycon.cli": ["*.html"],
        **{name: ["*.cu", "*.cuh"] for name in kernels if ".gpu" in name},
    },
)
