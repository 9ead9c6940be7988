"""Check that archives hold every file, and that links lead somewhere where PyPI shows README."""

import email
import re
import sys
import tarfile
import zipfile
from pathlib import Path

ENDINGS = {".py", ".cu", ".cuh", ".h", ".cpp", ".html", ".typed"}
PACKAGES = {"arraycon": "", "kernels": "arraycon/"}
"""Folders of the checkout, and where a wheel has them."""


def main(*archives: str) -> None:
    """Compare the archives' names with the files of both source folders, and of the tests."""
    for archive in archives:
        if archive.endswith(".whl"):
            opened = zipfile.ZipFile(archive)
            names = set(opened.namelist())
            (metadata,) = (name for name in names if name.endswith("/METADATA"))
            _check_links(opened.read(metadata))
            expected = {PACKAGES[name.split("/")[0]] + name for name in _files(*PACKAGES)}
        else:
            with tarfile.open(archive) as packed:
                names = {name.partition("/")[2] for name in packed.getnames()}
            expected = _files(*PACKAGES, "tests")
        missing = sorted(expected - names)
        if missing:
            sys.exit(f"{archive} lacks {', '.join(missing)}")
        print(f"{len(expected)} files of the checkout are in {Path(archive).name}")


def _check_links(metadata: bytes) -> None:
    """Look for links to what lies beside README, and to what does not."""
    page = email.message_from_bytes(metadata).get_payload(decode=True).decode()
    links = re.findall(r"\]\(([^)]+)\)", page)
    if not links:
        sys.exit("README's links are not found")
    for link in links:
        _, main, path = link.partition("/main/")
        if not link.startswith("https://") or (main and not Path(path).is_file()):
            sys.exit(f"README as PyPI shows it has a link that leads nowhere: {link}")


def _files(*folders: str) -> set[str]:
    paths = (path for folder in folders for path in Path(folder).rglob("*"))
    return {path.as_posix() for path in paths if path.suffix in ENDINGS}


if __name__ == "__main__":
    main(*sys.argv[1:])
