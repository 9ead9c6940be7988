"""Check that wheel and source distribution hold every file that the checkout holds."""

import sys
import tarfile
import zipfile
from pathlib import Path

ENDINGS = {".py", ".cu", ".cuh", ".h", ".html", ".typed"}
PACKAGES = {"arraycon": "", "kernels": "arraycon/"}
"""Folders of the checkout, and where a wheel has them."""


def main(*archives: str) -> None:
    """Compare the archives' names with the files of both source folders, and of the tests."""
    for archive in archives:
        if archive.endswith(".whl"):
            names = set(zipfile.ZipFile(archive).namelist())
            expected = {PACKAGES[name.split("/")[0]] + name for name in _files(*PACKAGES)}
        else:
            with tarfile.open(archive) as opened:
                names = {name.partition("/")[2] for name in opened.getnames()}
            expected = _files(*PACKAGES, "tests")
        missing = sorted(expected - names)
        if missing:
            sys.exit(f"{archive} lacks {', '.join(missing)}")
        print(f"{len(expected)} files of the checkout are in {Path(archive).name}")


def _files(*folders: str) -> set[str]:
    paths = (path for folder in folders for path in Path(folder).rglob("*"))
    return {path.as_posix() for path in paths if path.suffix in ENDINGS}


if __name__ == "__main__":
    main(*sys.argv[1:])
